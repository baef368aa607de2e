import t from 'tap'
import type { Row } from '../src/options.ts'
import { cacheOver, fail, pending, type Thing } from './source.ts'

t.test('a smaller version never replaces a larger one, whoever brings it', async (t) => {
  const { cache, source } = cacheOver()
  t.equal(cache.set('acme', { value: { text: 'v5' }, version: 5 }), true)
  t.equal(cache.set('acme', { value: { text: 'v4' }, version: 4 }), false)
  t.equal(cache.set('acme', { value: { text: 'v4n' }, version: 4n }), false, 'bigints and numbers compare')
  source.has('acme', 'v3', { version: 3 })
  t.match(await cache.refresh(['acme']), { kept: 1, loaded: 0 })
  t.match(cache.peek('acme'), { value: { text: 'v5' }, version: 5 })
  t.equal(
    cache.set('acme', { value: { text: 'v5 again' }, version: 5 }),
    true,
    'the same version: the later write',
  )
  t.equal(cache.set('acme', { value: { text: 'v6' }, version: 6n }), true)
  t.same(cache.peek('acme').value, { text: 'v6' })
  await cache.close()
})

t.test('a load that only finds an older version is not repeated at once', async (t) => {
  const { cache, clock, source } = cacheOver({ batchIntervalMs: 1, backoffMs: 100 })
  cache.set('acme', { value: { text: 'v5' }, version: 5 })
  source.has('acme', 'v4', { version: 4 })
  await clock.advance(1_000)
  for (let ms = 0; ms < 99; ms += 1) {
    t.equal(cache.peek('acme').source, 'stale')
    await clock.advance(1)
  }
  t.equal(source.calls.length, 1)
  await cache.close()
})

t.test('a load that began before a write does not undo it', async (t) => {
  const { cache, clock, source } = cacheOver()
  const answer = pending<Row<Thing>[]>()
  source.answer = () => answer.promise
  const get = cache.get('acme')
  await clock.advance(0)
  cache.set('acme', { value: { text: 'written' } })
  answer.resolve([{ key: 'acme', value: { text: 'read before' } }])
  t.same(await get, { text: 'written' }, 'who waited gets what is held now')
  t.match(cache.peek('acme'), { source: 'fresh', value: { text: 'written' } })
  await cache.close()
})

t.test('a load that began before a write and finds nothing does not remove it', async (t) => {
  const { cache, clock, source } = cacheOver()
  const answer = pending<Row<Thing>[]>()
  source.answer = () => answer.promise
  const get = cache.get('acme')
  await clock.advance(0)
  cache.set('acme', { value: { text: 'written' } })
  answer.resolve([])
  t.same(await get, { text: 'written' })
  t.equal(cache.peek('acme').source, 'fresh')
  await cache.close()
})

t.test(
  'a load that began before an invalidation does not resurrect freshness, and a later one does',
  async (t) => {
    for (const invalidate of ['key', 'tag'] as const) {
      const { cache, clock, source } = cacheOver()
      const first = pending<Row<Thing>[]>()
      source.answer = () => first.promise
      const get = cache.get('acme')
      await clock.advance(0)
      if (invalidate === 'key') t.equal(cache.invalidate('acme'), false)
      else t.equal(cache.invalidateTag('brand'), 0)
      first.resolve([{ key: 'acme', value: { text: 'before' }, tags: ['brand'] }])
      t.same(await get, { text: 'before' }, 'who asked before may have it')
      t.match(
        cache.peek('acme'),
        { source: 'stale', value: { text: 'before' } },
        `${invalidate}: kept, not fresh`,
      )
      source.answer = (keys) => keys.map((key) => ({ key, value: { text: 'after' } }))
      await cache.refresh(['acme'])
      t.match(cache.peek('acme'), { source: 'fresh', value: { text: 'after' } })
      await cache.close()
    }
  },
)

t.test(
  'who asks after an invalidation gets a load that began after it, and the first cannot overwrite it',
  async (t) => {
    const { cache, clock, source } = cacheOver()
    const answers = [pending<Row<Thing>[]>(), pending<Row<Thing>[]>()]
    source.answer = () => answers[source.calls.length - 1]?.promise ?? []
    const before = cache.get('acme')
    await clock.advance(0)
    cache.invalidate('acme')
    const after = cache.get('acme')
    await clock.advance(0)
    t.equal(source.calls.length, 2)
    answers[1]?.resolve([{ key: 'acme', value: { text: 'new' } }])
    t.same(await after, { text: 'new' })
    answers[0]?.resolve([{ key: 'acme', value: { text: 'old' } }])
    t.same(await before, { text: 'new' })
    t.match(cache.peek('acme'), { source: 'fresh', value: { text: 'new' } })
    await cache.close()
  },
)

