import { systemClock } from '@holdfast/footing'
import { HandClock, startPostgres, waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { poolsOn } from './pool-on-postgres.ts'
import { silentServer } from './silent-server.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.afterEach(() => postgres.heal())
const poolOf = poolsOn(postgres)

t.test('an attempt to connect ends after its time, with its socket', async (t) => {
  const { url, open } = await silentServer(t)
  const { pool, events } = poolOf(t, { connectionString: url, connectTimeoutMs: 80 })
  await t.rejects(pool.checkout(), { code: 'HOLDFAST_ERR_POOL_GUARD_CONNECT', statusCode: 503 })
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

t.test('onConnect runs before the first loan, within its time, and what it sets stays', async (t) => {
  const { pool } = poolOf(t, {
    onConnect: (connection) => connection.query("set application_name = 'mine'"),
  })
  const client = await pool.checkout()
  t.match((await client.query('show application_name')).rows, [{ application_name: 'mine' }])
  client.release()
  t.equal(pool.counts.idle, 1)
  const clock = new HandClock()
  let asked = 0
  const hang = () => {
    asked += 1
    return new Promise(() => {})
  }
  const { pool: hanging } = poolOf(t, { connectTimeoutMs: 300, onConnect: hang, min: 0, clock })
  const refused = t.rejects(hanging.checkout(), {
    code: 'HOLDFAST_ERR_POOL_GUARD_CONNECT',
    message: /onConnect/,
  })
  await waitUntil(() => asked === 1)
  await clock.advance(300)
  await refused
  const { pool: failing } = poolOf(t, { onConnect: () => Promise.reject(new Error('no')) })
  await t.rejects(failing.checkout(), { code: 'HOLDFAST_ERR_POOL_GUARD_CONNECT', message: /no$/ })
  t.equal(failing.counts.total, 0)
  const { pool: leaving } = poolOf(t, { onConnect: (connection) => connection.query('begin') })
  const waiting = leaving.checkout()
  const lent = await waiting
  t.equal(lent.transactionStatus, 'I')
  lent.release()
})
