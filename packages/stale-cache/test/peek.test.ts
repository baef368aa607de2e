import t from 'tap'
import { cacheOver, fail } from './source.ts'

t.test('a key nobody has loaded gets the default at once and the value after the next batch', async (t) => {
  const { cache, clock, source } = cacheOver()
  source.has('acme', 'blue', { version: 3 })
  const first = cache.peek('acme')
  t.equal(first.source, 'default')
  t.same(first.value, { text: 'default' })
  t.match([first.ageMs, first.ttlMs, first.version], [0, 0, undefined])
  t.equal(source.calls.length, 0, 'peek itself loads nothing')
  await clock.advance(0)
  t.same(source.calls[0]?.keys, ['acme'])
  const second = cache.peek('acme')
  t.equal(second.source, 'fresh')
  t.same(second.value, { text: 'blue' })
  t.equal(second.version, 3)
  t.equal(second.ttlMs, 1_000)
  t.equal(second.representation.identity.body.toString(), '{"text":"blue"}')
  await cache.close()
})

t.test(
  'a value turns from fresh to stale to default with age, and stale bytes survive a failing source',
  async (t) => {
    const { cache, clock, source } = cacheOver()
    source.has('acme', 'blue')
    await cache.refresh(['acme'])
    await clock.advance(999)
    t.equal(cache.peek('acme').source, 'fresh')
    source.answer = fail('the source is down')
    await clock.advance(1)
    const stale = cache.peek('acme')
    t.match(stale, { source: 'stale', ageMs: 1_000, ttlMs: 0, value: { text: 'blue' } })
    await clock.advance(9_999)
    t.match(cache.peek('acme'), { source: 'stale', ageMs: 10_999, ttlMs: -9_999 })
    await clock.advance(1)
    t.match(cache.peek('acme'), { source: 'default', value: { text: 'default' } })
    await cache.close()
  },
)

t.test('a failed refresh keeps the bytes, and the key rests longer with every failure', async (t) => {
  const { cache, clock, source } = cacheOver({ backoffMs: 100, maxBackoffMs: 400, batchIntervalMs: 1 })
  source.has('acme', 'blue')
  await cache.refresh(['acme'])
  await clock.advance(1_000)
  source.answer = fail('down')
  const startedAt: number[] = []
  for (let ms = 0; ms < 2_000; ms += 1) {
    const before = source.calls.length
    t.equal(cache.peek('acme').source, 'stale')
    await clock.advance(1)
    if (source.calls.length > before) startedAt.push(ms)
  }
  const pauses = startedAt.map((ms, index) => ms - (startedAt[index - 1] ?? 0)).slice(1)
  t.same(pauses.slice(0, 5), [100, 200, 400, 400, 400], 'doubling from backoffMs to maxBackoffMs')
  source.answer = (keys) => source.found(keys)
  await clock.advance(400)
  cache.peek('acme')
  await clock.advance(1)
  t.equal(cache.peek('acme').source, 'fresh', 'and it recovers by itself')
  await cache.close()
})

t.test('10,000 made-up keys cost a handful of loads and no growth', async (t) => {
  const { cache, clock, source } = cacheOver({
    maxQueuedKeys: 1_000,
    maxNegativeEntries: 100,
    maxBatchKeys: 500,
  })
  source.has('acme', 'blue')
  await cache.refresh(['acme'])
  for (let index = 0; index < 10_000; index += 1) t.equal(cache.peek(`made-up-${index}`).source, 'default')
  t.equal(cache.snapshot().queued, 1_000)
  t.equal(cache.snapshot().keysDropped, 9_000)
  await clock.advance(250)
  t.equal(source.calls.length, 1 + 2)
  t.match(cache.snapshot(), { queued: 0, entries: 1, negativeEntries: 100, defaults: 256, inFlight: 0 })
  t.equal(cache.peek('acme').source, 'fresh', 'real values are not pushed out')
  await cache.close()
})
