import { spawn } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { runCommand } from './run-command.ts'
import { brandOf, readiness, ServiceProcess, scratchDirectory } from './service-process.ts'

t.setTimeout(120_000)

const CLEAN = { code: 0, signal: null }

/** A data directory that the user `postgres` may enter, too. */
function openDirectory(t: Test): string {
  const path = scratchDirectory(t)
  chmodSync(path, 0o755)
  return path
}

function databasePid(dataDirectory: string): number {
  return Number(readFileSync(join(dataDirectory, 'postgres.pid'), 'utf8'))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

t.test(
  'with a database of its own: starts, serves, ends cleanly, and again, and after kill -9',
  async (t) => {
    const environment = { DATA_DIRECTORY: openDirectory(t) }
    const first = await ServiceProcess.start(t, environment)
    t.match(await (await fetch(`${first.url}/healthz`)).json(), { status: 'ok', service: 'holdfast-api' })
    await waitUntil(async () => (await readiness(first.url)).status === 'ok')
    t.equal(await brandOf(first.url, 'acme'), 'Acme Markets')
    t.equal(await brandOf(first.url, 'globex'), 'Globex Exchange')
    const pid = databasePid(environment.DATA_DIRECTORY)
    t.match(
      first.stderr,
      new RegExp(
        `Holdfast API[\\s\\S]*curl -i ${first.url}/acme/api/public/load-theme[\\s\\S]*kill -9 ${pid}`,
      ),
    )
    for (const line of first.stdout.trim().split('\n'))
      t.match(JSON.parse(line), { level: Number, msg: String })

    const set = await runCommand(['theme', 'set', 'acme', '-'], environment, '{"brand_name": "Kept"}')
    t.match(set, { code: 0, output: /the theme of acme is now version \d+/ })
    await waitUntil(async () => (await brandOf(first.url, 'acme')) === 'Kept')
    t.strictSame(await first.stop('SIGINT'), CLEAN)
    t.notOk(isAlive(pid), 'its PostgreSQL ended with it')
    t.notOk(existsSync(join(environment.DATA_DIRECTORY, 'development-database.json')))

    const second = await ServiceProcess.start(t, environment)
    t.equal(await brandOf(second.url, 'acme'), 'Kept')
    const secondPid = databasePid(environment.DATA_DIRECTORY)
    second.kill('SIGKILL')
    await second.ended
    await waitUntil(() => !isAlive(secondPid), { what: 'the end of a PostgreSQL whose service was killed' })

    const third = await ServiceProcess.start(t, environment)
    t.equal(await brandOf(third.url, 'acme'), 'Kept')
    process.kill(databasePid(environment.DATA_DIRECTORY), 'SIGKILL')
    third.kill('SIGKILL')
    await third.ended

    const fourth = await ServiceProcess.start(t, environment)
    t.equal(await brandOf(fourth.url, 'acme'), 'Kept', 'after kill -9 of everything')
    const fourthPid = databasePid(environment.DATA_DIRECTORY)
    process.kill(fourthPid, 'SIGKILL')
    await waitUntil(async () => (await readiness(fourth.url)).status === 'degraded')
    t.equal(await brandOf(fourth.url, 'acme'), 'Kept')
    t.strictSame(await fourth.stop(), CLEAN, 'it ends cleanly although its PostgreSQL is gone')
  },
)

t.test('two services that start at once on one data directory share one database', async (t) => {
  const environment = { DATA_DIRECTORY: openDirectory(t) }
  const services = await Promise.all([
    ServiceProcess.start(t, environment),
    ServiceProcess.start(t, environment),
  ])
  for (const service of services) {
    t.equal(await brandOf(service.url, 'acme'), 'Acme Markets')
  }
  const ends = services.map(({ stderr }) => /\(ends with (.+)\)/.exec(stderr)?.[1])
  t.strictSame(ends.sort(), ['the service', 'the service that started it'])
  const endings = await Promise.all(services.map((service) => service.stop()))
  t.strictSame(endings, [CLEAN, CLEAN])
})

t.test(
  'a data directory that only root may enter works, and the start says where the data is',
  { skip: process.getuid?.() !== 0 && 'only root has such directories' },
  async (t) => {
    const DATA_DIRECTORY = scratchDirectory(t)
    const service = await ServiceProcess.start(t, { DATA_DIRECTORY })
    t.equal(await brandOf(service.url, 'acme'), 'Acme Markets')
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
