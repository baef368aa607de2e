import { redisGuard } from '@holdfast/redis-guard'
import { askRedis, type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { type ConcurrencyGuardPluginOptions, concurrencyGuard } from '../src/index.ts'

let redis: RealServer
t.before(async () => {
  redis = await startRedis()
})
t.teardown(() => redis.stop())

/** An app with both guards, as one registers them, and a handler that works until it is told. */
async function workingApp(t: Test, terms: ConcurrencyGuardPluginOptions = {}) {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(redisGuard, { url: redis.url, budgetMs: 5000 })
  // Far longer than the test: what is free again was given back, and did not run out.
  const times = { leaseMs: 600_000, closeTimeoutMs: 60_000 }
  await app.register(concurrencyGuard, { redis: app.redisGuard, ...times, ...terms })
  const gate = Promise.withResolvers<string>()
  app.get('/work', { config: { concurrencyGuard: { key: () => 'closing' } } }, () => gate.promise)
  return { app, gate, base: await app.listen({ host: '127.0.0.1', port: 0 }) }
}

const leases = async () => (await askRedis(redis.directPort, 'KEYS', '*closing*held')) as string[]

t.test('an app that closes answers what runs, and gives its lease back before Redis is let go', async (t) => {
  const { app, base, gate } = await workingApp(t)
  const answer = fetch(`${base}/work`, { headers: { connection: 'close' } })
  await waitUntil(async () => (await leases()).length === 1)
  const closing = app.close()
  gate.resolve('done')
  t.equal(await (await answer).text(), 'done')
  await closing
  t.strictSame(await leases(), [])
})

t.test('a handler whose client has left still gives its lease back while the app closes', async (t) => {
  const { app, base, gate } = await workingApp(t)
  const controller = new AbortController()
  const answer = fetch(`${base}/work`, { signal: controller.signal }).catch(() => undefined)
  await waitUntil(async () => (await leases()).length === 1)
  controller.abort()
  await answer
  const closing = app.close()
  t.equal(app.concurrencyGuard.snapshot().held, 1)
  gate.resolve('done')
  await closing
  t.strictSame(await leases(), [])
})

t.test('an app that closes refuses who waits at once, also while somebody is at work', async (t) => {
  const { app, base, gate } = await workingApp(t, { maxWaiting: 1, maxWaitMs: 60_000 })
  const work = () => fetch(`${base}/work`, { headers: { connection: 'close' } })
  const running = work()
  await waitUntil(async () => (await leases()).length === 1)
  const waiting = work()
  await waitUntil(() => app.concurrencyGuard.snapshot().waiting === 1)
  const closing = app.close()
  t.match(await waiting, { status: 503 })
  t.match(await (await waiting).json(), { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_CLOSED' })
  gate.resolve('done')
  t.equal(await (await running).text(), 'done')
  await closing
  t.strictSame(await leases(), [])
})
