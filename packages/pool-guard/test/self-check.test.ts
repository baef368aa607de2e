import { startPgBouncer, startPostgres } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { PoolGuard, type PoolGuardOptions } from '../src/index.ts'
import { evaluateSelfCheck, type SelfCheckWishes, type ServerFacts } from '../src/self-check.ts'
import { startupTimeouts, timeoutMs } from '../src/startup-timeouts.ts'

const wishes: SelfCheckWishes = {
  guardrails: {
    statementTimeoutMs: 3000,
    lockTimeoutMs: 1000,
    idleInTransactionTimeoutMs: 5000,
    transactionTimeoutMs: 0,
  },
  statementTimeoutMs: 3000,
  namedStatements: false,
  startupTimeouts: {},
  connections: 20,
}

const settings = (values: Readonly<Record<string, string>> = {}): ServerFacts['settings'] =>
  Object.fromEntries(
    Object.entries({
      statement_timeout: '3000',
      idle_in_transaction_session_timeout: '5000',
      client_connection_check_interval: '1000',
      max_connections: '100',
      superuser_reserved_connections: '3',
      reserved_connections: '0',
      ...values,
    }).map(([name, value]) => [name, { value, source: 'user' }]),
  )

const direct: ServerFacts = {
  clientPid: 7,
  backendPid: 7,
  serverVersion: 180_004,
  role: 'app_web',
  superuser: false,
  roleConnectionLimit: -1,
  settings: settings(),
}
const pooled: ServerFacts = { ...direct, clientPid: -2_097_390_271 }

const found = (...parameters: Parameters<typeof evaluateSelfCheck>) =>
  evaluateSelfCheck(...parameters).map(({ code, level }) => `${level} ${code}`)

t.test('a good set-up has no findings, direct and behind a pooler', async (t) => {
  t.strictSame(found(wishes, direct), [])
  const config = { pool_mode: 'transaction', default_pool_size: '60', max_client_conn: '400' }
  t.strictSame(found(wishes, pooled, { version: '1.18.0', config }), [])
})

t.test('a startup parameter that is not in force fails, and one behind a pooler is luck', async (t) => {
  const asked = { ...wishes, startupTimeouts: { statement_timeout: 3000, lock_timeout: 500 } }
  t.strictSame(found(asked, direct), ['fail STARTUP_PARAMETER_IGNORED'])
  t.strictSame(found(asked, pooled), ['fail STARTUP_PARAMETER_IGNORED', 'warn STARTUP_PARAMETER_POOLED'])
  const [first] = evaluateSelfCheck(asked, pooled)
  t.match(first?.hint, /alter role app_web set lock_timeout = '500ms'/)
})

t.test('named statements need a PgBouncer that knows them', async (t) => {
  const named = { ...wishes, namedStatements: true }
  t.strictSame(found(named, direct), [])
  t.strictSame(found(named, pooled), ['warn NAMED_STATEMENTS'])
  t.strictSame(found(named, pooled, { version: '1.18.0', config: {} }), ['fail NAMED_STATEMENTS'])
  t.strictSame(found(named, pooled, { version: '1.20.1', config: {} }), ['fail NAMED_STATEMENTS'])
  t.strictSame(found(named, pooled, { version: '1.21.0', config: { max_prepared_statements: '0' } }), [
    'fail NAMED_STATEMENTS',
  ])
  t.strictSame(found(named, pooled, { version: '1.24.0', config: { max_prepared_statements: '200' } }), [])
  t.strictSame(found(named, pooled, { version: '2.0.0', config: { pool_mode: 'session' } }), [])
  t.strictSame(found(wishes, pooled, { config: { pool_mode: 'statement' } }), ['fail POOL_MODE'])
})

t.test('limits that never matter are found', async (t) => {
  const guardrails = { ...wishes.guardrails, lockTimeoutMs: 3000, idleInTransactionTimeoutMs: 2000 }
  t.strictSame(found({ ...wishes, guardrails }, direct), [
    'fail LOCK_TIMEOUT_INEFFECTIVE',
    'warn IDLE_TIMEOUT_SHORT',
  ])
})

