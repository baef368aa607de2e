import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { join, relative } from 'node:path'
import { temporaryDirectory } from '@holdfast/test-kit'
import fastify from 'fastify'
import { Registry } from 'prom-client'
import t from 'tap'
import staleCacheByDefault, { RepresentationPolicy, staleCache } from '../src/index.ts'
import { cacheOver, fail } from './source.ts'

const numbers = {
  load: async (keys: readonly string[]) => keys.map((key) => ({ key, value: { name: key } })),
  fallback: () => ({ name: 'default' }),
}

t.test('a route answers from memory, and the value follows', async (t) => {
  const app = fastify()
  await app.register(staleCacheByDefault)
  const themes = app.staleCache.create('themes', numbers)
  const policy = new RepresentationPolicy({ maxAgeMs: 1_000, staleWhileRevalidateMs: false })
  app.get('/:tenant/theme', (request, reply) => {
    const { tenant } = request.params as { tenant: string }
    return reply.sendRepresentation(themes.reader.peek(tenant))
  })
  app.get('/own', (_request, reply) => reply.sendRepresentation(themes.peek('acme').representation, policy))
  await app.ready()
  const first = await app.inject('/acme/theme')
  t.same(first.json(), { name: 'default' })
  t.equal(first.headers['cache-control'], 'public, max-age=10')
  await themes.refresh(['acme'])
  const second = await app.inject('/acme/theme')
  t.same(second.json(), { name: 'acme' })
  t.equal(second.headers['cache-control'], 'public, max-age=300, stale-while-revalidate=60')
  const third = await app.inject({
    url: '/acme/theme',
    headers: { 'if-none-match': `"x", ${second.headers.etag}` },
  })
  t.match(third, { statusCode: 304, body: '' })
  t.equal((await app.inject('/own')).headers['cache-control'], 'public, max-age=1')
  t.equal(app.staleCache.get('themes'), themes)
  t.match(app.staleCache.snapshot(), [{ name: 'themes', entries: 1 }])
  await app.close()
  t.equal(themes.snapshot().closed, true)
})

t.test('the reader has nothing but peek', async (t) => {
  const { cache } = cacheOver()
  t.same(Object.keys(cache.reader), ['peek'])
  t.ok(Object.isFrozen(cache.reader))
  await cache.close()
})

t.test('names are checked, unique and bounded, and files belong to one cache', async (t) => {
  const app = fastify()
  await app.register(staleCache, { maxCaches: 2 })
  const { staleCache: caches } = app
  for (const name of ['', 'Themes', '7', 'a b', 'x'.repeat(65)]) {
    t.throws(() => caches.create(name, numbers), { code: 'HOLDFAST_ERR_STALE_CACHE_INVALID_OPTION' })
  }
  const directory = temporaryDirectory('names')
  t.teardown(() => directory.remove())
  const snapshotFile = join(directory.path, 'file')
  caches.create('one', { ...numbers, snapshotFile })
  t.throws(() => caches.create('one', numbers), { code: 'HOLDFAST_ERR_STALE_CACHE_NAME_TAKEN' })
  for (const spelling of [snapshotFile, `${directory.path}/./file`, relative('.', snapshotFile)]) {
    t.throws(
      () => caches.create('two', { ...numbers, snapshotFile: spelling }),
      /"snapshotFile" must be a file that no other/,
    )
  }
  const plain = caches.create('two', { ...numbers, represent: false })
  t.equal(plain.peek('a').representation, undefined)
  t.throws(() => caches.create('three', numbers), {
    code: 'HOLDFAST_ERR_STALE_CACHE_TOO_MANY_CACHES',
    message: /maxCaches = 2/,
  })
  t.throws(() => caches.get('four'), {
    code: 'HOLDFAST_ERR_STALE_CACHE_UNKNOWN_CACHE',
    message: /only: one, two/,
  })
  await app.close()
})

t.test('a wrong option of the plugin fails at register', async (t) => {
  for (const options of [{ maxCaches: 0 }, { policy: { maxAgeMs: 1.5 } }]) {
    const app = fastify()
    await t.rejects(async () => await app.register(staleCache, options), {
      code: /^HOLDFAST_ERR_STALE_CACHE_/,
    })
    await app.close().catch(() => {})
  }
})

t.test('the server is ready when the last known good values are, and closing it writes them', async (t) => {
  const directory = temporaryDirectory('plugin')
  t.teardown(() => directory.remove())
  const snapshotFile = join(directory.path, 'themes.snapshot')
  for (const source of ['default', 'snapshot'] as const) {
    const app = fastify()
    await app.register(staleCache)
    const themes = app.staleCache.create('themes', { ...numbers, snapshotFile })
    await app.ready()
    t.equal(themes.peek('acme').source, source)
    await themes.refresh(['acme'])
    await app.close()
  }
})

