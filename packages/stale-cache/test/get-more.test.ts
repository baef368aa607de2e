import { AsyncLocalStorage } from 'node:async_hooks'
import t from 'tap'
import type { Row } from '../src/options.ts'
import { StaleCache } from '../src/stale-cache.ts'
import { cacheOver, fail, pending, type Thing } from './source.ts'

t.test('a stale value is answered at once, and refreshed behind', async (t) => {
  const { cache, clock, source } = cacheOver()
  source.has('acme', 'blue')
  await cache.get('acme')
  source.has('acme', 'red')
  await clock.advance(1_000)
  t.same(await cache.get('acme'), { text: 'blue' })
  await clock.advance(250)
  t.same(await cache.get('acme'), { text: 'red' })
  await cache.close()
})

t.test('with a soft time-out a refresh in time is answered, a late one is not waited for', async (t) => {
  const { cache, clock, source } = cacheOver({ softTimeoutMs: 100 })
  source.has('acme', 'blue')
  await cache.get('acme')
  await clock.advance(1_000)
  source.has('acme', 'red')
  t.same(await cache.get('acme'), { text: 'red' }, 'in time')
  await clock.advance(1_000)
  const answer = pending<Row<Thing>[]>()
  source.answer = () => answer.promise
  const late = cache.get('acme')
  await clock.advance(100)
  t.same(await late, { text: 'red' }, 'the held value after softTimeoutMs')
  answer.resolve([{ key: 'acme', value: { text: 'green' } }])
  await clock.advance(0)
  t.same(await cache.get('acme'), { text: 'green' }, 'the work went on')
  t.equal(clock.pendingTimers, 0)
  await cache.close()
})

t.test(
  'with a soft time-out a failing refresh answers the held value, and an aborted caller is rejected',
  async (t) => {
    const { cache, clock, source } = cacheOver({ softTimeoutMs: 100 })
    source.has('acme', 'blue')
    await cache.get('acme')
    await clock.advance(1_000)
    source.answer = fail('down')
    t.same(await cache.get('acme'), { text: 'blue' })
    t.same(await cache.get('acme'), { text: 'blue' }, 'and the key rests')
    t.equal(source.calls.length, 2)
    await clock.advance(1_000)
    source.answer = () => new Promise(() => {})
    const controller = new AbortController()
    const get = cache.get('acme', { signal: controller.signal })
    const rejected = t.rejects(get, { code: 'HOLDFAST_ERR_SINGLEFLIGHT_ABORTED' })
    controller.abort()
    await rejected
    const closed = cache.close()
    await clock.advance(2_000)
    await closed
  },
)

t.test('each caller has its own signal and its own time, and leaving disturbs nobody', async (t) => {
  const { cache, clock, source } = cacheOver()
  const answer = pending<Row<Thing>[]>()
  source.answer = () => answer.promise
  const controller = new AbortController()
  const leaver = t.rejects(cache.get('acme', { signal: controller.signal }), {
    code: 'HOLDFAST_ERR_SINGLEFLIGHT_ABORTED',
  })
  const hasty = t.rejects(cache.get('acme', { timeoutMs: 10 }), {
    code: 'HOLDFAST_ERR_SINGLEFLIGHT_WAIT_TIMEOUT',
  })
  const patient = cache.get('acme')
  controller.abort()
  await clock.advance(10)
  await Promise.all([leaver, hasty])
  answer.resolve([{ key: 'acme', value: { text: 'blue' } }])
  t.same(await patient, { text: 'blue' })
  t.equal(source.calls.length, 1)
  await cache.close()
})

t.test(
  'an expired value is waited for; when its load fails, the caller hears why, and then that it rests',
  async (t) => {
    const { cache, clock, source } = cacheOver()
    source.has('acme', 'blue')
    await cache.get('acme')
    await clock.advance(11_000)
    source.answer = fail('down')
    await t.rejects(cache.get('acme'), { message: 'down' })
    await t.rejects(cache.get('acme'), {
      code: 'HOLDFAST_ERR_STALE_CACHE_BACKING_OFF',
      cause: { message: 'down' },
    })
    t.equal(cache.peek('acme').source, 'default')
    await clock.advance(1_000)
    source.answer = (keys) => source.found(keys)
    t.same(await cache.get('acme'), { text: 'blue' })
    await cache.close()
  },
)

