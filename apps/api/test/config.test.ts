import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t from 'tap'
import {
  ConfigError,
  type ConfigProblem,
  callerDirectory,
  dataDirectory,
  loadConfig,
  processesOf,
  workersOf,
} from '../src/config.ts'
import { shareOf } from '../src/worker-share.ts'
import { PRODUCTION } from './service-process.ts'

function problemsOf(environment: Record<string, string>): readonly ConfigProblem[] {
  try {
    loadConfig(environment)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

function namesOf(environment: Record<string, string>): string[] {
  return problemsOf(environment).map(({ name }) => name)
}

t.test('an empty environment is a complete configuration for development', async (t) => {
  const { config, warnings } = loadConfig({})
  t.strictSame(warnings, [])
  t.match(config, {
    environment: 'development',
    apiHost: '0.0.0.0',
    apiPort: 8000,
    dbWebPoolMax: 20,
    dbPoolMin: 2,
    dbConnTimeoutMs: 5000,
    dbStatementTimeoutMs: 3000,
    dbIdleInTransactionTimeoutMs: 5000,
    themeRefreshIntervalMs: 5000,
    themeCacheMaxBytes: 64 * 1024 * 1024,
    enableMetrics: false,
  })
  t.equal(config.databaseUrl, undefined)
  t.throws(() => Object.assign(config, { apiPort: 1 }), TypeError, 'it is frozen')
})

t.test('every problem is reported at once, with its name, the value and the fix', async (t) => {
  const environment = {
    API_PORT: 'abc',
    LOG_LEVEL: 'loud',
    DB_CONN_TIMEOUT: '5',
    THEME_CACHE_MAX_BYTES: '64',
    ENABLE_METRICS: 'yes',
    DB_WEB_POOL_MAX: '0',
  }
  t.strictSame(namesOf(environment), [
    'API_PORT',
    'LOG_LEVEL',
    'DB_WEB_POOL_MAX',
    'DB_CONN_TIMEOUT',
    'THEME_CACHE_MAX_BYTES',
    'ENABLE_METRICS',
  ])
  t.throws(() => loadConfig(environment), {
    message:
      /^The configuration has 6 problems:\n {2}API_PORT is "abc", which is not a whole number from 0 to 65535\. /,
  })
})

t.test('zero is a value, an empty text is none', async (t) => {
  t.match(loadConfig({ API_PORT: '0', DB_POOL_MIN: '0' }).config, { apiPort: 0, dbPoolMin: 0 })
  t.match(loadConfig({ API_PORT: '', DATABASE_URL: '', DATABASE_URL_FILE: '' }).config, {
    apiPort: 8000,
    databaseUrl: undefined,
  })
})

t.test('times and sizes are read with their units, within their bounds', async (t) => {
  const read = (text: string) => loadConfig({ THEME_REFRESH_INTERVAL: text }).config.themeRefreshIntervalMs
  t.strictSame(['250ms', '3s', '5m', '1h'].map(read), [250, 3000, 300_000, 3_600_000])
  for (const wrong of ['5', '5 s', '-5s', '1.5s', '5S', '2h', '49ms', 's']) {
    t.strictSame(namesOf({ THEME_REFRESH_INTERVAL: wrong }), ['THEME_REFRESH_INTERVAL'], wrong)
  }
  const size = (text: string) => loadConfig({ THEME_CACHE_MAX_BYTES: text }).config.themeCacheMaxBytes
  t.strictSame(['65536B', '512kB', '64MB', '1GB'].map(size), [65_536, 524_288, 67_108_864, 1_073_741_824])
  t.match(problemsOf({ THEME_CACHE_MAX_BYTES: '1kB' })[0], {
    wrong: /out of bounds/,
    fix: 'Write a size from 64kB to 16GB.',
  })
})

t.test('the environment has a few names, and a near miss is not taken for another one', async (t) => {
  t.equal(loadConfig({ ENVIRONMENT: 'TEST' }).config.environment, 'test')
  t.match(problemsOf({ ENVIRONMENT: 'prod' }), [{ name: 'ENVIRONMENT', fix: 'Write production.' }])
  t.match(problemsOf({ ENVIRONMENT: 'qa' }), [{ name: 'ENVIRONMENT', fix: 'Write one of these.' }])
})

t.test('production needs a database', async (t) => {
  t.match(problemsOf(PRODUCTION), [{ name: 'DATABASE_URL', wrong: /unset/ }])
  t.strictSame(namesOf({ ...PRODUCTION, DATABASE_URL: 'postgres://u:p@db/x' }), [])
  t.strictSame(namesOf({ ...PRODUCTION, DATABASE_URL: 'mysql://db/x' }), ['DATABASE_URL'], 'told once')
})

t.test('a pool has a second name, and one of the two is enough', async (t) => {
  t.equal(loadConfig({ DB_POOL_SIZE: '10' }).config.dbWebPoolMax, 10)
  t.match(loadConfig({ DB_MAX_OVERFLOW: '20' }).config, { dbMaxOverflow: 20, dbWorkerPoolMax: 5 })
  t.match(problemsOf({ DB_POOL_SIZE: '10', DB_WEB_POOL_MAX: '10' }), [
    { name: 'DB_WEB_POOL_MAX', wrong: /alias DB_POOL_SIZE are both set/ },
  ])
  t.match(problemsOf({ DB_POOL_SIZE: 'x' }), [{ name: 'DB_POOL_SIZE', wrong: /"x"/ }])
  t.strictSame(loadConfig({ DB_POOL_SIZE: '10' }).warnings, [])
})

t.test('a lease of bots outlasts the ticks at which they are looked for', async (t) => {
  t.match(problemsOf({ BOT_TICK: '8s' }), [
    { name: 'BOT_LEASE', wrong: 'is 15s, less than two BOT_TICK (8s)', fix: 'Raise it, or lower BOT_TICK.' },
  ])
  t.match(loadConfig({ BOT_TICK: '60s', BOT_LEASE: '2m' }).config, { botTickMs: 60_000, botLeaseMs: 120_000 })
})

t.test('statements are never prepared under a name', async (t) => {
  t.equal(loadConfig({ DB_PREPARE_THRESHOLD: '0' }).config.dbPrepareThreshold, 0)
  for (const DB_PREPARE_THRESHOLD of ['5', '-1', 'none']) {
    t.match(problemsOf({ DB_PREPARE_THRESHOLD }), [{ wrong: /pooler/, fix: /Write 0/ }])
  }
})

t.test('a banner is a line that can be shown', async (t) => {
  t.equal(loadConfig({ BROADCAST_BANNER: ' Back at noon ' }).config.broadcastBanner, 'Back at noon')
  t.equal(loadConfig({ BROADCAST_BANNER: 'x'.repeat(500) }).config.broadcastBanner?.length, 500)
  for (const [BROADCAST_BANNER, wrong] of [
    ['   ', /is " {3}", which is nothing but spaces/],
    ['x'.repeat(501), /is longer than 500 characters/],
    ['two\nlines', /is not one line of text/],
    ['to \u202Etfel', /is not one line of text/],
  ] as const) {
    t.match(problemsOf({ BROADCAST_BANNER }), [
      { name: 'BROADCAST_BANNER', wrong, fix: /^(Write|Shorten|Remove)/ },
    ])
  }
})

t.test('variables are checked against each other', async (t) => {
  t.match(problemsOf({ DB_LOCK_TIMEOUT: '3s' }), [{ name: 'DB_LOCK_TIMEOUT', wrong: /come first/ }])
  t.strictSame(namesOf({ DB_STATEMENT_TIMEOUT: '100ms' }), [], 'the default follows it')
  const console = 'postgres://stats@pooler:6432/pgbouncer'
  t.match(problemsOf({ PGBOUNCER_ADMIN_URL: console }), [{ name: 'PGBOUNCER_ADMIN_URL' }])
  const DATABASE_URL = 'postgres://u:p@pooler:6432/x'
  t.strictSame(namesOf({ PGBOUNCER_ADMIN_URL: console, DATABASE_URL }), [])
  t.match(problemsOf({ PGBOUNCER_ADMIN_URL: DATABASE_URL, DATABASE_URL }), [{ fix: /called pgbouncer/ }])
  t.match(problemsOf({ PGBOUNCER_ADMIN_URL: 'x', DATABASE_URL }), [{ name: 'PGBOUNCER_ADMIN_URL' }])
  t.match(problemsOf({ DB_POOL_MIN: '5', DB_WEB_POOL_MAX: '4' }), [{ name: 'DB_POOL_MIN' }])
  t.match(problemsOf({ API_WORKER_STUCK_AFTER: '999ms' }), [
    { name: 'API_WORKER_STUCK_AFTER', wrong: /is 999ms/, fix: /at least 1s, or 0s/ },
  ])
  for (const fine of ['0s', '1s']) t.strictSame(namesOf({ API_WORKER_STUCK_AFTER: fine }), [])
  t.match(problemsOf({ MANAGEMENT_PORT: '8000' }), [{ name: 'MANAGEMENT_PORT' }])
})

t.test('limits are text, and a wrong one is told with the others', async (t) => {
  t.match(loadConfig({}).config, {
    rateLimitsStart: '10/minute',
    rateLimitsStatus: '30/minute',
    rateLimitsGlobal: '200/minute',
    rateLimitsIp: '60/minute',
    rateLimitsPublic: '100 per 60s burst 100 refill 2/s',
  })
  t.equal(loadConfig({ RATE_LIMITS_START: '5 per 15m strict' }).config.rateLimitsStart, '5 per 15m strict')
  t.strictSame(namesOf({ RATE_LIMITS_START: '10', RATE_LIMITS_IP: 'many', RATE_LIMITS_GLOBAL: '0/minute' }), [
    'RATE_LIMITS_START',
    'RATE_LIMITS_GLOBAL',
    'RATE_LIMITS_IP',
  ])
  t.equal(loadConfig({ RATE_LIMITS_START: '5/minute shadow' }).config.rateLimitsStart, '5/minute shadow')
  for (const RATE_LIMITS_IP of ['60/minute shadow', '60/minute strict', '1/hour refill 2000/s']) {
    t.match(problemsOf({ RATE_LIMITS_IP }), [{ name: 'RATE_LIMITS_IP', wrong: /for addresses/ }])
  }
})

t.test('limits of single tenants are JSON, and what is wrong with it is told', async (t) => {
  const read = (RATE_LIMITS_OVERRIDES: string) => loadConfig({ RATE_LIMITS_OVERRIDES }).config
  t.strictSame(read('{ "acme": { "public": "500/minute", "tenant": "9/s" } }').rateLimitsOverrides, {
    acme: { public: '500/minute', tenant: '9/s' },
  })
  t.strictSame(read('{}').rateLimitsOverrides, {})
  t.equal(read('').rateLimitsOverrides, undefined)
  const many = Object.fromEntries(Array.from({ length: 4001 }, (_, at) => [`t${at}`, { public: '1/s' }]))
  for (const [text, wrong, fix] of [
    ['acme=5', /is not JSON/, /"acme"/],
    ['[]', /names no tenants/, /"acme"/],
    ['{ "Acme Inc": {} }', /names the tenant "Acme Inc", which can be none/, /"acme"/],
    ['{ "acme": "5/minute" }', /has no limits by name in "acme"/, /"acme"/],
    ['{ "acme": { "pubic": "5/minute" } }', /names the limit "pubic" in "acme"/, /Write public\./],
    ['{ "acme": { "ip": "5/minute" } }', /names the limit "ip" in "acme"/, /start, stop, /],
    ['{ "acme": { "public": 5 } }', /has for public in "acme" 5, which is no text/, /10\/minute/],
    ['{ "acme": { "public": "5" } }', /has for public in "acme" "5", which is not a limit/, /10\/minute/],
    [JSON.stringify(many), /more than 4000/, /fewer/],
  ] as const) {
    t.match(
      problemsOf({ RATE_LIMITS_OVERRIDES: text }),
      [{ name: 'RATE_LIMITS_OVERRIDES', wrong, fix }],
      text.slice(0, 50),
    )
  }
})

t.test('leases are off, on or strict, and the processes are a number', async (t) => {
  t.match(loadConfig({}).config, { rateLimitsLeases: 'off', apiWorkers: 4, apiProcesses: undefined })
  const shared = { REDIS_URL: 'redis://127.0.0.1' }
  const given = loadConfig({ ...shared, RATE_LIMITS_LEASES: 'strict', API_PROCESSES: '12' })
  t.match(given, { config: { rateLimitsLeases: 'strict', apiProcesses: 12 }, warnings: [] })
  t.strictSame(namesOf({ RATE_LIMITS_LEASES: 'true', API_WORKERS: '0' }), [
    'API_WORKERS',
    'RATE_LIMITS_LEASES',
  ])
})

t.test('weights of answers are statuses and numbers, or none', async (t) => {
  const read = (ABUSE_WEIGHTS: string) => loadConfig({ ABUSE_WEIGHTS }).config.abuseWeights
  t.strictSame(read(''), { 404: 2 })
  t.strictSame(read('401:20, 429:3'), { 401: 20, 429: 3 })
  t.strictSame(read('none'), {})
  for (const [text, wrong] of [
    ['401', /holds "401", which is no status/],
    ['401:0', /"401:0"/],
    ['401:1001', /"401:1001"/],
    ['600:2', /"600:2"/],
    ['401:5,', /holds ""/],
    ['401:5,401:6', /names 401 twice/],
  ] as const) {
    t.match(problemsOf({ ABUSE_WEIGHTS: text }), [{ name: 'ABUSE_WEIGHTS', wrong, fix: /404:2/ }], text)
  }
})

t.test('proxies are trusted by their networks, and not all of them', async (t) => {
  const { config } = loadConfig({ TRUST_PROXY: '10.0.0.0/8, 2001:db8::/32,loopback' })
  t.strictSame(config.trustProxy, ['10.0.0.0/8', '2001:db8::/32', '127.0.0.0/8', '::1'])
  for (const TRUST_PROXY of [
    'true',
    '1',
    '*',
    '10.0.0.0/33',
    'proxy.example',
    '10.0.0.0/8,',
    '10.0.0.1:80',
  ]) {
    t.match(
      problemsOf({ TRUST_PROXY }),
      [{ name: 'TRUST_PROXY', wrong: /no address and no network/ }],
      TRUST_PROXY,
    )
  }
  for (const TRUST_PROXY of ['0.0.0.0/0', '10.0.0.0/8,::/0']) {
    t.match(problemsOf({ TRUST_PROXY }), [{ name: 'TRUST_PROXY', wrong: /choose their own addresses/ }])
  }
  const many = Array.from({ length: 1001 }, (_, at) => `10.0.${at >> 8}.${at & 255}`).join(',')
  t.match(problemsOf({ RATE_LIMITS_EXEMPT: many }), [{ wrong: /more than 1000/ }])
})

t.test('production needs a secret, and cookies that go over HTTPS alone', async (t) => {
  const DATABASE_URL = 'postgres://u:p@db/x'
  t.match(problemsOf({ ENVIRONMENT: 'production', DATABASE_URL }), [
    { name: 'SECRET_KEY', wrong: /unset/, fix: /openssl/ },
    { name: 'SESSION_SECURE', wrong: /not true/ },
  ])
  t.match(problemsOf({ ...PRODUCTION, DATABASE_URL, SECRET_KEY: 'short' }), [
    { name: 'SECRET_KEY', wrong: /shorter than 32/ },
  ])
  t.match(problemsOf({ SECRET_KEY: `${'x'.repeat(40)} ` }), [{ name: 'SECRET_KEY', wrong: /white space/ }])
  t.match(loadConfig({ ...PRODUCTION, DATABASE_URL }).warnings, [/SMTP_URL is unset/])
  t.strictSame(loadConfig({ ...PRODUCTION, DATABASE_URL, SMTP_URL: 'smtp://mail.example' }).warnings, [])
})

t.test('origins and mail servers are written as such', async (t) => {
  const { config } = loadConfig({
    TRUSTED_ORIGINS: 'https://a.example, http://b.example:8080/',
    PUBLIC_URL: 'https://c.example',
    SMTP_URL: 'smtps://u:p@mail.example',
  })
  t.strictSame(config.trustedOrigins, ['https://a.example', 'http://b.example:8080'])
  t.equal(config.publicUrl, 'https://c.example')
  for (const wrong of ['a.example', 'https://a.example/path', 'ftp://a.example', 'null', '*']) {
    t.match(problemsOf({ TRUSTED_ORIGINS: wrong }), [{ name: 'TRUSTED_ORIGINS' }], wrong)
    t.match(problemsOf({ PUBLIC_URL: wrong }), [{ name: 'PUBLIC_URL' }], wrong)
    t.match(problemsOf({ SMTP_URL: wrong }), [{ name: 'SMTP_URL' }], wrong)
  }
  t.match(problemsOf({ TRUSTED_ORIGINS: Array(101).fill('https://a.example').join(',') }), [
    { wrong: /more than 100/ },
  ])
})

t.test('an address that Kubernetes injected as API_PORT is recognised', async (t) => {
  t.match(problemsOf({ API_PORT: 'tcp://10.0.0.1:8000' }), [{ fix: /enableServiceLinks/ }])
})

t.test('no secret shows in a problem, a log or an inspection', async (t) => {
  const password = 'correct-horse-battery'
  for (const DATABASE_URL of [`mysql://u:${password}@db/x`, password]) {
    t.notMatch(JSON.stringify(problemsOf({ DATABASE_URL })), password)
  }
  const { config } = loadConfig({
    DATABASE_URL: `postgres://u:${password}@db/x`,
    METRICS_TOKEN: `${password}-token`,
  })
  t.equal(config.databaseUrl?.reveal(), `postgres://u:${password}@db/x`)
  t.notMatch(JSON.stringify(config), password)
  t.notMatch(inspect(config, { depth: 9, showHidden: true }), password)
  t.notMatch(`${config.databaseUrl}`, password)
})

t.test('a secret may come from a file', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-config-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const file = (name: string, content: string) => {
    const path = join(directory, name)
    writeFileSync(path, content)
    return path
  }
  const token = loadConfig({ METRICS_TOKEN_FILE: file('token', 'from-a-file-0123456789\n') }).config
    .metricsToken
  t.equal(token?.reveal(), 'from-a-file-0123456789')
  t.match(problemsOf({ METRICS_TOKEN_FILE: join(directory, 'missing') }), [
    { name: 'METRICS_TOKEN_FILE', wrong: /cannot be read \(ENOENT\)/ },
  ])
  t.match(problemsOf({ METRICS_TOKEN_FILE: directory }), [{ wrong: /cannot be read \(EISDIR\)/ }])
  t.match(problemsOf({ METRICS_TOKEN_FILE: file('empty', '\n') }), [{ wrong: /is empty/ }])
  t.match(problemsOf({ METRICS_TOKEN_FILE: file('huge', 'x'.repeat(65_537)) }), [{ wrong: /65537 bytes/ }])
  for (const METRICS_TOKEN of [
    'two words of a token',
    'tökën-with-enough-letters',
    'with-a-line\nbreak-in-it',
  ]) {
    t.match(problemsOf({ METRICS_TOKEN }), [
      { name: 'METRICS_TOKEN', wrong: /no Authorization header can carry/ },
    ])
    t.notMatch(JSON.stringify(problemsOf({ METRICS_TOKEN })), METRICS_TOKEN, 'without saying it')
  }
  t.match(problemsOf({ METRICS_TOKEN: 'x'.repeat(4097) }), [{ wrong: 'is longer than 4096 characters' }])
  t.match(problemsOf({ METRICS_TOKEN_FILE: file('token', 'a'), METRICS_TOKEN: 'b' }), [{ wrong: /both set/ }])
  const notAUrl = file('url', 'secret-text')
  t.match(problemsOf({ ...PRODUCTION, DATABASE_URL_FILE: notAUrl }), [{ name: 'DATABASE_URL' }])
  if (process.getuid?.() !== 0) {
    chmodSync(notAUrl, 0)
    t.match(problemsOf({ DATABASE_URL_FILE: notAUrl }), [{ wrong: /EACCES/ }])
  }
})

t.test('variables that nothing reads are pointed out, with the one that was meant', async (t) => {
  const warningsOf = (environment: Record<string, string>) => loadConfig(environment).warnings
  t.match(warningsOf({ DATABSE_URL: 'postgres://x' }), [/DATABSE_URL .* did you mean DATABASE_URL\?/])
  t.match(warningsOf({ API_PROT: '1' }), [/did you mean API_PORT\?/])
  t.match(warningsOf({ DB_SOMETHING_ELSE: '1' }), [/DB_SOMETHING_ELSE is set, but there is no such setting$/])
  for (const name of ['ODDS_SOMETHING_ELSE', 'JOBS_SOMETHING_ELSE', 'BOTS_SOMETHING_ELSE']) {
    t.match(warningsOf({ [name]: '1' }), [new RegExp(`${name} is set, but there is no such setting$`)])
  }
  t.strictSame(
    warningsOf({
      API_SERVICE_HOST: '10.0.0.1',
      API_PORT_8000_TCP: 'tcp://x',
      REDIS_PORT: 'tcp://10.0.0.2:6379',
      HOME: '/',
      PATH: '/',
    }),
    [],
  )
  t.strictSame(warningsOf({ API_PROT: '' }), [], 'an empty one is unset')
  t.throws(
    () =>
      loadConfig({
        ...PRODUCTION,
        DATABASE_URL: 'postgres://u:p@db/x',
        SECRET_KEY: '',
        SECRET_KYE: 'a-secret-that-nothing-reads',
      }),
    /1 problem:\n {2}SECRET_KEY is unset.*\n {2}SECRET_KYE is set, but there is no such setting; did you mean SECRET_KEY\?$/,
    'also where something else is wrong: what is missing may be misspelt',
  )
  t.match(warningsOf({ METRICS_TOKEN: 'short' }), [/^METRICS_TOKEN .*fewer than 16 characters/])
  t.match(warningsOf({ ADMIN_TOKEN: 'short' }), [/^ADMIN_TOKEN .*fewer than 16 characters/])
  t.match(warningsOf({ ENABLE_METRICS: 'true' }), [/nobody is allowed/])
})

t.test('what does nothing without Redis is pointed out', async (t) => {
  const warningsOf = (environment: Record<string, string>) => loadConfig(environment).warnings
  const shared = { API_PROCESSES: '4', RATE_LIMITS_LEASES: 'strict' }
  t.match(warningsOf(shared), [/^API_PROCESSES .*4 times each limit/, /^RATE_LIMITS_LEASES .*without Redis/])
  for (const name of ['REDIS_URL', 'RATE_LIMIT_REDIS_URL']) {
    t.strictSame(warningsOf({ ...shared, [name]: 'redis://127.0.0.1' }), [])
  }
  t.match(warningsOf({ API_WORKERS: '2' }), [/^API_WORKERS is 2, and one process serves: without REDIS_URL/])
  t.strictSame(warningsOf({ API_WORKERS: '1', RATE_LIMITS_LEASES: 'off' }), [])
})

t.test('there are four workers where they share a Redis, and one where they would not', async (t) => {
  const settingsOf = (environment: Record<string, string>) => loadConfig(environment).config
  const shared = { REDIS_URL: 'redis://127.0.0.1' }
  t.equal(workersOf(settingsOf({})), 1)
  t.equal(workersOf(settingsOf({ RATE_LIMIT_REDIS_URL: 'redis://127.0.0.1' })), 1)
  t.equal(workersOf(settingsOf(shared)), 4)
  t.equal(workersOf(settingsOf({ ...shared, API_WORKERS: '2' })), 2)
  t.strictSame([{}, shared, { ...shared, API_PROCESSES: '12' }].map(settingsOf).map(processesOf), [1, 4, 12])
})

t.test('workers share connections: together they have no more, and each has one', async (t) => {
  const { config } = loadConfig({})
  const share = { poolMax: 20, poolOverflow: 10, poolMin: 2, maxConnections: 10_000 }
  t.strictSame(shareOf(config, 1), share)
  t.strictSame(shareOf(config, 4), { poolMax: 5, poolOverflow: 3, poolMin: 1, maxConnections: 2500 })
  t.strictSame(shareOf(config, 256), { poolMax: 1, poolOverflow: 1, poolMin: 1, maxConnections: 40 })
  t.equal(shareOf({ ...config, dbMaxOverflow: 0 }, 4).poolOverflow, 0)
  // Only people come in bursts.
  t.strictSame(shareOf({ ...config, processType: 'worker_odds' }, 1), {
    ...share,
    poolMax: 5,
    poolOverflow: 0,
  })
})

t.test('a process that only works is one, has a small pool, and needs what it works on', async (t) => {
  const database = { DATABASE_URL: 'postgres://127.0.0.1/db' }
  const worker = { ...database, PROCESS_TYPE: 'worker_bots' }
  const { config } = loadConfig({ ...worker, REDIS_URL: 'redis://127.0.0.1', API_WORKERS: '3' })
  t.equal(workersOf(config), 1)
  t.equal(loadConfig({}).config.processType, 'all')
  t.match(problemsOf({ PROCESS_TYPE: 'worker' }), [{ name: 'PROCESS_TYPE' }])
  t.match(problemsOf({ PROCESS_TYPE: 'worker_bots' }), [
    { name: 'DATABASE_URL', wrong: /a database of its own/ },
  ])
  t.match(problemsOf({ ...worker, DB_POOL_MIN: '6' }), [{ name: 'DB_POOL_MIN', wrong: /DB_WORKER_POOL_MAX/ }])
  t.match(problemsOf({ ...worker, PROCESS_TYPE: 'worker_odds' }), [{ name: 'ODDS_PROVIDER_URL' }])
  t.doesNotThrow(() => loadConfig({ PROCESS_TYPE: 'web' }))
})

t.test('texts are bounded and hold no control characters', async (t) => {
  t.match(problemsOf({ APP_VERSION: 'x'.repeat(257) }), [{ name: 'APP_VERSION', wrong: /longer than 256/ }])
  t.match(problemsOf({ API_HOST: 'a\u0000b' }), [{ name: 'API_HOST', wrong: /control character/ }])
})

t.test('a relative data directory counts from where the person called', async (t) => {
  const { config } = loadConfig({ DATA_DIRECTORY: 'data' })
  t.equal(dataDirectory(config, { INIT_CWD: '/somewhere' }), '/somewhere/data')
  t.match(dataDirectory(loadConfig({}).config), /apps\/api\/\.data$/)
  t.equal(callerDirectory({}), process.cwd())
})
