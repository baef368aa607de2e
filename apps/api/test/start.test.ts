import { chmodSync, existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { migrateUp } from '../src/db/migrator.ts'
import { migrations } from '../src/migrations/index.ts'
import { testPool } from './fresh-database.ts'
import { runCommand } from './run-command.ts'
import { ServiceProcess, scratchDirectory } from './service-process.ts'

t.setTimeout(180_000)

const CLEAN = { code: 0, signal: null }

/** A data directory that the user `postgres` may enter, too. */
function openDirectory(t: Test): string {
  const path = scratchDirectory(t)
  chmodSync(path, 0o755)
  return path
}

function databasePid(dataDirectory: string): number {
  return JSON.parse(readFileSync(join(dataDirectory, 'development-database.json'), 'utf8')).pid
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function brandOf({ url }: ServiceProcess, tenant: string): Promise<string> {
  const answer = await fetch(`${url}/${tenant}/api/public/load-theme`)
  return ((await answer.json()) as { theme: { brand_name: string } }).theme.brand_name
}

t.test(
  'with a database of its own: starts, serves, ends cleanly, and again, and after kill -9',
  async (t) => {
    const environment = { DATA_DIRECTORY: openDirectory(t) }
    const first = await ServiceProcess.start(t, environment)
    t.match(await (await fetch(`${first.url}/healthz`)).json(), { status: 'ok', service: 'holdfast-api' })
    t.equal(await brandOf(first, 'acme'), 'Acme Markets')
    t.equal(await brandOf(first, 'globex'), 'Globex Exchange')
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
    await waitUntil(async () => (await brandOf(first, 'acme')) === 'Kept')
    t.strictSame(await first.stop('SIGINT'), CLEAN)
    t.notOk(isAlive(pid), 'its PostgreSQL ended with it')
    t.notOk(existsSync(join(environment.DATA_DIRECTORY, 'development-database.json')))

    const second = await ServiceProcess.start(t, environment)
    t.equal(await brandOf(second, 'acme'), 'Kept')
    const secondPid = databasePid(environment.DATA_DIRECTORY)
    second.kill('SIGKILL')
    await second.ended
    await waitUntil(() => !isAlive(secondPid), { what: 'the end of a PostgreSQL whose service was killed' })

    const third = await ServiceProcess.start(t, environment)
    t.equal(await brandOf(third, 'acme'), 'Kept')
    process.kill(databasePid(environment.DATA_DIRECTORY), 'SIGKILL')
    third.kill('SIGKILL')
    await third.ended

    const fourth = await ServiceProcess.start(t, environment)
    t.equal(await brandOf(fourth, 'acme'), 'Kept', 'after kill -9 of everything')
    const fourthPid = databasePid(environment.DATA_DIRECTORY)
    process.kill(fourthPid, 'SIGKILL')
    await waitUntil(
      async () =>
        ((await (await fetch(`${fourth.url}/readyz`)).json()) as { status: string }).status === 'degraded',
    )
    t.equal(await brandOf(fourth, 'acme'), 'Kept')
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
    t.equal(await brandOf(service, 'acme'), 'Acme Markets')
  }
  const endings = await Promise.all(services.map((service) => service.stop()))
  t.strictSame(endings, [CLEAN, CLEAN])
})

t.test('a data directory that only root may enter works, and the start says where the data is', async (t) => {
  if (process.getuid?.() !== 0) {
    t.pass('only root has such directories')
    return
  }
  const DATA_DIRECTORY = scratchDirectory(t)
  const service = await ServiceProcess.start(t, { DATA_DIRECTORY })
  t.equal(await brandOf(service, 'acme'), 'Acme Markets')
  const elsewhere = /so the data is in (\S+)\/postgres/.exec(service.stderr)?.[1]
  t.match(elsewhere, /holdfast-data-/)
  t.strictSame(await service.stop(), CLEAN)
  if (elsewhere !== undefined) rmSync(elsewhere, { recursive: true })
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

t.test('every problem of the configuration is printed, and nothing starts', async (t) => {
  const service = ServiceProcess.spawn(t, {
    API_PORT: 'abc',
    DB_POOL_MIN: '99',
    METRICS_TOKEN_FILE: '/nowhere',
  })
  t.strictSame(await service.ended, { code: 1, signal: null })
  t.match(
    service.stderr,
    /3 problems:\n {2}API_PORT is "abc".*\n {2}METRICS_TOKEN_FILE .*ENOENT.*\n {2}DB_POOL_MIN is 99/,
  )
})

t.test('a port that is taken is said in one line', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const first = await ServiceProcess.start(t, {
    DATABASE_URL: postgres.directUrl,
    DATA_DIRECTORY: scratchDirectory(t),
  })
  const second = ServiceProcess.spawn(t, {
    DATABASE_URL: postgres.directUrl,
    DATA_DIRECTORY: scratchDirectory(t),
    API_PORT: new URL(first.url).port,
  })
  t.strictSame(await second.ended, { code: 1, signal: null })
  t.match(second.stderr, /^[^\n]*EADDRINUSE[^\n]*\n$/)
  t.strictSame(await first.stop(), CLEAN)
})

t.test('production refuses a database that lacks migrations, and starts after migrate up', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const environment = {
    ENVIRONMENT: 'production',
    DATABASE_URL: postgres.directUrl,
    DATA_DIRECTORY: scratchDirectory(t),
  }
  const refused = ServiceProcess.spawn(t, environment)
  t.strictSame(await refused.ended, { code: 1, signal: null })
  t.match(refused.stderr, /lacks migrations: 0001-tenants-and-themes; apply them with/)

  t.match(await runCommand(['migrate', 'status'], environment), {
    code: 0,
    output: /pending {3}0001-tenants-and-themes/,
  })
  t.match(await runCommand(['migrate'], environment), { code: 0, output: /applied 0001-tenants-and-themes/ })
  t.match(await runCommand(['migrate', 'up'], environment), { code: 0, output: /nothing to apply/ })
  const service = await ServiceProcess.start(t, environment)
  t.equal(await brandOf(service, 'acme'), 'Holdfast', 'no demo tenants')
  t.equal(service.stderr, '', 'logs are all it writes')
  t.strictSame(await service.stop(), CLEAN)
})

t.test(
  'in production, a database that lacks migrations and wakes up late is waited for, not used',
  async (t) => {
    const postgres = await startPostgres()
    t.teardown(() => postgres.stop())
    await postgres.kill9()
    const service = await ServiceProcess.start(t, {
      ENVIRONMENT: 'production',
      DATABASE_URL: postgres.url,
      DATA_DIRECTORY: scratchDirectory(t),
    })
    await postgres.restart()
    await waitUntil(() => service.stdout.includes('lacks migrations'))
    t.equal((await fetch(`${service.url}/acme/api/public/load-theme`)).status, 200)
    const pool = testPool(postgres.directUrl, 1)
    await migrateUp(pool, migrations)
    await pool.query(`insert into tenants (slug, name) values ('acme', 'Acme')`)
    await pool.query(`insert into themes (slug, theme) values ('acme', '{"brand_name": "Late"}')`)
    await pool.end()
    await waitUntil(async () => (await brandOf(service, 'acme')) === 'Late')
    t.strictSame(await service.stop(), CLEAN)
  },
)
