// Mistakes of the room that the machine has.

import { chmodSync, writeFileSync } from 'node:fs'
import { type Change, type Mistake, type StartCases, strong } from './seeded-mistakes.ts'

const MB = 1024 ** 2

/** All of them. */
export function resourceMistakes({ set, mistake, inDirectory, directory }: StartCases): readonly Mistake[] {
  const keyFile = (mode: number): Change => ({
    environment: { SECRET_KEY: '', SECRET_KEY_FILE: inDirectory('key') },
    before: () => {
      writeFileSync(inDirectory('key'), strong())
      chmodSync(inDirectory('key'), mode)
    },
  })
  return [
    set(
      'directory-unwritable',
      'warn',
      'no place for what is kept',
      { DATA_DIRECTORY: '/dev/null/nowhere' },
      { DATA_DIRECTORY: inDirectory('made/at/the/start') },
      /nothing can be kept in \/dev\/null\/nowhere \(DATA_DIRECTORY\).*-> Set DATA_DIRECTORY/,
    ),
    set(
      'directory-unwritable',
      'warn',
      'no place for logs',
      { LOG_DIRECTORY: '/dev/null/nowhere' },
      { LOG_DIRECTORY: inDirectory('logs') },
      /\(LOG_DIRECTORY\).*there are no log files/,
    ),
    mistake(
      'disk-short',
      'warn',
      'a disk that is nearly full',
      { machine: { freeBytes: () => 64 * MB - 1 } },
      { machine: { freeBytes: () => 64 * MB } },
      /63 MB are free in .* \(DATA_DIRECTORY\), and up to 64 MB are written there -> Make room/,
    ),
    mistake(
      'disk-short',
      'warn',
      'a disk with room for less than the logs',
      { environment: { LOG_DIRECTORY: directory }, machine: { freeBytes: () => 199 * MB } },
      { environment: { LOG_DIRECTORY: directory }, machine: { freeBytes: () => 200 * MB } },
      /199 MB are free in .* \(LOG_DIRECTORY\), and up to 200 MB/,
    ),
    mistake(
      'secret-file-open',
      'warn',
      'a key that everybody on the machine can read',
      keyFile(0o644),
      keyFile(0o640),
      /SECRET_KEY_FILE names a file that everybody on the machine can read: .*key -> chmod o= /,
    ),
    mistake(
      'secret-file-open',
      'warn',
      'a key that everybody on the machine can write',
      keyFile(0o602),
      keyFile(0o620),
      /SECRET_KEY_FILE names a file that everybody on the machine can write/,
    ),
    mistake(
      'descriptors-few',
      'fail',
      'fewer files than the pool',
      { machine: { descriptors: 93 } },
      { environment: { MAX_CONNECTIONS: '100' }, machine: { descriptors: 194 } },
      /a process may have 93 files and connections open, and wants 10094 .*-> .*ulimit -n 10094/,
    ),
    mistake(
      'descriptors-few',
      'warn',
      'fewer files than clients',
      { environment: { MAX_CONNECTIONS: '100' }, machine: { descriptors: 193 } },
      { machine: { descriptors: 10_094 } },
      /193 files and connections open, and wants 194/,
    ),
    mistake(
      'memory-short',
      'warn',
      'more workers than memory',
      {
        environment: { API_WORKERS: '2', REDIS_URL: 'redis://127.0.0.1' },
        machine: { memoryBytes: 511 * MB },
      },
      {
        environment: { API_WORKERS: '2', REDIS_URL: 'redis://127.0.0.1' },
        machine: { memoryBytes: 512 * MB },
      },
      /the service may take 512 MB \(API_WORKERS 2, .* and there are 511 MB -> .*API_WORKERS or THEME_CACHE_MAX_BYTES/,
    ),
    mistake(
      'workers-beyond-cpus',
      'warn',
      'more workers than processors',
      { environment: { API_WORKERS: '3', REDIS_URL: 'redis://127.0.0.1' }, machine: { cpus: 2 } },
      { environment: { API_WORKERS: '3', REDIS_URL: 'redis://127.0.0.1' }, machine: { cpus: 3 } },
      /API_WORKERS is 3, and there are 2 processors -> Lower API_WORKERS to 2/,
    ),
    mistake(
      'workers-beyond-cpus',
      'warn',
      'workers that there are',
      { environment: { API_WORKERS: '4', REDIS_URL: 'redis://127.0.0.1' }, machine: { cpus: 2 } },
      // Without Redis one process serves, whatever is set.
      { environment: { API_WORKERS: '4' }, machine: { cpus: 2 } },
      /API_WORKERS is 4, and there are 2 processors/,
    ),
    mistake(
      'backlog-small',
      'warn',
      'a kernel of another time',
      { machine: { backlog: 128 } },
      { machine: { backlog: 511 } },
      /the kernel keeps 128 connections .*-> sysctl -w net\.core\.somaxconn/,
    ),
  ]
}
