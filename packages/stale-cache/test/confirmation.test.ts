import t from 'tap'
import { cacheOver } from './source.ts'

t.test('a confirmed value is as fresh as one that was just loaded, without a load', async (t) => {
  const { cache, clock, source } = cacheOver({ freshMs: 1000, staleMs: 5000, ttlJitter: 0 })
  source.has('acme', 'blue')
  await cache.refresh(['acme'])
  const bytes = cache.peek('acme').representation
  await clock.advance(900)
  const confirm = cache.beginConfirmation()
  await clock.advance(50)
  t.equal(confirm(['acme', 'nobody']), 1)
  t.match(cache.peek('acme'), { source: 'fresh', ageMs: 50, ttlMs: 950 })
  t.equal(cache.peek('acme').representation, bytes)
  await clock.advance(5_500)
  t.equal(cache.peek('acme').source, 'stale', 'how long it may be served stale counts from there, too')
  t.equal(source.calls.length, 1)
  await cache.close()
})

t.test('a key invalidated while the source was asked is not confirmed', async (t) => {
  const { cache, source } = cacheOver({ loadOnPeek: false })
  source.has('acme', 'blue')
  source.has('globex', 'red', { tags: ['reds'] })
  await cache.refresh(['acme', 'globex'])
  const confirm = cache.beginConfirmation()
  cache.invalidate('acme')
  cache.invalidateTag('reds')
  t.equal(confirm(['acme', 'globex']), 0)
  t.equal(cache.peek('acme').source, 'stale')
  t.equal(cache.beginConfirmation()(['acme']), 1, 'the next time it is')
  await cache.close()
})

t.test('an older confirmation says nothing about a value that was loaded after it began', async (t) => {
  const { cache, clock, source } = cacheOver({ freshMs: 1000, ttlJitter: 0 })
  source.has('acme', 'blue')
  const confirm = cache.beginConfirmation()
  await clock.advance(500)
  await cache.refresh(['acme'])
  t.equal(confirm(['acme']), 0)
  t.equal(cache.peek('acme').ttlMs, 1000)
  await cache.close()
})

t.test(
  'with loadOnPeek false, no peek causes a load: not of a stale, an expired or an unknown key',
  async (t) => {
    const { cache, clock, source } = cacheOver({
      loadOnPeek: false,
      freshMs: 100,
      staleMs: 100,
      ttlJitter: 0,
    })
    source.has('acme', 'blue')
    t.equal(cache.peek('acme').source, 'default')
    await clock.advance(1000)
    t.equal(source.calls.length, 0)
    await cache.refresh(['acme'])
    await clock.advance(150)
    t.equal(cache.peek('acme').source, 'stale')
    await clock.advance(100)
    t.equal(cache.peek('acme').source, 'default')
    await clock.advance(1000)
    t.equal(source.calls.length, 1)
    t.equal(cache.snapshot().queued, 0)
    t.same(await cache.get('acme'), { text: 'blue' }, 'get still does')
    await cache.close()
  },
)

t.test('a confirmation counts once', async (t) => {
  const { cache, source } = cacheOver()
  source.has('acme', 'blue')
  await cache.refresh(['acme'])
  const confirm = cache.beginConfirmation()
  t.equal(confirm(['acme']), 1)
  t.equal(confirm(['acme']), 0)
  await cache.close()
})
