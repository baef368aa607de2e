// `check` as a person calls it, over real servers: what it says, in which form, and with which exit code.

import { startPostgres, startRedis } from '@holdfast/test-kit'
import t from 'tap'
import { migrateUp } from '../src/db/migrator.ts'
import { migrations } from '../src/migrations/index.ts'
import { freshDatabase, testGuard, testPool } from './fresh-database.ts'
import { runCommand } from './run-command.ts'
import { ServiceApp } from './service-app.ts'
import { PRODUCTION, ServiceProcess, scratchDirectory } from './service-process.ts'

t.setTimeout(300_000)

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

const check = (words: readonly string[], environment: Readonly<Record<string, string>>) =>
  runCommand(['check', ...words], environment)

t.test('migrations, the database and Redis: each mistake with its hint', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const DATABASE_URL = await freshDatabase(postgres.directUrl)
  const environment = { DATABASE_URL, REDIS_URL: redis.directUrl, DATA_DIRECTORY: scratchDirectory(t) }
  const production = { ...environment, ...PRODUCTION }

  t.match(await check([], production), {
    code: 2,
    output:
      /FAIL {2}migrations +the database lacks 0001-tenants-and-themes, [\s\S]*-> pnpm --filter @holdfast\/api migrate up/,
  })
  t.match(await check([], environment), { code: 1, output: /WARN {2}migrations +the database lacks/ })

  const guard = testGuard(t, DATABASE_URL, 1)
  await migrateUp(guard, migrations)
  const well = await check([], environment)
  t.equal(well.code, 1, 'the role of the tests is a superuser')
  t.match(well.output, /PASS {2}migrations +all \d+ migrations are applied/)
  t.match(well.output, /PASS {2}redis +redis:\/\/127\.0\.0\.1:\d+\/0 is Redis/)
  t.match(well.output, /WARN {2}database +SUPERUSER/)

  t.match(await check([], { ...environment, API_PROCESSES: '50' }), {
    code: 2,
    output:
      /FAIL {2}database +CONNECTIONS_EXCEED_SERVER\n +-> all processes together may open 1500 connections/,
  })
  const pool = testPool(DATABASE_URL, 1)
  await pool.query(`update migration_history set checksum = 'x' where name = '0002-theme-history'`)
  t.match(await check([], environment), {
    code: 2,
    output: /FAIL {2}migrations +.*0002-theme-history[\s\S]*put it back, and write a new migration/,
  })
  await pool.query('delete from migration_history')
  await pool.query(
    `insert into migration_history (name, direction, checksum) values ('9999-from-the-future', 'up', 'x')`,
  )
  t.match(await check([], environment), {
    output: /WARN {2}migrations +the database has 9999-from-the-future/,
  })
  await pool.end()
  t.match(await check([], { ...environment, DATABASE_URL: 'postgres://nobody:nothing@127.0.0.1:1/none' }), {
    code: 2,
    output: /FAIL {2}database +the database cannot be used: [\s\S]*-> Check DATABASE_URL/,
  })
  const lost = await check([], { ...environment, REDIS_URL: 'redis://:hidden-from-all@127.0.0.1:1' })
  t.match(lost, {
    code: 2,
    output: /FAIL {2}redis +REDIS_URL \(redis:\/\/127\.0\.0\.1:1\/0\) does not answer: .*ECONNREFUSED/,
  })
  t.notMatch(lost.output, /hidden-from-all/)
})

t.test('settings that cannot be used are told, one for each', async (t) => {
  const { code, output } = await check([], {
    API_PORT: 'abc',
    DB_POOL_MIN: '99',
    DATA_DIRECTORY: scratchDirectory(t),
  })
  t.equal(code, 2)
  t.match(output, /FAIL {2}settings {2}API_PORT is "abc"[\s\S]*FAIL {2}settings {2}DB_POOL_MIN is 99/)
  t.match(output, /1 checks: 0 passed, 0 with a warning, 1 failed/)
})

t.test(
  'the probes of a service that runs are asked, and the forms are those that were asked for',
  async (t) => {
    const DATABASE_URL = await freshDatabase(postgres.directUrl)
    const ADMIN_TOKEN = 'a-token-for-operators-of-tests'
    const service = await ServiceApp.start(t, { DATABASE_URL, ADMIN_TOKEN })
    const environment = { DATABASE_URL, DATA_DIRECTORY: scratchDirectory(t) }
    const json = await check(['--format', 'json', '--url', service.url], environment)
    const body = JSON.parse(json.output)
    t.match(body, { status: 'warn', summary: { fail: 0 } })
    t.match(
      body.checks.find(({ name }: { name: string }) => name === 'probes'),
      { status: 'pass', findings: [{ message: '/healthz answers 200' }, {}, {}, {}] },
    )
    const junit = await check(['--format', 'junit', '--url', 'http://127.0.0.1:1'], environment)
    t.equal(junit.code, 2)
    t.match(junit.output, /<testcase classname="deployment" name="probes"[^>]*>\n +<failure message=/)

    const page = await fetch(`${service.url}/admin/deployment`, {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    })
    t.equal(page.status, 200)
    t.match(await page.json(), { status: 'warn', checks: [{ name: 'settings', status: 'pass' }] })
    t.equal((await fetch(`${service.url}/admin/deployment`)).status, 401)
  },
)

t.test('what it does not understand is said, with how to call it', async (t) => {
  for (const words of [['--format', 'yaml'], ['--url', 'nowhere'], ['--nonsense'], ['word']]) {
    t.match(await check(words, {}), { code: 2, output: /usage: pnpm --filter @holdfast\/api check/ })
  }
  t.match(await check(['--help'], {}), { code: 0, output: /exit code 0/ })
})

t.test('in production a failure ends the start, in lines that say what to do', async (t) => {
  const service = ServiceProcess.spawn(t, {
    ...PRODUCTION,
    SECRET_KEY: 'change-me-change-me-change-me-change-me',
    DATABASE_URL: postgres.directUrl,
    DATA_DIRECTORY: scratchDirectory(t),
  })
  t.strictSame(await service.ended, { code: 1, signal: null })
  t.match(
    service.stderr,
    /^this deployment must not run like this:\n {2}secrets: SECRET_KEY looks like the sample of a manual\. Make one with: openssl/,
  )
  t.notMatch(service.stderr, /change-me/)
})