t.test('an unknown key is asked for once per negativeMs, and a key that cannot exist never', async (t) => {
  const { cache, clock, source } = cacheOver({ negativeMs: 500, isKey: (key) => /^[a-z]+$/.test(key) })
  t.equal(await cache.get('nobody'), undefined)
  t.equal(await cache.get('nobody'), undefined)
  t.equal(source.calls.length, 1)
  await clock.advance(500)
  t.equal(await cache.get('nobody'), undefined)
  t.equal(source.calls.length, 2)
  for (const key of ['', '..%2f', 'A', '\0', 'x'.repeat(257)]) {
    t.equal(await cache.get(key), undefined)
    t.equal(cache.peek(key).source, 'default')
  }
  // @ts-expect-error a caller without types
  t.equal(cache.peek(undefined).source, 'default')
  await clock.advance(1_000)
  t.equal(source.calls.length, 2)
  t.match(cache.snapshot(), { keysRefused: 11, negativeEntries: 1, queued: 0, defaults: 0 })
  await cache.close()
})

t.test('an isKey that throws refuses the key', async (t) => {
  const { cache } = cacheOver({
    isKey: () => {
      throw new Error('mistake')
    },
  })
  t.equal(cache.peek('acme').source, 'default')
  t.equal(await cache.get('acme'), undefined)
  t.throws(() => cache.set('acme', { value: { text: 'x' } }), {
    code: 'HOLDFAST_ERR_STALE_CACHE_KEY_REFUSED',
  })
  t.match(await cache.refresh(['acme']), { refused: 1 })
  await cache.close()
})

t.test(
  'a load that never settles is given up: its signal aborts, its place is freed, its late value counts',
  async (t) => {
    const { cache, clock, source } = cacheOver({
      maxLoadMs: 1_000,
      freshMs: 60_000,
      hardTimeoutMs: 10_000,
      maxConcurrentLoads: 1,
    })
    const answer = pending<Row<Thing>[]>()
    source.answer = () => answer.promise
    const get = t.rejects(cache.get('acme'), {
      code: 'HOLDFAST_ERR_STALE_CACHE_LOAD_GIVEN_UP',
      statusCode: 504,
    })
    await clock.advance(1_000)
    await get
    t.equal(source.calls[0]?.signal.aborted, true)
    source.answer = (keys) => source.found(keys)
    t.equal(await cache.get('other'), undefined, 'another key gets the place')
    answer.resolve([{ key: 'acme', value: { text: 'late' } }])
    await clock.advance(0)
    t.match(cache.peek('acme'), { source: 'fresh', value: { text: 'late' } })
    t.match(cache.snapshot(), { loadsGivenUp: 1, loadsRunning: 0 })
    await cache.close()
  },
)

t.test('a load that throws at once, or answers no list, fails like one that rejects', async (t) => {
  const answers = [
    () => {
      throw new Error('at once')
    },
    () => undefined as unknown as Row<Thing>[],
  ]
  for (const answer of answers) {
    const { cache, source } = cacheOver()
    source.answer = answer
    await t.rejects(cache.get('acme'), Error)
    t.match(cache.snapshot(), { loadsFailed: 1, loadsRunning: 0, inFlight: 0, keysFailed: 1 })
    await cache.close()
  }
})

t.test('one unusable row does not spoil the others of its load', async (t) => {
  const { cache, source } = cacheOver({ maxTags: 1, maxKeyLength: 8 })
  source.has('good', 'blue')
  source.has('nan', 'x', { version: Number.NaN })
  source.has('tags', 'x', { tags: ['a', 'b'] })
  source.has('tag', 'x', { tags: ['longer than 8'] })
  const report = await cache.refresh(['good', 'nan', 'tags', 'tag'])
  t.match(report, { loaded: 1, failed: 3 })
  t.equal(source.calls.length, 1)
  await t.rejects(cache.get('nan'), { cause: { code: 'HOLDFAST_ERR_STALE_CACHE_ROW_INVALID' } })
  t.throws(() => cache.set('good', { value: { text: 'x' }, version: Number.POSITIVE_INFINITY }), {
    code: 'HOLDFAST_ERR_STALE_CACHE_ROW_INVALID',
    message: /Infinity/,
  })
  // @ts-expect-error a loader without types
  t.throws(() => cache.set('good', { value: { text: 'x' }, tags: [1] }), /must be a string/)
  await cache.close()
})