t.test('more connections than the server or the pooler has are found', async (t) => {
  t.strictSame(found({ ...wishes, connections: 97 }, direct), [])
  t.strictSame(found({ ...wishes, connections: 98 }, direct), ['fail CONNECTIONS_EXCEED_SERVER'])
  t.strictSame(found(wishes, { ...direct, roleConnectionLimit: 10 }), ['fail CONNECTIONS_EXCEED_SERVER'])
  t.strictSame(
    found({ ...wishes, connections: 98 }, pooled),
    [],
    'behind a pooler it is the pooler that counts',
  )
  const config = { default_pool_size: '95', reserve_pool_size: '5', max_client_conn: '50' }
  t.strictSame(found({ ...wishes, connections: 60 }, pooled, { config }), [
    'fail CONNECTIONS_EXCEED_SERVER',
    'fail CONNECTIONS_EXCEED_POOLER',
  ])
})

t.test('how PgBouncer is set up for this database decides, not what is usual there', async (t) => {
  const config = { pool_mode: 'transaction', default_pool_size: '5', max_client_conn: '400' }
  const own = { mode: undefined, poolSize: 20 }
  t.strictSame(found(wishes, pooled, { config }), ['warn POOLER_POOL_SMALL'])
  t.strictSame(found(wishes, pooled, { config, database: own }), [])
  t.strictSame(found({ ...wishes, steadyConnections: 5 }, pooled, { config }), [], 'overflow may wait')
  t.strictSame(found(wishes, pooled, { config, database: { mode: 'statement', poolSize: 20 } }), [
    'fail POOL_MODE',
  ])
  const sessions = { mode: 'session', poolSize: 19 }
  t.strictSame(found({ ...wishes, steadyConnections: 10 }, pooled, { config, database: sessions }), [
    'fail POOL_MODE',
  ])
  t.strictSame(found(wishes, pooled, { config, database: { ...sessions, poolSize: 20 } }), [])
})

t.test('what the service ends by itself must not be ended by PgBouncer before', async (t) => {
  const limited = (config: Readonly<Record<string, string>>) => found(wishes, pooled, { config })
  t.strictSame(limited({ query_timeout: '3', idle_transaction_timeout: '5' }), [
    'warn POOLER_TIMEOUT_SHORT',
    'warn POOLER_TIMEOUT_SHORT',
  ])
  t.strictSame(limited({ query_timeout: '4', idle_transaction_timeout: '6' }), [])
  t.strictSame(limited({ query_timeout: '0' }), [])
  const endless = { ...wishes, statementTimeoutMs: Number.POSITIVE_INFINITY }
  t.strictSame(found(endless, pooled, { config: { query_timeout: '1' } }), [])
})

t.test('a role without floors is found, with the statement that gives it one', async (t) => {
  const bare = settings({
    statement_timeout: '0',
    idle_in_transaction_session_timeout: '0',
    client_connection_check_interval: '0',
  })
  const facts = { ...direct, role: 'App "Web"', superuser: true, settings: bare }
  t.strictSame(found(wishes, facts), [
    'warn ROLE_FLOOR_MISSING',
    'warn ROLE_FLOOR_MISSING',
    'warn ABANDONED_STATEMENTS',
    'warn SUPERUSER',
  ])
  const [first] = evaluateSelfCheck(wishes, facts)
  t.match(first?.hint, `alter role "App ""Web""" set statement_timeout = '3000ms'`)
  const endless = { ...wishes, statementTimeoutMs: Number.POSITIVE_INFINITY }
  t.match(evaluateSelfCheck(endless, facts)[0]?.hint, "statement_timeout = '60s'")
  const old = { ...facts, serverVersion: 130_000, superuser: false, settings: {} }
  t.strictSame(found({ ...wishes, connections: 0 }, old), [], 'what a server does not know is not missed')
})

