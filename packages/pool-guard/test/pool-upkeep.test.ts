import { systemClock } from '@holdfast/footing'
import { HandClock, startPostgres, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { dispensable } from '../src/pool-upkeep.ts'
import { poolsOn } from './pool-on-postgres.ts'
import { silentServer } from './silent-server.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.afterEach(() => postgres.heal())
const poolOf = poolsOn(postgres)

/** A second of upkeep takes 50 ms here; attempts to connect keep the time they need. */
const hurried = {
  clock: { ...systemClock, schedule: (ms: number, ring: () => void) => systemClock.schedule(ms / 20, ring) },
  connectTimeoutMs: 200_000,
  cancelTimeoutMs: 20_000,
}

t.test('a connection that was idle for long is tried before it is lent', async (t) => {
  const clock = new HandClock()
  const { pool } = poolOf(t, { pingAfterIdleMs: 0, pingTimeoutMs: 100, cancelTimeoutMs: 50, clock })
  const [one, two] = [await pool.checkout(), await pool.checkout()]
  one.release()
  two.release()
  const alive = await pool.checkout()
  t.equal(pool.totals.opened, 2, 'a good one is kept')
  alive.release()
  await clock.advance(1)
  postgres.blackhole()
  const waiting = pool.checkout()
  await clock.advance(99)
  t.equal(pool.totals.pingFailures, 0)
  // The limit of the ping, and that of its cancel.
  await clock.advance(51)
  t.equal(pool.totals.pingFailures, 1)
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

t.test('a connection is closed after its lifetime, wherever it is then', async (t) => {
  const clock = new HandClock()
  const { pool } = poolOf(t, { maxLifetimeMs: 1000, lifetimeJitter: 0.5, random: () => 0.5, clock })
  const client = await pool.checkout()
  await clock.advance(749)
  client.release()
  t.equal(pool.counts.idle, 1, 'a quarter less by the jitter')
  const again = await pool.checkout()
  t.equal(pool.totals.opened, 1)
  await clock.advance(1)
  again.release()
  t.equal(pool.counts.total, 0, 'when it comes back')
  ;(await pool.checkout()).release()
  t.equal(pool.totals.opened, 2)
  await clock.advance(750)
  ;(await pool.checkout()).release()
  t.equal(pool.totals.opened, 3, 'before it is lent')
  await clock.advance(2000)
  t.equal(pool.counts.total, 0, 'while it is idle')
})

t.test('an idle connection is closed after its time, but for min', async (t) => {
  const { pool } = poolOf(t, { idleTimeoutMs: 10, min: 1, ...hurried })
  await waitUntil(() => pool.counts.idle === 1, { what: 'min is opened by itself' })
  const both = [await pool.checkout(), await pool.checkout()]
  for (const each of both) each.release()
  await waitUntil(() => pool.counts.total === 1)
  postgres.proxy.reset()
  await waitUntil(() => pool.totals.lost === 1)
  await waitUntil(() => pool.counts.idle === 1, { what: 'a lost one of the min is replaced' })
})

t.test('overflow goes first, min stays, and what is too old always goes', async (t) => {
  const idle = (changedMs: number, expiresMs = Number.POSITIVE_INFINITY) => ({ changedMs, expiresMs })
  const limits = { min: 1, max: 3, idleTimeoutMs: 30_000 }
  const five = [idle(0), idle(0), idle(1000), idle(5000), idle(5000)]
  t.strictSame(dispensable(five, 5, limits, 4999), [])
  t.strictSame(dispensable(five, 5, limits, 5000), five.slice(0, 2), 'what is more than max, after 5 s')
  t.strictSame(dispensable(five, 7, limits, 5999), five.slice(0, 2), 'those in use count, too')
  t.strictSame(dispensable(five, 5, limits, 60_000), five.slice(0, 4), 'all but min, after idleTimeoutMs')
  t.strictSame(dispensable(five, 9, limits, 60_000), five)
  const old = [idle(0), idle(0, 100)]
  t.strictSame(dispensable(old, 2, { ...limits, min: 2 }, 99), [])
  t.strictSame(dispensable(old, 2, { ...limits, min: 2 }, 100), [old[1]])
  const never = { ...limits, idleTimeoutMs: Number.POSITIVE_INFINITY }
  t.strictSame(dispensable(five, 5, never, 1e9), five.slice(0, 2), 'overflow has 5 s in any case')
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
