import { chmodSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { scratchDirectory } from './service-process.ts'

/** A data directory that the user `postgres` may enter, too. */
export function openDirectory(t: Test): string {
  const path = scratchDirectory(t)
  chmodSync(path, 0o755)
  return path
}

/** The process of the PostgreSQL that a service started there. */
export function databasePid(dataDirectory: string): number {
  return Number(readFileSync(join(dataDirectory, 'postgres.pid'), 'utf8'))
}