t.test('the metrics tell what the snapshot tells, with no label but bounded ones', async (t) => {
  const registry = new Registry()
  const app = fastify()
  await app.register(staleCache, { registry })
  const directory = temporaryDirectory('metrics')
  t.teardown(() => directory.remove())
  const themes = app.staleCache.create('themes', {
    load: async (keys) => keys.filter((key) => key !== 'nobody').map((key) => ({ key, value: 1 })),
    fallback: () => 0,
    snapshotFile: join(directory.path, 'themes.snapshot'),
  })
  app.staleCache.create('other', { ...numbers, represent: false })
  themes.peek('acme')
  await themes.get('acme')
  await themes.get('nobody')
  await themes.get('nobody')
  themes.peek('')
  themes.peek('acme')
  themes.invalidate('acme')
  themes.peek('acme')
  const text = await registry.metrics()
  const expected = [
    'cache_hits_total{cache="themes"} 2',
    'cache_misses_total{cache="themes"} 5',
    'cache_loads_total{cache="themes"} 2',
    'cache_loads_failed_total{cache="themes"} 0',
    'cache_loads_given_up_total{cache="themes"} 0',
    'cache_keys_dropped_total{cache="themes"} 0',
    'cache_keys_refused_total{cache="themes"} 1',
    'cache_evictions_total{cache="themes"} 0',
    'cache_snapshots_ignored_total{cache="themes"} 0',
    'cache_snapshot_writes_total{cache="themes"} 0',
    'cache_snapshot_write_failures_total{cache="themes"} 0',
    'cache_entries{cache="themes"} 1',
    'cache_entries{cache="other"} 0',
    'cache_negative_entries{cache="themes"} 1',
    'cache_queued_keys{cache="themes"} 1',
    'cache_loads_running{cache="themes"} 0',
    'cache_snapshot_bytes{cache="themes"} 0',
    'cache_reads_total{cache="themes",source="fresh"} 1',
    'cache_reads_total{cache="themes",source="stale"} 1',
    'cache_reads_total{cache="themes",source="snapshot"} 0',
    'cache_reads_total{cache="themes",source="default"} 2',
    'cache_reads_total{cache="themes",source="missing"} 1',
    'cache_reads_total{cache="themes",source="awaited"} 2',
    'cache_loaded_keys_total{cache="themes",outcome="stored"} 1',
    'cache_loaded_keys_total{cache="themes",outcome="missing"} 1',
    'cache_loaded_keys_total{cache="themes",outcome="kept"} 0',
    'cache_loaded_keys_total{cache="themes",outcome="failed"} 0',
  ]
  for (const line of expected) t.ok(text.includes(`${line}\n`), line)
  t.match(text, /cache_bytes\{cache="themes"\} [1-9]/)
  t.equal(await registry.metrics(), text, 'a scrape changes nothing')
  await app.close()
})

t.test('loads and invalidations are published', async (t) => {
  const events: unknown[] = []
  const listen = (event: unknown) => void events.push(event)
  for (const name of ['load', 'invalidate']) {
    subscribe(`holdfast:stale-cache:${name}`, listen)
    t.teardown(() => unsubscribe(`holdfast:stale-cache:${name}`, listen))
  }
  const { cache, clock, source } = cacheOver({ maxLoadMs: 100 })
  source.has('acme', 'blue', { tags: ['brand'] })
  await cache.refresh(['acme'])
  cache.invalidate('acme')
  cache.invalidateTag('brand')
  source.answer = fail('down')
  await cache.refresh(['acme'])
  source.answer = () => new Promise(() => {})
  const refresh = cache.refresh(['acme'])
  await clock.advance(100)
  await refresh
  t.match(events, [
    { cache: 'things', keys: ['acme'], durationMs: 0, outcome: 'loaded', error: undefined },
    { cache: 'things', key: 'acme', marked: 1 },
    { cache: 'things', tag: 'brand', marked: 1 },
    { outcome: 'failed', error: { message: 'down' } },
    { outcome: 'given-up', durationMs: 100, error: { code: 'HOLDFAST_ERR_STALE_CACHE_LOAD_GIVEN_UP' } },
  ])
  t.equal(events.length, 5)
  await cache.close()
})

t.test('scopes and applications that share a registry are told apart, until one is closed', async (t) => {
  const registry = new Registry()
  const app = fastify()
  const other = fastify()
  t.teardown(() => Promise.all([app.close(), other.close()]))
  for (const own of [{}, { appName: 'admin' }]) {
    await app.register(async (scope) => {
      await scope.register(staleCache, { registry, ...own })
      scope.staleCache.create('themes', numbers).peek('acme')
    })
  }
  await other.register(staleCache, { registry, appName: 'other' })
  const rows = async () =>
    (await registry.metrics()).match(/^(cache_misses_total|cache_set_cookies_removed_total).*$/gm)
  t.strictSame(await rows(), [
    'cache_misses_total{cache="themes"} 1',
    'cache_misses_total{app="admin",cache="themes"} 1',
    'cache_set_cookies_removed_total 0',
    'cache_set_cookies_removed_total{app="admin"} 0',
    'cache_set_cookies_removed_total{app="other"} 0',
  ])
  for (const options of [{ registry }, { appName: '' }]) {
    const third = fastify()
    t.teardown(() => third.close())
    await t.rejects(async () => third.register(staleCache, options), {
      code: 'HOLDFAST_ERR_STALE_CACHE_INVALID_OPTION',
      message: /option "appName" must be/,
    })
  }
  await other.close()
  t.equal((await rows())?.length, 4)
})