t.test('startup time-outs are read as pg and PostgreSQL read them', async (t) => {
  t.strictSame(['3s', '250ms', '3000', "'1min'", '2h', '1d', '900us', 'soon'].map(timeoutMs), [
    3000,
    250,
    3000,
    60_000,
    7_200_000,
    86_400_000,
    1,
    Number.NaN,
  ])
  t.strictSame(
    startupTimeouts({
      connectionString: 'postgresql://u@h/d?lock_timeout=70&options=-c%20statement_timeout%3D3s',
      idle_in_transaction_session_timeout: 9000,
    }),
    { lock_timeout: 70, idle_in_transaction_session_timeout: 9000, statement_timeout: 3000 },
  )
  t.strictSame(startupTimeouts({ host: 'h', statement_timeout: false }), {})
})

t.test('on real servers', async (t) => {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  const silencing = await startPgBouncer({
    target: postgres,
    settings: { ignore_startup_parameters: 'extra_float_digits,statement_timeout,options' },
  })
  t.teardown(() => silencing.stop())
  const strict = await startPgBouncer({ target: postgres })
  t.teardown(() => strict.stop())
  const checked = async (t: Test, options: PoolGuardOptions, connections?: number) => {
    const guard = new PoolGuard({ min: 0, breaker: false, ...options })
    t.teardown(() => guard.close({ graceMs: 0 }))
    const report = await guard.selfCheck(connections === undefined ? {} : { connections })
    t.equal(guard.snapshot().connections.inUse, 0)
    return { ...report, codes: report.findings.map(({ code }) => code) }
  }
  const consoleOf = (url: string) => ({ connectionString: url.replace(/postgres$/, 'pgbouncer') })

  await t.test('a direct connection', async (t) => {
    const { pooler, serverVersion, codes } = await checked(t, { connectionString: postgres.url }, 1000)
    t.equal(pooler, false)
    t.ok(Number(serverVersion) >= 180_000)
    t.strictSame(codes, [
      'CONNECTIONS_EXCEED_SERVER',
      'ROLE_FLOOR_MISSING',
      'ROLE_FLOOR_MISSING',
      'ABANDONED_STATEMENTS',
      'SUPERUSER',
    ])
  })

  await t.test('startup parameters work on a direct connection', async (t) => {
    const connection = { statement_timeout: 3000, options: '-c lock_timeout=500ms' }
    const { codes } = await checked(t, { connectionString: postgres.url, connection })
    t.notOk(codes.some((code) => code.startsWith('STARTUP')))
  })

  await t.test('PgBouncer is found, and its version is asked for named statements', async (t) => {
    const { pooler, codes } = await checked(
      t,
      { connectionString: strict.url, namedStatements: true, pooler: consoleOf(strict.url) },
      10_000,
    )
    t.equal(pooler, true)
    t.match(codes, ['NAMED_STATEMENTS', 'CONNECTIONS_EXCEED_POOLER'])
  })

  await t.test('a refused startup parameter is named', async (t) => {
    const connection = { statement_timeout: 3000 }
    const { pooler, findings } = await checked(t, { connectionString: strict.url, connection })
    t.equal(pooler, undefined)
    t.match(findings, [{ code: 'STARTUP_PARAMETER_REFUSED', level: 'fail', hint: /statement_timeout/ }])
  })

  await t.test('a silently ignored startup parameter is found', async (t) => {
    const connection = { statement_timeout: 3000 }
    const { codes } = await checked(t, { connectionString: silencing.url, connection })
    t.equal(codes[0], 'STARTUP_PARAMETER_IGNORED')
  })

  await t.test('a database that is gone is a finding, not an exception', async (t) => {
    const { findings } = await checked(t, {
      connectionString: 'postgresql://u@127.0.0.1:1/d',
      pooler: consoleOf('postgresql://u@127.0.0.1:1/postgres'),
    })
    t.match(findings, [{ code: 'UNREACHABLE', level: 'fail' }])
  })
})
