// `check` as a person calls it, over real servers: what it says, in which form, with which exit code, and how long it
// takes when nothing answers. Then the same list at the start, and for operators.

import { freePort, startPostgres, startRedis } from '@holdfast/test-kit'
import t from 'tap'
import { freshDatabase } from './fresh-database.ts'
import { runCommand } from './run-command.ts'
import { soundDatabase, withDatabase } from './seeded-database.ts'
import { ServiceApp } from './service-app.ts'
import { PRODUCTION, ServiceProcess, scratchDirectory } from './service-process.ts'

t.setTimeout(300_000)

const postgres = await startPostgres({ settings: { fsync: 'on', full_page_writes: 'on' } })
t.teardown(() => postgres.stop())

const check = (words: readonly string[], environment: Readonly<Record<string, string>>) =>
  runCommand(['check', ...words], environment)

t.test('a deployment in order ends with 0, one with a warning with 1, a mistake with 2', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const DATABASE_URL = await soundDatabase(postgres)
  const environment = {
    API_WORKERS: '1',
    DATABASE_URL,
    REDIS_URL: redis.directUrl,
    DATA_DIRECTORY: scratchDirectory(t),
  }
  // A machine that is busy enough takes its time to answer, which is a warning.
  let well = await check([], environment)
  for (let again = 0; again < 10 && /takes \d+ ms/.test(well.output); again += 1) {
    well = await check([], environment)
  }
  t.equal(well.code, 0, well.output)
  t.match(well.output, /PASS {2}migrations +all \d+ migrations are applied/)
  t.match(well.output, /PASS {2}database +PostgreSQL 18 answers in \d+ ms/)
  t.match(well.output, /PASS {2}connections +the service opens at most 30 connections, directly/)
  t.match(well.output, /PASS {2}redis +redis:\/\/127\.0\.0\.1:\d+\/0 is Redis/)
  t.match(well.output, /\n\n13 checks: 13 passed, 0 with a warning, 0 failed, in \d+ ms\n$/)

  const empty = { ...environment, DATABASE_URL: await freshDatabase(postgres.directUrl) }
  t.match(await check([], empty), { code: 1, output: /WARN {2}migrations +the database lacks/ })
  t.match(await check([], { ...empty, ...PRODUCTION }), {
    code: 2,
    output:
      /FAIL {2}migrations +the database lacks 0001-tenants-and-themes, [\s\S]*-> pnpm --filter @holdfast\/api migrate up/,
  })
  t.match(await check([], { ...environment, API_PROCESSES: '50' }), {
    code: 2,
    output:
      /FAIL {2}connections +all processes together may open 1500 connections, and the server has 97.*\n +-> Raise max_connections to 1503, lower DB_WEB_POOL_MAX \(20\)/,
  })
})

t.test('with nothing set it says what it could not look at', async (t) => {
  t.match(await check([], { DATA_DIRECTORY: scratchDirectory(t) }), {
    code: 1,
    output: /WARN {2}database +DATABASE_URL is unset.*\n +-> Set it; or start the service once/,
  })
})