t.test('an answer that cannot be read says nothing about the keys it leaves out', async (t) => {
  const { source, cache } = cacheOver()
  source.has('7', 'seven')
  await cache.refresh(['7'])
  for (const answer of [
    [{ key: 7, value: { text: 'a number for a key' } }],
    [{ slug: '7', value: { text: 'another name' } }],
    [null],
    'garbage',
    new Map([['7', { text: 'pairs' }]]),
  ]) {
    source.answer = () => answer as never
    t.match(await cache.refresh(['7']), { failed: 1, missing: 0 })
    t.match(cache.peek('7').value, { text: 'seven' })
  }
  source.answer = () => [null, { key: 'good', value: { text: 'good' } }] as never
  t.match(await cache.refresh(['7', 'good']), { failed: 1, loaded: 1 })
  t.equal(cache.peek('good').source, 'fresh')
  await t.rejects(cache.get('new'), {
    code: 'HOLDFAST_ERR_STALE_CACHE_ROW_INVALID',
    message: /"new".*key is no text/,
  })
  await cache.close()
})

t.test('a value whose await was forgotten is refused, and so are tags that are no list', async (t) => {
  const { source, cache } = cacheOver()
  const code = 'HOLDFAST_ERR_STALE_CACHE_ROW_INVALID'
  source.answer = (keys) => keys.map((key) => ({ key, value: Promise.resolve({ text: key }) as never }))
  t.match(await cache.refresh(['acme']), { failed: 1 })
  t.equal(cache.peek('acme').source, 'default')
  t.throws(() => cache.set('acme', { value: Promise.resolve() as never }), {
    code,
    message: /promise; await it/,
  })
  for (const tags of ['brand', null, 5, { 0: 'brand' }]) {
    const write = { value: { text: 'blue' }, tags: tags as never }
    t.throws(() => cache.set('acme', write), { code, message: /tags must be a list/ })
  }
  await cache.close()
})

t.test('text in place of a list of keys is one key', async (t) => {
  const { source, cache } = cacheOver()
  source.has('acme', 'blue')
  t.match(await cache.refresh('acme'), { loaded: 1, missing: 0 })
  t.equal(cache.beginConfirmation()('acme'), 1)
  await cache.close()
})

t.test('rows nobody asked for are counted, not stored', async (t) => {
  const { cache, source } = cacheOver()
  source.answer = () => [
    { key: 'acme', value: { text: 'blue' } },
    { key: 'ACME', value: { text: 'red' } },
    { key: 'acme', value: { text: 'twice' } },
  ]
  t.match(await cache.refresh(['acme']), { loaded: 1 })
  t.match(cache.snapshot(), { entries: 1, rowsUnasked: 2 })
  t.same(cache.peek('acme').value, { text: 'blue' })
  await cache.close()
})

t.test('a refresh starts a load of its own, and is not part of one that began before', async (t) => {
  const { cache, clock, source } = cacheOver()
  const first = pending<Row<Thing>[]>()
  source.answer = (keys) => (source.calls.length === 1 ? first.promise : source.found(keys))
  const get = cache.get('acme')
  await clock.advance(0)
  source.has('acme', 'new')
  t.match(await cache.refresh(['acme', 'acme', 'b']), { loaded: 1, missing: 1 })
  t.same(source.calls[1]?.keys, ['acme', 'b'])
  first.resolve([{ key: 'acme', value: { text: 'old' } }])
  t.same(await get, { text: 'new' })
  await cache.close()
})

t.test('a refresh of many keys goes out in batches, and a failing one is reported, not thrown', async (t) => {
  const { cache, source } = cacheOver({ maxBatchKeys: 10 })
  const keys = Array.from({ length: 25 }, (_, index) => `key-${index}`)
  for (const key of keys) source.has(key, key)
  t.match(await cache.refresh(keys), { loaded: 25 })
  t.same(
    source.calls.map((call) => call.keys.length),
    [10, 10, 5],
  )
  source.answer = fail('down')
  t.match(await cache.refresh(keys), { loaded: 0, failed: 25 })
  t.equal(cache.peek('key-0').source, 'fresh')
  await cache.close()
})

