import { HandClock, type PostgresServer, startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { ConnectionPool, type ConnectionPoolSettings, type PoolEvent } from '../src/index.ts'

let postgres: PostgresServer

t.before(async () => {
  postgres = await startPostgres()
})
t.teardown(() => postgres.stop())

/** A pool on the real server, which is closed at the end of the test; `events` is what it told. */
function poolOf(t: Test, settings: ConnectionPoolSettings = {}) {
  const events: PoolEvent[] = []
  const pool = new ConnectionPool({
    connectionString: postgres.url,
    max: 2,
    onEvent: (event) => events.push(event),
    ...settings,
  })
  t.teardown(() => pool.end({ graceMs: 0 }))
  return { pool, events }
}

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

t.test('overflow stays for a while for whoever comes next, and is closed before the others', async (t) => {
  const clock = new HandClock()
  const { pool } = poolOf(t, { max: 1, overflow: 1, min: 0, clock })
  for (let burst = 0; burst < 5; burst += 1) {
    const clients = [await pool.checkout(), await pool.checkout()]
    for (const client of clients) client.release()
  }
  t.equal(pool.totals.opened, 2, 'one connection for all bursts')
  await clock.advance(4000)
  t.equal(pool.counts.idle, 2)
  await clock.advance(2000)
  t.equal(pool.counts.total, 1, 'after five seconds')
  await clock.advance(20_000)
  t.equal(pool.counts.total, 1, 'the other one has idleTimeoutMs')
})

t.test('an error of a statement leaves the connection in use', async (t) => {
  const { pool } = poolOf(t, { max: 1 })
  const client = await pool.checkout()
  const { processId } = client
  await t.rejects(client.query('select 1 / 0'), { code: '22012' })
  await t.rejects(client.query('selec'), { code: '42601' })
  t.strictSame((await client.query('select 7 as seven')).rows, [{ seven: 7 }])
  client.release()
  const again = await pool.checkout()
  t.equal(again.processId, processId)
  again.release()
  t.equal(pool.totals.opened, 1)
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

t.test('release twice gives back once, and a use after it says where the client was acquired', async (t) => {
  const { pool } = poolOf(t, { max: 1, stackEvery: 1 })
  const client = await pool.checkout()
  client.release()
  const other = await pool.checkout()
  client.release()
  client.destroy()
  t.equal(pool.counts.inUse, 1)
  const error = await client.query('select 1').then(
    () => undefined,
    (error: Error) => error,
  )
  t.match(error, { code: 'HOLDFAST_ERR_POOL_GUARD_RELEASED', statusCode: 500 })
  t.match(error, { cause: { stack: /connection-pool\.test\.ts/ } })
  t.strictSame((await other.query('select 1 as one')).rows, [{ one: 1 }])
  other.release()
})

t.test('a statement that takes too long is cancelled on the server, and the client goes on', async (t) => {
  const { pool } = poolOf(t, { max: 1 })
  const client = await pool.checkout()
  const startMs = performance.now()
  await t.rejects(client.query('select pg_sleep(10)', [], { timeoutMs: 100 }), {
    code: 'HOLDFAST_ERR_POOL_GUARD_QUERY_TIMEOUT',
    statusCode: 504,
  })
  t.ok(performance.now() - startMs < 300)
  t.strictSame((await client.query('select 3 as three')).rows, [{ three: 3 }])
  client.release()
  t.match(pool.totals, { cancelled: 1, destroyedByCancel: 0, opened: 1 })
})

t.test('a caller that leaves has its statement cancelled', async (t) => {
  const { pool } = poolOf(t, { max: 1 })
  const controller = new AbortController()
  const client = await pool.checkout({ signal: controller.signal })
  const running = client.query('select pg_sleep(10)')
  controller.abort(new Error('gone'))
  await t.rejects(running, { code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED', cause: { message: 'gone' } })
  await t.rejects(client.query('select 1'), { code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED' })
  client.release()
  await waitUntil(() => pool.counts.idle === 1)
  t.equal(pool.totals.cancelled, 1)
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