t.test(
  'servers that are gone or do not answer are named within seconds, once each, without a password',
  async (t) => {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const frozen = await startPostgres()
    t.teardown(() => frozen.stop())
    const hidden = 'hidden-from-all'
    const environment = { DATA_DIRECTORY: scratchDirectory(t) }
    const gone = await check([], {
      ...environment,
      DATABASE_URL: `postgres://web:${hidden}@127.0.0.1:1/none`,
      DATABASE_MIGRATION_URL: `postgres://owner:${hidden}-too@127.0.0.1:1/none`,
      REDIS_URL: `redis://:${hidden}@127.0.0.1:1`,
    })
    t.equal(gone.code, 2)
    t.match(
      gone.output,
      /FAIL {2}database +the database cannot be used: .*ECONNREFUSED 127\.0\.0\.1:1\n +-> Nothing/,
    )
    t.match(gone.output, /WARN {2}connections +not looked at: the database cannot be asked\n/)
    t.match(gone.output, /WARN {2}migrations +not looked at/)
    t.match(gone.output, /FAIL {2}migration-url +the database cannot be reached for migrations/)
    t.match(
      gone.output,
      /FAIL {2}redis +REDIS_URL \(redis:\/\/127\.0\.0\.1:1\/0\) does not answer: .*ECONNREFUSED/,
    )
    t.notMatch(gone.output, hidden)

    redis.freeze()
    frozen.freeze()
    const stopped = await check([], {
      ...environment,
      DATABASE_URL: withDatabase('postgres', frozen.directUrl).replace('@', `:${hidden}@`),
      REDIS_URL: redis.directUrl.replace('://', `://:${hidden}@`),
    })
    frozen.thaw()
    redis.thaw()
    t.equal(stopped.code, 2)
    t.match(
      stopped.output,
      /FAIL {2}database .*no answer within 3000 ms\n +-> Something is there and does not answer/,
    )
    t.match(stopped.output, /FAIL {2}redis .*\n +-> Something is there and does not answer: Redis is frozen/)
    const [, tookMs = ''] = /failed, in (\d+) ms/.exec(stopped.output) ?? []
    // The time of a check, not that of a person who gives up.
    t.ok(Number(tookMs) < 10_000, tookMs)
    t.notMatch(stopped.output, hidden)
  },
)

t.test('a file that a URL names and that is not there is told with the rest', async (t) => {
  const path = '/no/such/authority.pem'
  const { code, output } = await check([], {
    DATABASE_URL: `postgres://web@127.0.0.1:1/none?sslmode=verify-full&sslrootcert=${path}`,
    PGBOUNCER_ADMIN_URL: 'postgres://stats@127.0.0.1:1/pgbouncer',
    DATA_DIRECTORY: scratchDirectory(t),
  })
  t.equal(code, 2)
  t.match(
    output,
    /FAIL {2}files +sslrootcert of DATABASE_URL is \/no\/such\/authority\.pem, which cannot be read/,
  )
  t.match(
    output,
    /FAIL {2}database +the database cannot be used: ENOENT.*\n +-> A file that DATABASE_URL names/,
  )
  t.match(
    output,
    /PASS {2}certificates +the certificate of PostgreSQL at 127\.0\.0\.1:1 .* was not looked at: .*ECONNREFUSED/,
  )
})

t.test('settings that cannot be used are told, one for each', async (t) => {
  const { code, output } = await check([], {
    API_PORT: 'abc',
    DB_POOL_MIN: '99',
    DATA_DIRECTORY: scratchDirectory(t),
  })
  t.equal(code, 2)
  t.match(output, /FAIL {2}settings {2}API_PORT is "abc"[\s\S]*FAIL {2}settings {2}DB_POOL_MIN is 99/)
  t.match(output, /\n\none check: 0 passed, 0 with a warning, 1 failed/)
})

t.test('programs get the names of rules, and probes of a service that runs are asked', async (t) => {
  const DATABASE_URL = await soundDatabase(postgres)
  const service = await ServiceApp.start(t, { DATABASE_URL: withDatabase('postgres', postgres.directUrl) })
  const environment = { DATABASE_URL, DATA_DIRECTORY: scratchDirectory(t) }
  const json = await check(['--format', 'json', '--url', service.url], environment)
  const body = JSON.parse(json.output)
  t.match(body, { summary: { total: 14, fail: 0 } })
  t.match(
    body.checks.find(({ name }: { name: string }) => name === 'probes'),
    { status: 'pass', findings: [{ message: '/healthz answers 200' }, {}, {}, {}] },
  )
  const junit = await check(
    ['--format', 'junit', '--url', `http://127.0.0.1:${await freePort()}`],
    environment,
  )
  t.equal(junit.code, 2)
  t.match(
    junit.output,
    /<testcase classname="deployment" name="probes"[^>]*>\n +<failure type="probe-fails" message="\/healthz does not answer: connect ECONNREFUSED/,
  )
})

