import { HandClock, startPostgres, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { ConnectionPool } from '../src/connection-pool.ts'
import { poolsOn } from './pool-on-postgres.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.afterEach(() => postgres.heal())
const poolOf = poolsOn(postgres)

/** Runs a statement past the pool. */
async function asAdmin(sql: string): Promise<void> {
  const admin = new ConnectionPool({ connectionString: postgres.directUrl, max: 1 })
  const client = await admin.checkout()
  await client.query(sql)
  client.release()
  await admin.end()
}

t.test('lends a connection, takes it back and lends the one used last again', async (t) => {
  const { pool } = poolOf(t)
  const first = await pool.checkout()
  const second = await pool.checkout()
  t.strictSame(pool.counts, { total: 2, idle: 0, inUse: 2, connecting: 0, max: 2 })
  const { processId } = second
  t.not(first.processId, processId)
  first.release()
  second.release()
  t.strictSame(pool.counts, { total: 2, idle: 2, inUse: 0, connecting: 0, max: 2 })
  const third = await pool.checkout()
  t.equal(third.processId, processId)
  const { rows } = await third.query('select $1::int + 1 as sum, pg_backend_pid() as pid', [41])
  t.strictSame(rows, [{ sum: 42, pid: processId }])
  third.release()
})

t.test('refuses at once whoever comes when all connections are in use', async (t) => {
  const { pool } = poolOf(t, { max: 1, overflow: 1 })
  const clients = [await pool.checkout(), await pool.checkout()]
  await t.rejects(pool.checkout(), { code: 'HOLDFAST_ERR_POOL_GUARD_EXHAUSTED', statusCode: 503 })
  for (const client of clients) client.release()
})

t.test('no client is handed on inside a transaction', async (t) => {
  const { pool, events } = poolOf(t, { max: 1, stackEvery: 1 })
  const client = await pool.checkout({ route: 'GET /forgetful' })
  await client.begin()
  t.equal(client.transactionStatus, 'T')
  await client.query('create table forgotten (id int)')
  client.release()
  await waitUntil(() => pool.counts.idle === 1)
  const next = await pool.checkout()
  t.equal(next.transactionStatus, 'I')
  t.strictSame((await next.query("select to_regclass('forgotten') as it")).rows, [{ it: null }])
  next.release()
  t.equal(pool.totals.dirtyReleases, 1)
  t.match(events, [{ kind: 'dirty-release', state: 'idle in transaction', route: 'GET /forgetful' }])
  t.match((events[0] as { stack?: string }).stack, /connection-pool\.test\.ts/, 'who acquired it is told')
})

t.test('no client is handed on while its statement runs', async (t) => {
  const { pool } = poolOf(t, { max: 1 })
  const client = await pool.checkout()
  const running = client.query('select pg_sleep(10)')
  const waiting = client.query('select 1')
  client.release()
  await t.rejects(waiting, { code: 'HOLDFAST_ERR_POOL_GUARD_RELEASED' })
  await t.rejects(running, { code: 'HOLDFAST_ERR_POOL_GUARD_RELEASED' })
  await waitUntil(() => pool.counts.idle === 1)
  t.equal(pool.totals.cancelled, 1)
  const next = await pool.checkout()
  t.strictSame((await next.query('select 2 as two')).rows, [{ two: 2 }])
  next.release()
})

t.test('a setting of the session does not meet the next user, however it was made', async (t) => {
  const { pool } = poolOf(t, { max: 1 })
  const setBy = async (sql: string) => {
    const client = await pool.checkout()
    await client.query(sql)
    client.release()
    await waitUntil(() => pool.counts.inUse === 0)
    const next = await pool.checkout()
    const { rows } = await next.query("select current_setting('statement_timeout') as limit")
    next.release()
    return { opened: pool.totals.opened, rows }
  }
  const limit = (text: string) => [{ limit: text }]
  const leaking = [
    "set statement_timeout = '7s'",
    "set statement_timeout = '7s'; select 1",
    "begin; set statement_timeout = '7s'; commit",
    "begin; set local lock_timeout = 5; /* mine */ SET SESSION statement_timeout = '7s'; commit",
    'prepare mine as select 1',
    'reset all',
    'discard plans',
    'listen news',
  ]
  for (const [index, sql] of leaking.entries()) {
    t.strictSame(await setBy(sql), { opened: index + 2, rows: limit('0') }, sql)
  }
  const opened = leaking.length + 1
  const harmless = [
    "begin; set local statement_timeout = '7s'; commit",
    'begin; set transaction read only; commit',
    "begin; set local statement_timeout = '7s'; create temp table mine on commit drop as select 1 as a; update mine set a = 2; commit",
  ]
  for (const sql of harmless) t.strictSame(await setBy(sql), { opened, rows: limit('0') }, sql)
})

t.test('a client that is held for too long is reported, and taken back when that is wished', async (t) => {
  const clock = new HandClock()
  const { pool, events } = poolOf(t, { leakAfterMs: 40, reclaimAfterMs: 150, stackEvery: 1, clock })
  const client = await pool.checkout({ route: 'GET /leak', tenant: 'acme' })
  await client.query('select 42 as secret')
  for (let second = 0; second < 5 && events.length < 2; second += 1) await clock.advance(1000)
  t.match(events, [
    {
      kind: 'leak',
      state: 'idle',
      route: 'GET /leak',
      tenant: 'acme',
      lastSql: 'select ? as secret',
      stack: /connection-pool\.test/,
    },
    { kind: 'returned-late' },
  ])
  await t.rejects(client.query('select 1'), { code: 'HOLDFAST_ERR_POOL_GUARD_RECLAIMED' })
  t.equal(pool.counts.inUse, 0)
  t.match(pool.totals, { leaks: 1, reclaimed: 1 })
})

t.test('a backend that is killed ends no process and reaches whoever uses it as a coded error', async (t) => {
  const { pool, events } = poolOf(t)
  const client = await pool.checkout()
  await client.begin()
  await asAdmin(`select pg_terminate_backend(${client.processId})`)
  await waitUntil(() => events.length > 0)
  await t.rejects(client.query('select 1'), {
    code: 'HOLDFAST_ERR_POOL_GUARD_CONNECTION_LOST',
    statusCode: 503,
    sqlState: '57P01',
  })
  client.release()
  t.match(events, [{ kind: 'connection-lost', inUse: true, sqlState: '57P01' }])
  t.equal(pool.counts.total, 0)
})

t.test('end settles everything', async (t) => {
  const { pool } = poolOf(t)
  const client = await pool.checkout()
  const running = client.query('select pg_sleep(10)')
  const ended = pool.end({ graceMs: 20 })
  await t.rejects(pool.checkout(), { code: 'HOLDFAST_ERR_POOL_GUARD_CLOSED' })
  await t.rejects(running, { code: 'HOLDFAST_ERR_POOL_GUARD_CLOSED' })
  await ended
  t.equal(pool.end(), pool.end())
  t.equal(pool.counts.total, 0)
})

t.test('end waits for a connection that is being tried, and for ever when that is wished', async (t) => {
  const { pool } = poolOf(t, { pingAfterIdleMs: 0, pingTimeoutMs: 150 })
  ;(await pool.checkout()).release()
  postgres.blackhole()
  const trying = pool.checkout()
  const ended = pool.end()
  await t.rejects(trying, { code: 'HOLDFAST_ERR_POOL_GUARD_CLOSED' })
  await ended
  t.equal(pool.counts.total, 0)
  await postgres.heal()

  const { pool: patient } = poolOf(t)
  const client = await patient.checkout()
  const work = client.query('select pg_sleep(0.1), 1 as one').finally(() => client.release())
  await patient.end({ graceMs: Number.POSITIVE_INFINITY })
  t.match((await work).rows, [{ one: 1 }])
})
