import t from 'tap'
import type { Row } from '../src/options.ts'
import { cacheOver, fail, pending, type Thing } from './source.ts'

t.test('50 concurrent callers of a missing key share one load', async (t) => {
  const { cache, clock, source } = cacheOver()
  source.has('acme', 'blue')
  const gets = Array.from({ length: 50 }, () => cache.get('acme'))
  await clock.advance(0)
  t.equal(source.calls.length, 1)
  for (const value of await Promise.all(gets)) t.same(value, { text: 'blue' })
  t.same(await cache.get('acme'), { text: 'blue' })
  t.equal(source.calls.length, 1, 'the next one is a hit')
  await cache.close()
})

t.test(
  '50 concurrent callers of a failing key share one load, and later ones are refused while it rests',
  async (t) => {
    const { cache, clock, source } = cacheOver()
    source.answer = fail('down')
    const gets = Promise.allSettled(Array.from({ length: 50 }, () => cache.get('acme')))
    await clock.advance(0)
    for (const result of await gets) t.match(result, { reason: { message: 'down' } })
    t.equal(source.calls.length, 1)
    await t.rejects(cache.get('acme'), {
      code: 'HOLDFAST_ERR_STALE_CACHE_BACKING_OFF',
      statusCode: 503,
      retryAfterSeconds: 1,
      cause: { message: 'down' },
    })
    t.equal(source.calls.length, 1)
    await clock.advance(1_000)
    source.answer = (keys) => source.found(keys)
    source.has('acme', 'blue')
    t.same(await cache.get('acme'), { text: 'blue' })
    await cache.close()
  },
)

t.test('keys asked for in one tick are loaded together, and many keys in bounded batches', async (t) => {
  const { cache, clock, source } = cacheOver({ maxBatchKeys: 3, maxConcurrentLoads: 2 })
  const answers: (() => void)[] = []
  source.answer = (keys) => {
    const answer = pending<Row<Thing>[]>()
    answers.push(() => answer.resolve(source.found(keys)))
    return answer.promise
  }
  const gets = Promise.all(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((key) => cache.get(key)))
  await clock.advance(0)
  t.same(
    source.calls.map(({ keys }) => keys.join('')),
    ['abc', 'def'],
    'two loads at a time',
  )
  answers[0]?.()
  await clock.advance(0)
  t.same(
    source.calls.map(({ keys }) => keys.join('')),
    ['abc', 'def', 'g'],
  )
  answers[1]?.()
  answers[2]?.()
  t.same(await gets, Array(7).fill(undefined))
  await cache.close()
})

t.test('a load that is not back in time rejects its callers, and its late value is stored', async (t) => {
  const { cache, clock, source } = cacheOver({ hardTimeoutMs: 500 })
  const answer = pending<Row<Thing>[]>()
  source.answer = () => answer.promise
  const get = cache.get('acme')
  const rejected = t.rejects(get, { code: 'HOLDFAST_ERR_SINGLEFLIGHT_FLIGHT_TIMEOUT', statusCode: 504 })
  await clock.advance(500)
  await rejected
  answer.resolve([{ key: 'acme', value: { text: 'late' } }])
  await clock.advance(0)
  t.equal(cache.peek('acme').source, 'fresh')
  t.equal(source.calls.length, 1)
  await cache.close()
})