t.test('what it does not understand is said, with how to call it', async (t) => {
  for (const words of [['--format', 'yaml'], ['--url', 'nowhere'], ['--nonsense'], ['word']]) {
    t.match(await check(words, {}), { code: 2, output: /usage: pnpm -C apps\/api check/ })
  }
  t.match(await check(['--help'], {}), { code: 0, output: /exit code 0/ })
})

t.test(
  'operators get the same of an instance that serves, and however many ask, it looks once',
  async (t) => {
    const DATABASE_URL = await soundDatabase(postgres)
    const ADMIN_TOKEN = 'a-token-for-operators-of-tests'
    const service = await ServiceApp.start(t, {
      DATABASE_URL,
      ADMIN_TOKEN,
      RATE_LIMITS_EXEMPT: '',
      SHUTDOWN_DRAYN: '1s',
    })
    const ask = (token = ADMIN_TOKEN) =>
      fetch(`${service.url}/admin/deployment`, { headers: { authorization: `Bearer ${token}` } })
    const pages = await Promise.all(Array.from({ length: 4 }, () => ask()))
    for (const page of pages) t.equal(page.status, 200)
    const bodies = (await Promise.all(pages.map((page) => page.json()))) as { timestamp: string }[]
    t.match(bodies[0], {
      checks: [
        {
          name: 'settings',
          findings: [{ status: 'pass' }, { rule: 'setting-doubtful', message: /SHUTDOWN_DRAYN/ }],
        },
      ],
      summary: { total: 14, fail: 0 },
    })
    t.equal(pages[0]?.headers.get('cache-control'), 'no-store')
    t.equal(new Set(bodies.map(({ timestamp }) => timestamp)).size, 1)
    const later = (await (await ask()).json()) as { timestamp: string }
    t.equal(later.timestamp, bodies[0]?.timestamp, 'soon after, too')
    t.equal((await ask('a-token-of-somebody-else-entirely')).status, 401)
    t.equal((await fetch(`${service.url}/admin/deployment`)).status, 401)
  },
)

t.test('in production a failure ends the start, in lines that say what to do', async (t) => {
  const service = ServiceProcess.spawn(t, {
    ...PRODUCTION,
    SECRET_KEY: 'change-me-change-me-change-me-change-me',
    SHUTDOWN_GRACE: '1s',
    DATABASE_URL: postgres.directUrl,
    DATA_DIRECTORY: scratchDirectory(t),
  })
  t.strictSame(await service.ended, { code: 1, signal: null })
  t.match(
    service.stderr,
    /^this deployment must not run like this:\n {2}secrets: SECRET_KEY looks like the sample of a manual\. Make one with: openssl.*\n {2}shutdown: the way down may take 37s .* Raise what kills it/,
  )
  t.notMatch(service.stderr, /change-me/)
})

t.test('in production each process counts the connections of all of them', async (t) => {
  const service = ServiceProcess.spawn(t, {
    ...PRODUCTION,
    API_PROCESSES: '50',
    DATABASE_URL: await soundDatabase(postgres),
    DATA_DIRECTORY: scratchDirectory(t),
  })
  t.strictSame(await service.ended, { code: 1, signal: null })
  t.match(
    service.stderr,
    /^the database cannot be used like this: all processes together may open 1500 connections/,
  )
})

t.test('what only warns is in the log, and the service runs', async (t) => {
  const service = await ServiceProcess.start(t, {
    ...PRODUCTION,
    DATABASE_URL: await soundDatabase(postgres),
    DATA_DIRECTORY: scratchDirectory(t),
  })
  t.match(service.stdout, /"check":"security","rule":"proxy-unset","hint":"Let TRUST_PROXY name the networks/)
  t.strictSame(await service.stop(), { code: 0, signal: null })
})
