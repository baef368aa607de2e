import { GuardedRedis } from '@holdfast/redis-guard'
import { startRedisCluster, startRedisSentinel, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { StaleCache } from '../src/stale-cache.ts'
import { Source, type Thing } from './source.ts'

t.setTimeout(120_000)

function members(t: Test, redis: readonly GuardedRedis[], name: string) {
  const source = new Source()
  const caches = redis.map((guard) => {
    const cache = new StaleCache<Thing>(name, {
      load: source.load,
      fallback: () => ({ text: 'default' }),
      redis: guard,
    })
    t.teardown(() => cache.close())
    return cache
  })
  return { source, caches }
}

const shows = (caches: readonly StaleCache<Thing>[], key: string, text: string) => () =>
  caches.every((cache) => cache.peek(key).value.text === text)

t.test('in a Redis Cluster every cache has a slot, and changes reach everybody', async (t) => {
  const cluster = await startRedisCluster({ replicas: 1 })
  t.teardown(() => cluster.stop())
  const guards = [1, 2].map(() => new GuardedRedis({ cluster: [...cluster.addresses], budgetMs: 500 }))
  t.teardown(() => Promise.all(guards.map((guard) => guard.close())))
  await Promise.all(guards.map((guard) => guard.ready(10_000)))
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) {
    const { source, caches } = members(t, guards, name)
    const [first, second] = caches
    await waitUntil(() => caches.every((cache) => cache.snapshot().fleet?.listening === true))
    const keys = Array.from({ length: 200 }, (_, index) => `key-${index}`)
    for (const key of keys) source.has(key, 'one', { tags: ['blue'] })
    await first?.refresh(keys)
    await waitUntil(() => first?.snapshot().fleet?.waiting === 0)
    await second?.refresh(keys, { sinceFence: 0 })
    t.equal(second?.snapshot().fleet?.hits, 200, `cache ${name}`)
    source.has('key-7', 'two', { tags: ['blue'] })
    await second?.refresh(['key-7'])
    await waitUntil(shows(caches, 'key-7', 'two'))
    first?.invalidateTag('blue')
    await waitUntil(() => second?.peek('key-0').source === 'stale')
  }
})

t.test('after a failover of Sentinel the fences still grow and changes still arrive', async (t) => {
  const sentinel = await startRedisSentinel()
  t.teardown(() => sentinel.stop())
  const connection = { sentinels: [...sentinel.addresses], name: sentinel.name }
  const guards = [1, 2].map(() => new GuardedRedis({ connection, budgetMs: 200 }))
  t.teardown(() => Promise.all(guards.map((guard) => guard.close())))
  await Promise.all(guards.map((guard) => guard.ready(10_000)))
  const { source, caches } = members(t, guards, 'themes')
  const [first, second] = caches
  await waitUntil(() => caches.every((cache) => cache.snapshot().fleet?.listening === true))
  source.has('acme', 'one')
  await Promise.all(caches.map((cache) => cache.get('acme')))
  const { fence = 0 } = first?.peek('acme') ?? {}
  const master = await sentinel.master()
  await master.kill9()
  second?.set('acme', { value: { text: 'two' } })
  await sentinel.masterOtherThan(master)
  await waitUntil(shows(caches, 'acme', 'two'), { timeoutMs: 30_000 })
  source.has('acme', 'three')
  await first?.refresh(['acme'])
  await waitUntil(shows(caches, 'acme', 'three'))
  t.ok((second?.peek('acme').fence ?? 0) > fence)
})
