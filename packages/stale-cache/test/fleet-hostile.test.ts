// What people, other releases and clocks can do to a fleet.
import { setTimeout as sleep } from 'node:timers/promises'
import { type RealServer, startRedis, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { encodeShared } from '../src/shared-entry.ts'
import type { StaleCache } from '../src/stale-cache.ts'
import { type FleetOptions, fleetOf, fleetOn } from './fleet-of-caches.ts'
import type { Thing } from './source.ts'

type Pair = [StaleCache<Thing>, StaleCache<Thing>]

let server: RealServer
t.before(async () => {
  server = await startRedis({ args: ['--appendonly', 'no'] })
})
t.teardown(() => server.stop())

const fleet = (t: Test, size: number, options: FleetOptions = {}, each?: (member: number) => FleetOptions) =>
  fleetOn(server.url, t, size, options, each)

const quiet = (cache: StaleCache<Thing>) => waitUntil(() => fleetOf(cache).waiting === 0)

t.test('times need not be whole milliseconds', async (t) => {
  const { source, caches } = await fleet(t, 2, { leaseMs: 1000.3, negativeMs: 1000.4, backoffMs: 1000.7 })
  const [first, second] = caches as Pair
  source.has('acme', 'one')
  t.same(await first.get('acme'), { text: 'one' })
  t.equal(await first.get('nobody'), undefined)
  source.answer = () => Promise.reject(new Error('gone'))
  await t.rejects(first.get('broken'))
  await quiet(first)
  t.same(await second.get('acme'), { text: 'one' })
  t.equal(fleetOf(first).callsFailed, 0)
})

t.test('something else under the name of a key is removed, and harms no other key', async (t) => {
  const { name, source, members } = await fleet(t, 2)
  const [first, second] = members as [(typeof members)[0], (typeof members)[0]]
  const keys = ['string', 'list', 'fine']
  for (const key of keys) source.has(key, 'good')
  const redisKey = (key: string) => first.redis.key('stale-cache', name, 'value', key)
  await first.redis.call('SET', redisKey('string'), 'foreign')
  await first.redis.call('RPUSH', redisKey('list'), 'foreign')
  await first.redis.call('RPUSH', first.redis.key('stale-cache', name, 'fence'), 'foreign')
  await first.redis.call('RPUSH', first.redis.key('stale-cache', name, 'tag', 'blue'), 'foreign')
  t.match(await first.cache.refresh(keys), { loaded: 3 })
  first.cache.invalidateTag('blue')
  await quiet(first.cache)
  t.equal(fleetOf(first.cache).callsFailed, 0)
  for (const key of keys) t.same(await second.cache.get(key), { text: 'good' })
  t.equal(source.calls.length, 1)
  await first.redis.call('SET', redisKey('fine'), 'foreign')
  first.cache.set('fine', { value: { text: 'better' } })
  await waitUntil(() => second.cache.peek('fine').value.text === 'better')
})

t.test('fences of a far future are nobody’s: what comes next still has its order', async (t) => {
  const { name, source, members } = await fleet(t, 2)
  const [first, second] = members as [(typeof members)[0], (typeof members)[0]]
  source.has('acme', 'one')
  for (const future of ['99999999999999999999', 'inf', 'nan', '9007199254740991']) {
    for (const field of ['f', 'i', 'l', 'x', 'y'])
      await first.redis.call('HSET', first.redis.key('stale-cache', name, 'value', 'acme'), field, future)
    await first.redis.call('HSET', first.redis.key('stale-cache', name, 'value', 'acme'), 'd', 'x', 'e', 'x')
    await first.redis.call('SET', first.redis.key('stale-cache', name, 'fence'), future)
    await first.cache.refresh(['acme'], { sinceFence: 0 })
    first.cache.invalidate('acme')
    source.has('acme', future)
    await first.cache.refresh(['acme'], { sinceFence: 0 })
    t.match(first.cache.peek('acme'), { value: { text: future }, source: 'fresh' })
    await waitUntil(
      () =>
        second.cache.peek('acme').value.text === 'default' || second.cache.peek('acme').value.text === future,
    )
    t.same(await second.cache.get('acme'), { text: future })
    t.ok(
      (first.cache.peek('acme').fence ?? 0) < Date.now() * 1000 + 60e6,
      String(first.cache.peek('acme').fence),
    )
  }
})

t.test('a sinceFence that is no fence is refused', async (t) => {
  const { caches } = await fleet(t, 1)
  const [cache] = caches as [StaleCache<Thing>]
  for (const sinceFence of [Number.POSITIVE_INFINITY, Number.NaN, -1, 1.5, '7' as never])
    await t.rejects(cache.refresh(['acme'], { sinceFence }), {
      code: 'HOLDFAST_ERR_STALE_CACHE_INVALID_OPTION',
    })
})

t.test('keys and tags that are too long for Redis stay in this process, and hold up nothing', async (t) => {
  const { source, members } = await fleet(t, 2, { maxKeyLength: 2000 })
  const [first, second] = members as [(typeof members)[0], (typeof members)[0]]
  const long = 'x'.repeat(1500)
  source.has(long, 'long')
  source.has('acme', 'one', { tags: [long] })
  for (const { cache } of members) {
    t.same(await cache.get(long), { text: 'long' })
    t.same(await cache.get('acme'), { text: 'one' })
  }
  t.equal(first.cache.invalidate(long), true)
  t.equal(first.cache.invalidateTag(long), 1)
  first.cache.set(long, { value: { text: 'mine' } })
  first.cache.set('globex', { value: { text: 'two' } })
  await quiet(first.cache)
  t.same(await second.cache.get('globex'), { text: 'two' })
  t.equal(fleetOf(first.cache).callsFailed, 0)
  t.equal(await first.redis.call('EXISTS', ''), 0)
})

t.test('a value of a release that this one cannot use is loaded anew', async (t) => {
  const { source, caches } = await fleet(t, 2, {}, (member) =>
    member === 0
      ? { maxTags: 20 }
      : {
          maxTags: 2,
          represent: (value) => {
            if (value.text === 'new shape') throw new TypeError('unknown shape')
            return { body: value.text, contentType: 'text/plain' }
          },
        },
  )
  const [newer, older] = caches as Pair
  source.has('acme', 'new shape')
  source.has('tags', 'one', { tags: ['a', 'b', 'c', 'd'] })
  await newer.refresh(['acme', 'tags'])
  await quiet(newer)
  source.has('acme', 'old shape')
  source.has('tags', 'one', { tags: ['a'] })
  t.same(await older.get('acme'), { text: 'old shape' })
  t.same(await older.get('tags'), { text: 'one' })
  t.equal(source.calls.length, 3)
})

t.test('a write that cannot be shared makes the others load it', async (t) => {
  const { source, caches } = await fleet(t, 2, { maxSharedBytes: 1000 })
  const [first, second] = caches as Pair
  source.has('acme', 'one')
  for (const cache of caches) await cache.get('acme')
  const large = 'x'.repeat(2000)
  source.has('acme', large)
  first.set('acme', { value: { text: large } })
  await waitUntil(() => second.peek('acme').value.text === large)
  t.match(first.peek('acme'), { source: 'fresh', value: { text: large } })
})

t.test('invalidation of a tag holds for values whose load began before', async (t) => {
  const { source, caches } = await fleet(t, 2)
  const [slow, other] = caches as Pair
  source.has('acme', 'old', { tags: ['blue'] })
  const gate = Promise.withResolvers<void>()
  source.answer = async (keys) => {
    const rows = source.found(keys)
    await gate.promise
    return rows
  }
  const reading = slow.get('acme')
  await waitUntil(() => source.calls.length === 1)
  source.has('acme', 'new', { tags: ['blue'] })
  source.answer = (keys) => source.found(keys)
  other.invalidateTag('blue')
  await quiet(other)
  const followed = other.get('acme')
  await sleep(50)
  gate.resolve()
  await reading
  t.same(await followed, { text: 'new' })
})

t.test('no followed load goes to the source once it was given up, or its cache closed', async (t) => {
  const { source, caches } = await fleet(t, 2, { maxLoadMs: 300 })
  const [leader, follower] = caches as Pair
  let begunAborted = false
  source.answer = () => {
    begunAborted ||= source.calls.at(-1)?.signal.aborted === true
    return new Promise(() => {})
  }
  const led = leader.get('acme', { timeoutMs: 200 })
  await waitUntil(() => source.calls.length === 1)
  await t.rejects(Promise.all([led, follower.get('acme')]))
  await sleep(500)
  t.notOk(begunAborted, 'no call whose time was up before it began')
})

t.test('who waits for a load of its own process hears of its end', async (t) => {
  const { source, caches } = await fleet(t, 1, { leaseMs: 60_000 })
  const [cache] = caches as [StaleCache<Thing>]
  source.has('acme', 'one')
  const gate = Promise.withResolvers<void>()
  source.answer = async (keys) => {
    await gate.promise
    return source.found(keys)
  }
  const first = cache.get('acme')
  await waitUntil(() => source.calls.length === 1)
  const second = cache.refresh(['acme'], { sinceFence: 0 })
  await sleep(50)
  gate.resolve()
  await first
  let result: unknown
  void second.then((loaded) => {
    result = loaded
  })
  await waitUntil(() => result !== undefined, { what: 'the end, long before that of the lease' })
  t.match(result, { loaded: 1 })
})

t.test('many more changes than maxReplays are told while Redis is there', async (t) => {
  const { source, caches } = await fleet(t, 2, { maxReplays: 0, leaseMs: 5000 })
  const [first, second] = caches as Pair
  const keys = Array.from({ length: 300 }, (_, index) => `key-${index}`)
  for (const key of keys) source.has(key, key)
  await first.refresh(keys)
  await quiet(first)
  await second.refresh(keys, { sinceFence: 0 })
  t.equal(source.calls.flatMap((call) => call.keys).length, 300)
  t.equal(fleetOf(first).dropped, 0)
})

t.test('that a key vanished is remembered as long as a load may take', async (t) => {
  const { source, caches } = await fleet(t, 2, { negativeMs: 50, leaseMs: 100 })
  const [slow, quick] = caches as Pair
  source.has('acme', 'old')
  const gate = Promise.withResolvers<void>()
  source.answer = async (keys) => {
    const rows = source.found(keys)
    await gate.promise
    return rows
  }
  const reading = slow.refresh(['acme'])
  await waitUntil(() => source.calls.length === 1)
  source.rows.delete('acme')
  source.answer = (keys) => source.found(keys)
  await quick.refresh(['acme'])
  await quiet(quick)
  await sleep(1200)
  gate.resolve()
  await reading
  await quiet(slow)
  t.equal(fleetOf(slow).fenced, 1)
  t.equal(quick.peek('acme').source, 'default')
})

t.test('a server whose clock is behind does not undo writes and invalidations', async (t) => {
  const { name, source, members } = await fleet(t, 2)
  const [first, second] = members as [(typeof members)[0], (typeof members)[0]]
  // What was read while the clock was an hour ahead, as after a failover to a slower one.
  const ahead = (Date.now() + 3_600_000) * 1000
  const redisKey = first.redis.key('stale-cache', name, 'value', 'acme')
  const text = encodeShared(name, { key: 'acme', value: { text: 'one' } }) ?? ''
  await first.redis.call('HSET', redisKey, 'd', text, 'f', String(ahead))
  await first.redis.call('SET', first.redis.key('stale-cache', name, 'fence'), String(ahead))
  for (const { cache } of members) t.same(await cache.get('acme'), { text: 'one' })
  t.equal(source.calls.length, 0)
  first.cache.set('acme', { value: { text: 'two' } })
  await waitUntil(() => second.cache.peek('acme').value.text === 'two')
  source.has('acme', 'three')
  first.cache.invalidate('acme')
  t.same(await second.cache.get('acme'), { text: 'two' })
  for (const { cache } of members) await waitUntil(() => cache.peek('acme').value.text === 'three')
})
