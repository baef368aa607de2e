import { setTimeout as sleep } from 'node:timers/promises'
import { GuardedRedis } from '@holdfast/redis-guard'
import { type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import fastify from 'fastify'
import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { staleCache } from '../src/plugin.ts'
import type { StaleCache } from '../src/stale-cache.ts'
import { type FleetOptions, fleetOf, fleetOn } from './fleet-of-caches.ts'
import type { Thing } from './source.ts'

let server: RealServer
t.before(async () => {
  server = await startRedis({ args: ['--appendonly', 'no'] })
})
t.teardown(() => server.stop())

const fleet = (t: Test, size: number, options: FleetOptions = {}) => fleetOn(server.url, t, size, options)

t.test('of many processes that want a key at the same time one asks the source', async (t) => {
  const { source, caches } = await fleet(t, 4)
  source.has('acme', 'one')
  source.answer = async (keys) => {
    await sleep(50)
    return source.found(keys)
  }
  const values = await Promise.all(caches.flatMap((cache) => [cache.get('acme'), cache.get('acme')]))
  t.same(new Set(values.map((value) => value?.text)), new Set(['one']))
  t.equal(source.calls.length, 1)
  t.equal(
    caches.reduce((sum, cache) => sum + fleetOf(cache).led, 0),
    1,
  )
  const fences = caches.map((cache) => cache.peek('acme').fence)
  t.equal(new Set(fences).size, 1, 'all hold the same read')
  t.ok(caches.every((cache) => cache.peek('acme').source === 'fresh'))
})

t.test('a later process takes the value from Redis, with its age', async (t) => {
  const { source, caches } = await fleet(t, 2)
  const [first, second] = caches as [StaleCache<Thing>, StaleCache<Thing>]
  source.has('acme', 'one', { version: 7n, tags: ['blue'] })
  await first.get('acme')
  await waitUntil(() => fleetOf(first).written > 0)
  await sleep(100)
  t.same(await second.get('acme'), { text: 'one' })
  t.equal(source.calls.length, 1)
  t.match(second.peek('acme'), { source: 'fresh', version: 7n })
  t.ok(second.peek('acme').ageMs >= 90, `${second.peek('acme').ageMs} ms old`)
  t.equal(fleetOf(second).hits, 1)
  t.equal(second.invalidateTag('blue'), 1)
})

t.test('that a key does not exist is found out once, too', async (t) => {
  const { source, caches } = await fleet(t, 2)
  const [first, second] = caches as [StaleCache<Thing>, StaleCache<Thing>]
  t.equal(await first.get('nobody'), undefined)
  await waitUntil(() => fleetOf(first).written > 0)
  t.equal(await second.get('nobody'), undefined)
  t.equal(source.calls.length, 1)
})

t.test('a refresh, a write, an invalidation and a disappearance reach the others', async (t) => {
  const { source, caches } = await fleet(t, 3)
  const [first, second, third] = caches as [StaleCache<Thing>, StaleCache<Thing>, StaleCache<Thing>]
  source.has('acme', 'one', { tags: ['blue'] })
  for (const cache of caches) await cache.get('acme')
  source.has('acme', 'two', { tags: ['blue'] })
  await first.refresh(['acme'])
  await waitUntil(() => caches.every((cache) => cache.peek('acme').value.text === 'two'))
  t.equal(source.calls.length, 2)

  second.set('acme', { value: { text: 'three' }, tags: ['blue'] })
  await waitUntil(() => caches.every((cache) => cache.peek('acme').value.text === 'three'))
  await waitUntil(() => new Set(caches.map((cache) => cache.peek('acme').fence)).size === 1)

  third.invalidate('acme')
  source.has('acme', 'four', { tags: ['blue'] })
  await waitUntil(() => caches.every((cache) => cache.peek('acme').source === 'stale'))
  await waitUntil(() => caches.every((cache) => cache.peek('acme').value.text === 'four'))
  t.equal(source.calls.length, 3, 'one load for all')
  t.ok(caches.every((cache) => cache.peek('acme').source === 'fresh'))

  first.invalidateTag('blue')
  source.has('acme', 'five', { tags: ['blue'] })
  await waitUntil(() => caches.every((cache) => cache.peek('acme').value.text === 'five'))
  t.equal(source.calls.length, 4, 'one load for all')

  source.rows.delete('acme')
  await second.refresh(['acme'])
  await waitUntil(() => caches.every((cache) => cache.peek('acme').source === 'default'))
})

t.test('what is large comes by Redis, what is too large by the source', async (t) => {
  const { source, caches } = await fleet(t, 2, { maxSharedBytes: 100_000 })
  const [first, second] = caches as [StaleCache<Thing>, StaleCache<Thing>]
  source.has('large', 'x'.repeat(50_000))
  source.has('huge', 'x'.repeat(200_000))
  for (const cache of caches) await Promise.all([cache.get('large'), cache.get('huge')])
  t.equal(source.calls.flatMap(({ keys }) => keys).filter((key) => key === 'large').length, 1)
  t.equal(source.calls.flatMap(({ keys }) => keys).filter((key) => key === 'huge').length, 2)
  source.has('large', 'y'.repeat(50_000))
  await first.refresh(['large'])
  await waitUntil(() => second.peek('large').value.text.startsWith('y'))
  t.ok(fleetOf(first).unshared > 0)
})

t.test('what fails in one process is not tried by all others at once', async (t) => {
  const { source, caches } = await fleet(t, 3)
  source.answer = async () => {
    await sleep(50)
    throw new Error('the source is gone')
  }
  const results = await Promise.allSettled(caches.map((cache) => cache.get('acme')))
  const reasons = results.map((result) => (result.status === 'rejected' ? String(result.reason) : ''))
  t.ok(
    reasons.every((reason) => reason.includes('the source is gone')),
    reasons.join('\n'),
  )
  t.equal(source.calls.length, 1)
  const codes = results.map((result) => (result.status === 'rejected' ? result.reason.code : ''))
  t.equal(codes.filter((code) => code === 'HOLDFAST_ERR_STALE_CACHE_SHARED_LOAD').length, 2)
})

t.test('a value that Redis keeps stands in, stale, when the source fails', async (t) => {
  const { source, caches } = await fleet(t, 2, { freshMs: 50 })
  const [first, second] = caches as [StaleCache<Thing>, StaleCache<Thing>]
  source.has('acme', 'one')
  await first.get('acme')
  await waitUntil(() => fleetOf(first).written > 0)
  await sleep(80)
  source.answer = () => Promise.reject(new Error('the source is gone'))
  t.same(await second.get('acme'), { text: 'one' })
  t.equal(second.peek('acme').source, 'stale')
})

t.test('what is foreign or damaged in Redis counts as a miss', async (t) => {
  const { name, source, members } = await fleet(t, 2)
  const [first, second] = members as [(typeof members)[0], (typeof members)[0]]
  for (const [key, text] of [
    ['cut', '0000'],
    ['foreign', 'plain text of somebody else'],
    ['other', '00000000 {"format":1}'],
  ] as const) {
    source.has(key, 'good')
    const redisKey = first.redis.key('stale-cache', name, 'value', key)
    await first.redis.call('HSET', redisKey, 'd', text, 'f', String(Date.now() * 1000 - 1000))
    t.same(await second.cache.get(key), { text: 'good' })
  }
  t.equal(fleetOf(second.cache).damaged, 3)
  await first.redis.call('PUBLISH', first.redis.key('stale-cache', name, 'changes'), 'nonsense')
  await waitUntil(() => fleetOf(second.cache).messagesRefused === 1)
})

t.test('an older read never replaces a newer one, in memory and in Redis', async (t) => {
  const { source, caches } = await fleet(t, 3, { leaseMs: 100 })
  const [slow, quick, late] = caches as [StaleCache<Thing>, StaleCache<Thing>, StaleCache<Thing>]
  source.has('acme', 'old')
  const gate = Promise.withResolvers<void>()
  source.answer = async (keys) => {
    const rows = source.found(keys)
    await gate.promise
    return rows
  }
  const reading = slow.refresh(['acme'])
  await waitUntil(() => source.calls.length === 1)
  source.has('acme', 'new')
  source.answer = (keys) => source.found(keys)
  await quick.refresh(['acme'])
  await waitUntil(() => fleetOf(quick).written > 0)
  gate.resolve()
  await reading
  await waitUntil(() => slow.peek('acme').value.text === 'new')
  t.equal(quick.peek('acme').value.text, 'new')
  t.same(await late.get('acme'), { text: 'new' })
  await waitUntil(() => fleetOf(slow).fenced === 1)
})

t.test('a smaller version never replaces a larger one in Redis', async (t) => {
  const { source, caches } = await fleet(t, 2)
  const [first, second] = caches as [StaleCache<Thing>, StaleCache<Thing>]
  for (const [key, larger, smaller] of [
    ['number', 10, 9],
    ['big', 12_345_678_901_234_567_891n, 12_345_678_901_234_567_890n],
    ['negative', -1n, -12n],
    ['float', 1.5, 1.25],
  ] as const) {
    source.has(key, 'newer', { version: larger })
    await first.get(key)
    await waitUntil(() => fleetOf(first).waiting === 0)
    second.set(key, { value: { text: 'older' }, version: smaller })
    await waitUntil(() => second.peek(key).value.text === 'newer')
    t.equal(first.peek(key).value.text, 'newer')
  }
})

t.test('refresh with a fence takes what was read since', async (t) => {
  const { source, caches } = await fleet(t, 3)
  const [first] = caches as [StaleCache<Thing>]
  source.has('acme', 'one')
  await Promise.all(caches.map((cache) => cache.get('acme')))
  const { fence = 0 } = first.peek('acme')
  const calls = source.calls.length
  await Promise.all(caches.map((cache) => cache.refresh(['acme'], { sinceFence: fence })))
  t.equal(source.calls.length, calls, 'all have it')
  source.has('acme', 'two')
  await Promise.all(caches.map((cache) => cache.refresh(['acme'], { sinceFence: fence + 1 })))
  t.equal(source.calls.length, calls + 1, 'one asks, the others take its answer')
  t.ok(caches.every((cache) => cache.peek('acme').value.text === 'two'))
})

t.test('the plugin gives its Redis to every cache that wants one, and shows it as metrics', async (t) => {
  const registry = new Registry()
  const redis = new GuardedRedis({ url: server.url, budgetMs: 10_000 })
  const app = fastify()
  await app.register(staleCache, { redis, registry })
  const load = async (keys: readonly string[]) => keys.map((key) => ({ key, value: key }))
  const shared = app.staleCache.create('shared', { load, fallback: () => 'default' })
  app.staleCache.create('alone', { load, fallback: () => 'default', redis: false })
  await app.ready()
  await redis.ready(10_000)
  await shared.get('acme')
  await waitUntil(() => shared.snapshot().fleet?.written === 1)
  const text = await registry.metrics()
  for (const line of [
    'cache_shared_keys_total{cache="shared",outcome="led"} 1',
    'cache_shared_writes_total{cache="shared",outcome="written"} 1',
    'cache_shared_faults_total{cache="shared",fault="damaged"} 0',
    'cache_shared_messages_total{cache="shared"} 0',
    'cache_shared_waiting{cache="shared"} 0',
    'cache_shared_listening{cache="shared"} 1',
  ])
    t.ok(text.includes(line), line)
  t.notOk(text.includes('cache_shared_keys_total{cache="alone"'))
  await app.close()
  await redis.close()
  const other = fastify()
  await t.rejects(async () => other.register(staleCache, { redis: {} as never }), {
    code: 'HOLDFAST_ERR_STALE_CACHE_INVALID_OPTION',
  })
})