t.test('an earlier load that lands does not make a later one of the same key look landed', async (t) => {
  const { cache, clock, source } = cacheOver()
  const answers = [pending<Row<Thing>[]>(), pending<Row<Thing>[]>()]
  source.answer = (keys) => answers[source.calls.length - 1]?.promise ?? source.found(keys)
  source.has('acme', 'newest')
  const first = cache.get('acme')
  await clock.advance(0)
  cache.invalidate('acme')
  const second = cache.get('acme')
  await clock.advance(0)
  answers[0]?.resolve([])
  await first
  cache.invalidate('acme')
  t.same(
    await cache.get('acme'),
    { text: 'newest' },
    'a third load, that began after the second invalidation',
  )
  t.equal(source.calls.length, 3)
  answers[1]?.resolve([])
  await second
  await cache.close()
})

t.test('a value that a later load did not find is not brought back by an earlier one', async (t) => {
  const { cache, clock, source } = cacheOver()
  const first = pending<Row<Thing>[]>()
  source.answer = () => (source.calls.length === 1 ? first.promise : [])
  const before = cache.get('acme')
  await clock.advance(0)
  t.match(await cache.refresh(['acme']), { missing: 1 })
  first.resolve([{ key: 'acme', value: { text: 'old' } }])
  await before
  t.equal(cache.peek('acme').source, 'default')
  await cache.close()
})

t.test('a load that finds nothing, but began before an invalidation, says nothing', async (t) => {
  const { cache, clock, source } = cacheOver()
  cache.set('acme', { value: { text: 'blue' } })
  const first = pending<Row<Thing>[]>()
  source.answer = () => first.promise
  const refresh = cache.refresh(['acme'])
  await clock.advance(0)
  cache.invalidate('acme')
  first.resolve([])
  t.match(await refresh, { missing: 1 })
  t.match(cache.peek('acme'), { source: 'stale', value: { text: 'blue' } })
  await cache.close()
})

t.test(
  'invalidation marks stale, keeps the bytes, ends the pause of a failed key and of an unknown one',
  async (t) => {
    const { cache, clock, source } = cacheOver({
      backoffMs: 60_000,
      maxBackoffMs: 60_000,
      negativeMs: 60_000,
    })
    source.has('acme', 'blue', { tags: ['brand', 'brand'] })
    source.has('globex', 'red', { tags: ['brand'] })
    source.has('other', 'grey')
    await cache.refresh(['acme', 'globex', 'other'])
    t.equal(cache.snapshot().tags, 1)
    const bytes = cache.peek('acme').representation
    t.equal(cache.invalidateTag('brand'), 2)
    t.equal(cache.invalidateTag('nobody has this'), 0)
    t.equal(cache.peek('acme').source, 'stale')
    t.equal(cache.peek('acme').representation, bytes)
    t.equal(cache.peek('other').source, 'fresh')
    source.answer = fail('down')
    await clock.advance(250)
    t.equal(source.calls.length, 2)
    cache.peek('acme')
    await clock.advance(1_000)
    t.equal(source.calls.length, 2, 'it rests')
    cache.invalidate('acme')
    cache.peek('acme')
    source.answer = (keys) => source.found(keys)
    await clock.advance(250)
    t.equal(cache.peek('acme').source, 'fresh')

    t.equal(await cache.get('newcomer').catch(() => 'failed'), undefined)
    source.has('newcomer', 'green')
    t.equal(await cache.get('newcomer'), undefined, 'a negative entry')
    cache.invalidate('newcomer')
    t.same(await cache.get('newcomer'), { text: 'green' })
    await cache.close()
  },
)

t.test('a replaced, deleted or evicted value leaves its tags behind nowhere', async (t) => {
  const { cache, source } = cacheOver({ maxEntries: 2 })
  cache.set('a', { value: { text: 'a' }, tags: ['one', 'two'] })
  cache.set('a', { value: { text: 'a' }, tags: ['two'] })
  t.equal(cache.invalidateTag('one'), 0)
  cache.set('b', { value: { text: 'b' }, tags: ['three'] })
  cache.set('c', { value: { text: 'c' } })
  t.equal(cache.snapshot().tags, 1, 'a was evicted with its tags')
  await cache.refresh(['b'])
  t.match(cache.snapshot(), { tags: 0, entries: 1, evicted: 1 })
  t.equal(source.calls.length, 1)
  await cache.close()
})

t.test(
  'a key once found missing is not brought back by an earlier load, even after a later one failed',
  async (t) => {
    const { cache, clock, source } = cacheOver({ backoffMs: 1 })
    const first = pending<Row<Thing>[]>()
    source.answer = () => (source.calls.length === 1 ? first.promise : [])
    const before = cache.get('acme')
    await clock.advance(0)
    await cache.refresh(['acme'])
    source.answer = fail('down')
    await cache.refresh(['acme'])
    first.resolve([{ key: 'acme', value: { text: 'deleted long ago' } }])
    await before
    t.equal(cache.peek('acme').source, 'default')
    await cache.close()
  },
)