t.test(
  'too many keys in flight are refused, and a background load that finds no room is no error',
  async (t) => {
    const { cache, clock, source } = cacheOver({ maxFlights: 2, maxConcurrentLoads: 1 })
    const answer = pending<Row<Thing>[]>()
    source.answer = () => answer.promise
    const gets = Promise.all([cache.get('a'), cache.get('b')])
    await clock.advance(0)
    await t.rejects(cache.get('c'), { code: 'HOLDFAST_ERR_SINGLEFLIGHT_FLIGHTS_FULL', statusCode: 503 })
    cache.peek('d')
    await clock.advance(1_000)
    t.match(cache.snapshot(), { queued: 1, inFlight: 2 }, 'no place: the key waits')
    answer.resolve([])
    t.same(await gets, [undefined, undefined])
    await clock.advance(250)
    t.equal(cache.snapshot().queued, 0)
    await cache.close()
  },
)

t.test('a background load that exceeds maxFlights drops its keys', async (t) => {
  const { cache, clock, source } = cacheOver({ maxFlights: 1 })
  for (const key of ['a', 'b', 'c']) cache.peek(key)
  await clock.advance(0)
  t.match(cache.snapshot(), { queued: 0, inFlight: 0, keysMissing: 1 })
  t.equal(source.calls.length, 1)
  await cache.close()
})

t.test('a load runs in the context in which the cache was created, not in that of a request', async (t) => {
  const requests = new AsyncLocalStorage<string>()
  const { clock } = cacheOver()
  const seen: (string | undefined)[] = []
  const cache = new StaleCache<number>('numbers', {
    load: async () => {
      seen.push(requests.getStore())
      return []
    },
    fallback: () => 0,
    clock,
  })
  requests.run('request 1', () => void cache.peek('a'))
  await clock.advance(0)
  await requests.run('request 2', () => cache.get('b'))
  t.same(seen, [undefined, undefined])
  await cache.close()
})

t.test('closing lets loads come back to those who wait, and stops everything else', async (t) => {
  const { cache, clock, source } = cacheOver()
  source.has('acme', 'blue')
  await cache.refresh(['acme'])
  const answer = pending<Row<Thing>[]>()
  source.answer = () => answer.promise
  const waiting = cache.get('slow')
  cache.peek('queued')
  await clock.advance(0)
  cache.peek('queued later')
  const closed = cache.close()
  t.equal(cache.close(), closed, 'closing twice is closing once')
  await t.rejects(cache.get('another'), { code: 'HOLDFAST_ERR_STALE_CACHE_CLOSED', retryAfterSeconds: 1 })
  await t.rejects(cache.refresh(['another']), { code: 'HOLDFAST_ERR_STALE_CACHE_CLOSED' })
  t.throws(() => cache.set('x', { value: { text: 'x' } }), { code: 'HOLDFAST_ERR_STALE_CACHE_CLOSED' })
  answer.resolve([{ key: 'slow', value: { text: 'arrived' } }])
  t.same(await waiting, { text: 'arrived' })
  await closed
  t.equal(clock.pendingTimers, 0)
  t.match(cache.snapshot(), { closed: true, queued: 0 })
  await clock.advance(60_000)
  t.equal(cache.peek('acme').source, 'default')
  t.equal(clock.pendingTimers, 0)
})

t.test('closing does not wait for ever for a load that does not come back', async (t) => {
  const { cache, clock, source } = cacheOver()
  source.answer = () => new Promise(() => {})
  const waiting = t.rejects(cache.get('acme'), { code: 'HOLDFAST_ERR_SINGLEFLIGHT_CLOSED' })
  await clock.advance(0)
  const closed = cache.close()
  await clock.advance(2_000)
  await Promise.all([closed, waiting])
  t.equal(source.calls[0]?.signal.aborted, true)
})

t.test('a refresh of many batches ends when the cache is closed in between', async (t) => {
  const { cache, clock, source } = cacheOver({ maxBatchKeys: 1 })
  const answer = pending<Row<Thing>[]>()
  source.answer = () => answer.promise
  const refresh = t.rejects(cache.refresh(['a', 'b']), { code: 'HOLDFAST_ERR_STALE_CACHE_CLOSED' })
  await clock.advance(0)
  const closed = cache.close()
  answer.resolve([])
  await Promise.all([refresh, closed])
  t.equal(source.calls.length, 1)
})
