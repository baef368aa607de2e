import { writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { RawConnection, startPostgres, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { migrateUp } from '../src/db/migrator.ts'
import { migrations } from '../src/migrations/index.ts'
import { freshDatabase, testGuard, testPool } from './fresh-database.ts'
import { runCommand } from './run-command.ts'
import { brandOf, PRODUCTION, readiness, ServiceProcess, scratchDirectory } from './service-process.ts'

t.setTimeout(300_000)

const CLEAN = { code: 0, signal: null }
/** Runs before the program. */
const TELLS_WHEN_IT_HEARS = `process.on('newListener', (event) => event === 'SIGTERM' && console.error('hears'))`
const postgres = await startPostgres()
t.teardown(() => postgres.stop())

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

t.test('a folder that no database can be kept in is said in one line, with what to change', async (t) => {
  const file = join(scratchDirectory(t), 'a-file')
  writeFileSync(file, '')
  const service = ServiceProcess.spawn(t, { DATA_DIRECTORY: file })
  t.strictSame(await service.ended, { code: 1, signal: null })
  t.match(
    service.stderr,
    /^no PostgreSQL can be kept in [^\n]*a-file: EEXIST[^\n]*; set DATA_DIRECTORY [^\n]*, or DATABASE_URL [^\n]*\n$/,
  )
})

t.test('an address that cannot be listened on is said in one line, with what to change', async (t) => {
  const holder = createServer()
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
  t.teardown(() => holder.close())
  const taken = String((holder.address() as AddressInfo).port)
  const DATABASE_URL = 'postgres://nobody@127.0.0.1:1/nothing'
  const refusedWith = async (environment: Record<string, string>) => {
    const DATA_DIRECTORY = scratchDirectory(t)
    const service = ServiceProcess.spawn(t, { DATABASE_URL, DATA_DIRECTORY, ...environment })
    t.strictSame(await service.ended, { code: 1, signal: null })
    return service.stderr
  }
  const [port, management, host] = await Promise.all([
    refusedWith({ API_PORT: taken }),
    refusedWith({ MANAGEMENT_PORT: taken }),
    refusedWith({ API_HOST: 'nowhere.invalid' }),
  ])
  t.match(
    port,
    /^cannot listen on 127\.0\.0\.1:\d+: [^\n]*EADDRINUSE[^\n]*; change API_HOST or API_PORT[^\n]*\n$/,
  )
  t.match(management, /^[^\n]*management listener[^\n]*EADDRINUSE[^\n]*\n$/)
  t.match(host, /^cannot listen on nowhere\.invalid:\d+: [^\n]*; change API_HOST[^\n]*\n$/)
})

t.test('production refuses a database that lacks migrations, and starts after migrate up', async (t) => {
  const environment = {
    ...PRODUCTION,
    DATABASE_URL: await freshDatabase(postgres.directUrl),
    DATA_DIRECTORY: scratchDirectory(t),
  }
  const refused = ServiceProcess.spawn(t, environment)
  t.strictSame(await refused.ended, { code: 1, signal: null })
  t.match(refused.stderr, /lacks migrations: 0001-tenants-and-themes, .*; apply them with/)

  t.match(await runCommand(['migrate', 'status'], environment), {
    code: 0,
    output: /pending {3}0001-tenants-and-themes/,
  })
  t.match(await runCommand(['migrate'], environment), { code: 0, output: /applied 0001-tenants-and-themes/ })
  t.match(await runCommand(['migrate', 'up'], environment), { code: 0, output: /nothing to apply/ })
  const service = await ServiceProcess.start(t, environment)
  t.equal(await brandOf(service.url, 'acme'), 'Holdfast', 'no demo tenants')
  t.equal(service.stderr, '', 'logs are all it writes')
  t.strictSame(await service.stop(), CLEAN)
})

t.test(
  'in production, a database that lacks migrations and wakes up late is waited for, not used',
  async (t) => {
    const url = await freshDatabase(postgres.url)
    await postgres.kill9()
    const service = await ServiceProcess.start(t, {
      ...PRODUCTION,
      DATABASE_URL: url,
      DATA_DIRECTORY: scratchDirectory(t),
    })
    await postgres.restart()
    await waitUntil(() => service.stdout.includes('lacks migrations'))
    t.equal((await fetch(`${service.url}/acme/api/public/load-theme`)).status, 200)
    const pool = testPool(url, 1)
    await migrateUp(testGuard(t, url, 1), migrations)
    await pool.query(`insert into tenants (slug, name) values ('acme', 'Acme')`)
    await pool.query(`insert into themes (slug, theme) values ('acme', '{"brand_name": "Late"}')`)
    await pool.end()
    await waitUntil(async () => (await brandOf(service.url, 'acme')) === 'Late')
    t.strictSame(await service.stop(), CLEAN)
  },
)

t.test('a signal during the start ends it, without an error', async (t) => {
  postgres.blackhole()
  const service = ServiceProcess.spawn(t, {
    DATABASE_URL: postgres.url,
    DATA_DIRECTORY: scratchDirectory(t),
    DB_CONN_TIMEOUT: '500ms',
  })
  await waitUntil(() => service.stdout.includes('health phase changed'), { timeoutMs: 60_000 })
  t.notMatch(service.stdout, '"started"')
  t.strictSame(await service.stop(), CLEAN)
  t.equal(service.stderr, '')
  await postgres.heal()
})

t.test('a signal before anything is loaded ends it with 0', async (t) => {
  const service = ServiceProcess.spawn(t, {
    DATABASE_URL: postgres.url,
    DATA_DIRECTORY: scratchDirectory(t),
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(TELLS_WHEN_IT_HEARS)}`,
  })
  await waitUntil(() => service.stderr.includes('hears'), { timeoutMs: 60_000 })
  t.strictSame(await service.stop(), CLEAN)
  t.notMatch(service.stdout, '"started"')
})

t.test('production holds a moment, not ready any more, and tells its way in two lines', async (t) => {
  const service = await ServiceProcess.start(t, {
    ...PRODUCTION,
    ENVIRONMENT: 'staging',
    SHUTDOWN_DRAIN: '60s',
    SHUTDOWN_MIN_DRAIN: '500ms',
    DATABASE_URL: await freshDatabase(postgres.directUrl),
    DATA_DIRECTORY: scratchDirectory(t),
  })
  t.match(
    service.stdout,
    /"phases":\{"config":\d+,"checks":\d+,"connect":\d+,"migrations":\d+,"health":\d+,"listen":\d+,"ready":\d+\},"msg":"started"/,
  )
  service.kill('SIGTERM')
  await waitUntil(async () => (await readiness(service.url)).code === 503)
  const theme = await fetch(`${service.url}/acme/api/public/load-theme`)
  t.match([theme.status, theme.headers.get('connection')], [200, 'close'])
  t.strictSame(await service.ended, CLEAN)
  t.match(service.stdout, /"breakers":\{.*"msg":"closing"/)
  t.match(service.stdout, /"reason":"SIGTERM","exitCode":0,.*"held":\[\],"msg":"closed"/)
})

interface Asked {
  readonly method: string
  readonly answer: string
  /** It was reset, as whoever has connected is and was not accepted when a listener closes. */
  readonly broken: boolean
}

/** Asks on a connection of its own each, again and again, until nobody takes one. */
async function askToTheEnd(port: number): Promise<readonly Asked[]> {
  const asked: Asked[] = []
  for (;;) {
    const method = asked.length % 2 === 0 ? 'GET' : 'POST'
    const connection = new RawConnection(port)
    let connected = false
    connection.socket.once('connect', () => {
      connected = true
    })
    const head = `${method} /acme/api/public/load-theme HTTP/1.1\r\nhost: here\r\nconnection: close\r\n`
    connection.say(`${head}content-length: 0\r\n\r\n`)
    await waitUntil(() => connection.closed, { timeoutMs: 60_000, intervalMs: 1 })
    if (!connected) return asked
    asked.push({ method, answer: connection.text, broken: connection.broken })
  }
}

for (const turnAway of ['1s', '0s']) {
  t.test(`with SHUTDOWN_TURN_AWAY=${turnAway}, to who does not notice the end`, async (t) => {
    const service = await ServiceProcess.start(t, {
      SHUTDOWN_DRAIN: '1s',
      SHUTDOWN_MIN_DRAIN: '100ms',
      SHUTDOWN_TURN_AWAY: turnAway,
      DATABASE_URL: await freshDatabase(postgres.directUrl),
      DATA_DIRECTORY: scratchDirectory(t),
    })
    service.kill('SIGTERM')
    const asked = await askToTheEnd(Number(new URL(service.url).port))
    t.strictSame(await service.ended, CLEAN)
    const turned = Number(/"turnedAwayRequests":(\d+),[^\n]*"msg":"closed"/.exec(service.stdout)?.[1])
    const statuses = (method: string) => [
      ...new Set(asked.flatMap((each) => (each.method === method ? [each.answer.slice(9, 12)] : []))),
    ]
    t.comment(`${asked.length} requests, ${turned} turned away`)
    const unanswered = asked.filter(({ answer, broken }) => answer === '' && !broken)
    t.equal(unanswered.length, turned)
    if (turnAway === '0s') {
      t.equal(turned, 0)
      return
    }
    t.ok(turned > 0)
    t.ok(
      unanswered.every(({ method }) => method === 'GET'),
      'what may be done twice alone',
    )
    t.same(
      statuses('GET').filter((status) => status !== ''),
      ['200'],
    )
    t.same(
      statuses('POST').filter((status) => status !== ''),
      ['405'],
    )
  })
}

t.test(
  'without a directory that can be written, the service starts and says what it cannot do',
  async (t) => {
    const service = await ServiceProcess.start(t, {
      DATABASE_URL: await freshDatabase(postgres.directUrl),
      DATA_DIRECTORY: '/dev/null/nowhere',
      DB_SOMETHING: 'x',
      MANAGEMENT_PORT: '0',
      ENABLE_METRICS: 'true',
    })
    t.equal(await brandOf(service.url, 'acme'), 'Acme Markets')
    t.match(service.stdout, /no data directory: themes will not outlive a restart/)
    t.match(service.stdout, /DB_SOMETHING is set, but there is no such setting/)
    const management = /management +(http:\S+)/.exec(service.stderr)?.[1]
    t.match(await (await fetch(`${management}/health/detailed`)).text(), /"themes"/)
    t.match(await (await fetch(`${management}/metrics`)).text(), /process_cpu_seconds_total/)
    t.equal((await fetch(`${service.url}/metrics`)).status, 401)
    t.equal((await fetch(`${service.url}/health/detailed`)).status, 401)
    t.strictSame(await service.stop(), CLEAN)
  },
)
