import { createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '@holdfast/footing'
import { freePort, type PostgresServer, seededRandom, startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { ConnectionPool, type ConnectionPoolSettings, type PoolEvent } from '../src/index.ts'
import { cancelRace } from './cancel-race.ts'

let postgres: PostgresServer

t.before(async () => {
  postgres = await startPostgres()
})
t.teardown(() => postgres.stop())
t.afterEach(() => postgres.heal())

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

/** A second of upkeep takes 50 ms here; attempts to connect keep the time they need. */
const hurried = {
  clock: { ...systemClock, schedule: (ms: number, ring: () => void) => systemClock.schedule(ms / 20, ring) },
  connectTimeoutMs: 200_000,
  cancelTimeoutMs: 20_000,
}

/** A server that accepts and never answers. */
async function silentServer(t: Test): Promise<{ url: string; open: Set<Socket> }> {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('error', () => {}).on('close', () => open.delete(socket))
    socket.resume()
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return { url: `postgresql://postgres@127.0.0.1:${port}/postgres`, open }
}

t.test('100 cancels at random moments never hit the next statement', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const { pool } = poolOf(t, { max: 4, cancelTimeoutMs: 5000 })
  const { wrong, cancelled, finished } = await cancelRace(pool, random, 100, 4)
  t.strictSame(wrong, [])
  t.equal(cancelled + finished, 100)
})

t.test('an attempt to connect ends after its time, with its socket', async (t) => {
  const { url, open } = await silentServer(t)
  const { pool, events } = poolOf(t, { connectionString: url, connectTimeoutMs: 80 })
  const startMs = performance.now()
  await t.rejects(pool.checkout(), { code: 'HOLDFAST_ERR_POOL_GUARD_CONNECT', statusCode: 503 })
  t.ok(performance.now() - startMs < 1000)
  await waitUntil(() => open.size === 0)
  t.equal(pool.counts.total, 0)
  t.match(events, [{ kind: 'connect-failed' }])
  t.equal(pool.totals.connectFailures, 1)
})

t.test('who waits for a connection leaves at his deadline or when he is told to', async (t) => {
  const { url } = await silentServer(t)
  const { pool } = poolOf(t, { connectionString: url, max: 3, connectTimeoutMs: 5000 })
  await t.rejects(pool.checkout({ deadlineMs: systemClock.nowMs() + 30 }), {
    code: 'HOLDFAST_ERR_POOL_GUARD_DEADLINE_EXCEEDED',
  })
  await t.rejects(pool.checkout({ deadlineMs: systemClock.nowMs() - 1 }), {
    code: 'HOLDFAST_ERR_POOL_GUARD_DEADLINE_EXCEEDED',
  })
  t.equal(pool.counts.connecting, 1, 'the attempt goes on for the next one')
  const controller = new AbortController()
  const waiting = pool.checkout({ signal: controller.signal })
  t.equal(pool.counts.connecting, 1, 'who uses it')
  controller.abort()
  await t.rejects(waiting, { code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED' })
  await t.rejects(pool.checkout({ signal: controller.signal }), { code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED' })
  const left = pool.checkout()
  const ended = pool.end()
  await t.rejects(left, { code: 'HOLDFAST_ERR_POOL_GUARD_CLOSED' })
  await ended
  t.equal(pool.counts.total, 0)
})

t.test('who waits for a new connection takes one that comes back before it', async (t) => {
  const { pool } = poolOf(t)
  const first = await pool.checkout()
  const { processId } = first
  postgres.proxy.latency(300)
  const second = pool.checkout()
  first.release()
  const client = await second
  t.equal(client.processId, processId)
  await postgres.heal()
  await waitUntil(() => pool.counts.idle === 1, { what: 'the new one is kept for the next' })
  client.release()
})

t.test('a connection that was idle for long is tried before it is lent', async (t) => {
  const { pool } = poolOf(t, { pingAfterIdleMs: 0, pingTimeoutMs: 100 })
  const [one, two] = [await pool.checkout(), await pool.checkout()]
  one.release()
  two.release()
  const alive = await pool.checkout()
  t.equal(pool.totals.opened, 2, 'a good one is kept')
  alive.release()
  postgres.blackhole()
  const waiting = pool.checkout()
  await waitUntil(() => pool.totals.pingFailures === 1)
  await postgres.heal()
  const fresh = await waiting
  t.strictSame((await fresh.query('select 1 as one')).rows, [{ one: 1 }])
  fresh.release()
  t.equal(pool.counts.total, 1, 'all that were as silent are dropped with it')
})

t.test('who leaves while a connection is tried gets none, and the connection stays', async (t) => {
  const { pool } = poolOf(t, { pingAfterIdleMs: 0, pingTimeoutMs: 2000 })
  ;(await pool.checkout()).release()
  postgres.proxy.latency(50)
  const controller = new AbortController()
  const waiting = pool.checkout({ signal: controller.signal })
  controller.abort()
  await t.rejects(waiting, { code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED' })
  t.equal(pool.counts.idle, 1)
})

t.test(
  'a connection is closed after its lifetime, and an idle one after its time, but for min',
  async (t) => {
    const { pool: mortal } = poolOf(t, { maxLifetimeMs: 40, lifetimeJitter: 0.5, random: () => 0.5 })
    const client = await mortal.checkout()
    await sleep(50)
    client.release()
    t.equal(mortal.counts.total, 0)
    const again = await mortal.checkout()
    again.release()
    t.equal(mortal.counts.idle, 1)
    await sleep(50)
    ;(await mortal.checkout()).release()
    t.equal(mortal.totals.opened, 3)

    const { pool: idle } = poolOf(t, { idleTimeoutMs: 10, min: 1, ...hurried })
    await waitUntil(() => idle.counts.idle === 1, { what: 'min is opened by itself' })
    const both = [await idle.checkout(), await idle.checkout()]
    for (const each of both) each.release()
    t.equal(idle.counts.idle, 2)
    await waitUntil(() => idle.counts.idle === 1)
    postgres.proxy.reset()
    await waitUntil(() => idle.totals.lost === 1)
    await waitUntil(() => idle.counts.idle === 1, { what: 'a lost one of the min is replaced' })
  },
)

t.test('onConnect runs before the first loan, within its time, and what it sets stays', async (t) => {
  const { pool } = poolOf(t, {
    onConnect: (connection) => connection.query("set application_name = 'mine'"),
  })
  const client = await pool.checkout()
  t.match((await client.query('show application_name')).rows, [{ application_name: 'mine' }])
  client.release()
  t.equal(pool.counts.idle, 1)
  const { pool: hanging } = poolOf(t, { connectTimeoutMs: 300, onConnect: () => new Promise(() => {}) })
  await t.rejects(hanging.checkout(), { code: 'HOLDFAST_ERR_POOL_GUARD_CONNECT', message: /onConnect/ })
  const { pool: failing } = poolOf(t, { onConnect: () => Promise.reject(new Error('no')) })
  await t.rejects(failing.checkout(), { code: 'HOLDFAST_ERR_POOL_GUARD_CONNECT', message: /no$/ })
  t.equal(failing.counts.total, 0)
  const { pool: leaving } = poolOf(t, { onConnect: (connection) => connection.query('begin') })
  const waiting = leaving.checkout()
  const lent = await waiting
  t.equal(lent.transactionStatus, 'I')
  lent.release()
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
  const { pool, events } = poolOf(t, { leakAfterMs: 40, reclaimAfterMs: 150, stackEvery: 1 })
  const client = await pool.checkout({ route: 'GET /leak', tenant: 'acme' })
  await client.query('select 42 as secret')
  await waitUntil(() => events.length >= 2)
  t.match(events, [
    {
      kind: 'leak',
      state: 'idle',
      route: 'GET /leak',
      tenant: 'acme',
      lastSql: 'select ? as secret',
      stack: /pool-upkeep/,
    },
    { kind: 'returned-late' },
  ])
  await t.rejects(client.query('select 1'), { code: 'HOLDFAST_ERR_POOL_GUARD_RECLAIMED' })
  t.equal(pool.counts.inUse, 0)
  t.match(pool.totals, { leaks: 1, reclaimed: 1 })
})

t.test(
  'statements of one client run in order, at most so many wait, and a waiting one can leave',
  async (t) => {
    const { pool } = poolOf(t)
    const client = await pool.checkout()
    const first = client.query('select pg_sleep(0.1), 1 as number')
    const controller = new AbortController()
    const leaving = client.query('select 2 as number', [], { signal: controller.signal })
    const rest = Array.from({ length: 99 }, (_, number) => client.query('select $1::int as number', [number]))
    await t.rejects(client.query('select 1'), { code: 'HOLDFAST_ERR_POOL_GUARD_CLIENT_BUSY' })
    controller.abort()
    await t.rejects(leaving, { code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED' })
    await t.rejects(client.query('select 1', [], { signal: controller.signal }), {
      code: 'HOLDFAST_ERR_POOL_GUARD_ABORTED',
    })
    await first
    t.strictSame(
      (await Promise.all(rest)).map(({ rows }) => rows[0]?.['number']),
      Array.from({ length: 99 }, (_, number) => number),
    )
    t.match((await client.query('select 1 as a; select 2 as b')).rows, [{ b: 2 }], 'the last of several')
    await t.rejects(client.query('select 1', [], { timeoutMs: 0 }), {
      code: 'HOLDFAST_ERR_POOL_GUARD_QUERY_TIMEOUT',
    })
    await t.rejects(
      client.query('select $1::int', [
        {
          toPostgres: () => {
            throw new Error('unfit')
          },
        },
      ]),
      /unfit/,
    )
    t.match((await client.query('select 5 as five')).rows, [{ five: 5 }])
    client.release()
  },
)

t.test('statements with names run where they are allowed, and are refused where not', async (t) => {
  const { pool } = poolOf(t, { namedStatements: true })
  const client = await pool.checkout()
  t.match((await client.query('select $1::int as n', [1], { name: 'n' })).rows, [{ n: 1 }])
  t.match((await client.query('select $1::int as n', [2], { name: 'n' })).rows, [{ n: 2 }])
  client.release()
  const { pool: strict } = poolOf(t)
  const refused = await strict.checkout()
  await t.rejects(refused.query('select 1', [], { name: 'n' }), {
    code: 'HOLDFAST_ERR_POOL_GUARD_STATEMENT_NAME',
  })
  refused.release()
})

t.test(
  'a deadline shortens the limit of a statement, and a silent server costs its connection',
  async (t) => {
    const { pool, events } = poolOf(t, { cancelTimeoutMs: 60 })
    ;(await pool.checkout()).release()
    const client = await pool.checkout({ deadlineMs: systemClock.nowMs() + 100 })
    await t.rejects(client.query('select pg_sleep(5)'), { code: 'HOLDFAST_ERR_POOL_GUARD_DEADLINE_EXCEEDED' })
    await t.rejects(client.query('select 1'), { code: 'HOLDFAST_ERR_POOL_GUARD_DEADLINE_EXCEEDED' })
    client.release()
    const other = await pool.checkout()
    postgres.blackhole()
    const startMs = performance.now()
    await t.rejects(other.query('select 1', [], { timeoutMs: 50 }), {
      code: 'HOLDFAST_ERR_POOL_GUARD_QUERY_TIMEOUT',
    })
    t.ok(performance.now() - startMs < 400)
    other.release()
    t.equal(pool.totals.destroyedByCancel, 1)
    t.match(events.slice(-2), [{ kind: 'cancel', result: 'destroyed' }, { kind: 'connection-lost' }])
  },
)

t.test("a limit of pg's own in the address does not cut a statement loose", async (t) => {
  const { pool } = poolOf(t, { connectionString: `${postgres.url}?query_timeout=20` })
  const client = await pool.checkout()
  t.match((await client.query('select pg_sleep(0.1), 1 as one')).rows, [{ one: 1 }])
  client.release()
})

t.test('what is no statement and no limit is refused before it is sent', async (t) => {
  const { pool } = poolOf(t)
  const client = await pool.checkout()
  for (const wrong of [undefined, null, 5, { text: 'select 1', name: 'mine' }]) {
    await t.rejects(client.query(wrong as never), { code: 'HOLDFAST_ERR_POOL_GUARD_OPTION' })
  }
  await t.rejects(client.query('select 1', [], { timeoutMs: Number.NaN }), {
    code: 'HOLDFAST_ERR_POOL_GUARD_OPTION',
  })
  const { rows } = await client.query('select pg_sleep(0.01), 1 as one', [], { timeoutMs: 1e12 })
  t.match(rows, [{ one: 1 }], 'longer than a timer can hold')
  client.release()
})

t.test('a deadline that never comes, and one that a timer cannot hold, are no deadlines', async (t) => {
  const { pool } = poolOf(t)
  const far = systemClock.nowMs() + 1e12
  for (const deadlineMs of [Number.POSITIVE_INFINITY, far]) {
    const client = await pool.checkout({ deadlineMs })
    t.match((await client.query('select 1 as one')).rows, [{ one: 1 }])
    client.destroy()
    await waitUntil(() => pool.counts.total === 0)
  }
})

t.test('min is opened at once, four at a time, and again after an outage', async (t) => {
  const { url, open } = await silentServer(t)
  const { pool: silent } = poolOf(t, { connectionString: url, max: 10, min: 7, connectTimeoutMs: 60_000 })
  await waitUntil(() => open.size === 4)
  t.equal(silent.counts.connecting, 4)
  await silent.end()
  t.equal(silent.counts.total, 0)

  const { pool } = poolOf(t, { max: 10, min: 7, ...hurried })
  await waitUntil(() => pool.counts.idle === 7)
  postgres.proxy.reset()
  await waitUntil(() => pool.totals.lost === 7)
  await waitUntil(() => pool.counts.idle === 7)
  t.equal(pool.totals.opened, 14)
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

t.test('destroy closes the connection, with what runs on it', async (t) => {
  const { pool } = poolOf(t)
  const client = await pool.checkout()
  const running = client.query('select pg_sleep(5)')
  client.destroy()
  await t.rejects(running, { code: 'HOLDFAST_ERR_POOL_GUARD_RELEASED' })
  await waitUntil(() => pool.counts.total === 0)
  await t.rejects(client.begin(), { code: 'HOLDFAST_ERR_POOL_GUARD_RELEASED' })
  await t.rejects(client.commit(), { code: 'HOLDFAST_ERR_POOL_GUARD_RELEASED' })
  await t.rejects(client.rollback(), { code: 'HOLDFAST_ERR_POOL_GUARD_RELEASED' })
  t.equal(client.transactionStatus, 'I')
  t.ok(client.processId > 0)
})
