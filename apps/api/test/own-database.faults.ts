// The long form of own-database.test.ts: a service, its PostgreSQL and what started it, killed in every order.

import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { isAlive } from './is-alive.ts'
import { databasePid, openDirectory } from './own-database.ts'
import { brandOf, readiness, ServiceProcess, scratchDirectory } from './service-process.ts'

t.setTimeout(180_000)

const CLEAN = { code: 0, signal: null }

t.test('after kill -9 of everything it starts again, with what it had', async (t) => {
  const environment = { DATA_DIRECTORY: openDirectory(t) }
  const third = await ServiceProcess.start(t, environment)
  // A database that is made on a busy machine takes longer than the start waits for it.
  await waitUntil(async () => (await brandOf(third.url, 'acme')) === 'Acme Markets', { timeoutMs: 60_000 })
  process.kill(databasePid(environment.DATA_DIRECTORY), 'SIGKILL')
  third.kill('SIGKILL')
  await third.ended

  const fourth = await ServiceProcess.start(t, environment)
  t.equal(await brandOf(fourth.url, 'acme'), 'Acme Markets', 'after kill -9 of everything')
  const fourthPid = databasePid(environment.DATA_DIRECTORY)
  process.kill(fourthPid, 'SIGKILL')
  await waitUntil(async () => (await readiness(fourth.url)).status === 'degraded')
  t.equal(await brandOf(fourth.url, 'acme'), 'Acme Markets')
  t.strictSame(await fourth.stop(), CLEAN, 'it ends cleanly although its PostgreSQL is gone')
})

t.test(
  'a data directory that only root may enter works, and the start says where the data is',
  { skip: process.getuid?.() !== 0 && 'only root has such directories' },
  async (t) => {
    const DATA_DIRECTORY = scratchDirectory(t)
    const service = await ServiceProcess.start(t, { DATA_DIRECTORY })
    await waitUntil(async () => (await brandOf(service.url, 'acme')) === 'Acme Markets', {
      timeoutMs: 60_000,
    })
    const elsewhere = /so the data is in (\S+)\/postgres/.exec(service.stderr)?.[1]
    t.match(elsewhere, /holdfast-data-/)
    t.strictSame(await service.stop(), CLEAN)
    if (elsewhere !== undefined) rmSync(elsewhere, { recursive: true })
  },
)

t.test('a service whose package manager is gone ends, too', async (t) => {
  const environment = { DATA_DIRECTORY: openDirectory(t), API_HOST: '127.0.0.1', API_PORT: '0' }
  const { PATH = '', HOME = '' } = process.env
  // As npx runs pnpm, which runs pnpm, which runs a script: every one below a shell. The name of the script tells
  // that it is one.
  const launcher = spawn('/bin/sh', ['-c', '/bin/sh -c "$PNPM"; true'], {
    cwd: new URL('..', import.meta.url).pathname,
    env: {
      PATH,
      HOME,
      npm_lifecycle_event: 'start',
      PNPM: '/bin/sh -c "$SCRIPT"; true',
      SCRIPT: '/bin/sh -c "$SERVICE"; true',
      SERVICE: `"${process.execPath}" --conditions=@holdfast/source src/main.ts & echo pid $!; wait`,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let output = ''
  launcher.stdout.on('data', (chunk) => {
    output += String(chunk)
  })
  await waitUntil(() => output.includes('"started"'), { timeoutMs: 30_000 })
  const pid = Number(/^pid (\d+)$/m.exec(output)?.[1])
  t.ok(isAlive(pid))
  launcher.kill('SIGKILL')
  await waitUntil(() => !isAlive(pid), { what: 'the end of a service without its launcher' })
  t.match(output, /the package manager above has ended[\s\S]*"closed"/)
})

t.test('one Ctrl-C that arrives twice closes in order; a second one ends at once', async (t) => {
  const environment = { DATA_DIRECTORY: openDirectory(t) }
  const service = await ServiceProcess.start(t, environment)
  service.kill('SIGINT')
  service.kill('SIGINT')
  t.strictSame(await service.ended, CLEAN)

  const held = await ServiceProcess.start(t, environment)
  const pid = databasePid(environment.DATA_DIRECTORY)
  process.kill(pid, 'SIGSTOP')
  held.kill('SIGTERM')
  await sleep(700)
  t.ok(isAlive(held.pid), 'a database that cannot hear holds it')
  held.kill('SIGTERM')
  t.strictSame(await held.ended, { code: 1, signal: null })
  await waitUntil(() => !isAlive(pid), { what: 'the end of its PostgreSQL' })
})
