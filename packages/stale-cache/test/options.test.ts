import { join } from 'node:path'
import Fastify from 'fastify'
import t from 'tap'
import { RepresentationPolicy, type RepresentationPolicyOptions } from '../src/cache-headers.ts'
import { InvalidOptionError } from '../src/errors.ts'
import { resolveOptions, type StaleCacheOptions } from '../src/options.ts'
import { type StaleCachePluginOptions, staleCache } from '../src/plugin.ts'
import { StaleCache } from '../src/stale-cache.ts'
import { cacheOver } from './source.ts'

const needed = { load: async () => [], fallback: () => 'default' }

t.test('every option has the default that is documented', async (t) => {
  const resolved = resolveOptions<string>(needed)
  t.match(resolved, {
    freshMs: 300_000,
    staleMs: 86_400_000,
    ttlJitter: 0.1,
    negativeMs: 10_000,
    softTimeoutMs: 0,
    hardTimeoutMs: 5_000,
    maxLoadMs: 30_000,
    backoffMs: 1_000,
    maxBackoffMs: 30_000,
    batchIntervalMs: 250,
    loadOnPeek: true,
    maxBatchKeys: 500,
    maxConcurrentLoads: 2,
    maxQueuedKeys: 1_000,
    maxFlights: 2_000,
    maxEntries: 10_000,
    maxBytes: 67_108_864,
    maxNegativeEntries: 1_000,
    maxDefaults: 256,
    maxKeyLength: 256,
    maxTags: 16,
    freeze: true,
    snapshotFile: undefined,
    snapshotIntervalMs: 10_000,
    maxSnapshotBytes: 67_108_864,
    snapshotLoadBudgetMs: 250,
  })
  t.equal(resolved.random, Math.random)
})

t.test('0 is a value where 0 means something, and Infinity is one for staleMs', async (t) => {
  const zeros = {
    freshMs: 0,
    staleMs: 0,
    ttlJitter: 0,
    negativeMs: 0,
    softTimeoutMs: 0,
    maxQueuedKeys: 0,
    maxNegativeEntries: 0,
    maxDefaults: 0,
    maxTags: 0,
    snapshotIntervalMs: 0,
    snapshotLoadBudgetMs: 0,
  }
  t.match(resolveOptions({ ...needed, ...zeros }), zeros)
  t.equal(resolveOptions({ ...needed, staleMs: Number.POSITIVE_INFINITY }).staleMs, Number.POSITIVE_INFINITY)
  t.equal(resolveOptions({ ...needed, backoffMs: 60_000 }).maxBackoffMs, 60_000)
})

t.test(
  'a wrong option is refused at construction, with its name, what it must be and what it was',
  async (t) => {
    const wrong: readonly (readonly [string, unknown])[] = [
      ['load', undefined],
      ['fallback', 'default'],
      ['represent', 'json'],
      ['isKey', /a/],
      ['revive', 1],
      ['random', 0.5],
      ['freshMs', -1],
      ['freshMs', Number.POSITIVE_INFINITY],
      ['freshMs', '300s'],
      ['staleMs', Number.NaN],
      ['negativeMs', -1],
      ['ttlJitter', 1.1],
      ['ttlJitter', '0.1'],
      ['softTimeoutMs', -1],
      ['hardTimeoutMs', 0],
      ['hardTimeoutMs', 2_147_483_648],
      ['maxLoadMs', 0],
      ['backoffMs', 0],
      ['maxBackoffMs', 999],
      ['batchIntervalMs', 0],
      ['maxBatchKeys', 0],
      ['maxConcurrentLoads', 1.5],
      ['maxQueuedKeys', -1],
      ['maxFlights', 0],
      ['maxEntries', 0],
      ['maxBytes', 0],
      ['maxNegativeEntries', -1],
      ['maxDefaults', -1],
      ['maxKeyLength', 0],
      ['maxTags', -1],
      ['freeze', 1],
      ['loadOnPeek', 'yes'],
      ['clock', {}],
      ['clock', { nowMs: () => 0, wallMs: () => 0 }],
      ['clock', 7],
      ['representation', 9],
      ['snapshotFile', ''],
      ['snapshotFile', 7],
      ['snapshotIntervalMs', -1],
      ['maxSnapshotBytes', 1_023],
      ['snapshotLoadBudgetMs', -1],
    ]
    for (const [option, value] of wrong) {
      const options = { ...needed, [option]: value } as unknown as StaleCacheOptions<string>
      t.throws(() => new StaleCache('things', options), InvalidOptionError, `${option}: ${String(value)}`)
      t.throws(() => new StaleCache('things', options), {
        code: 'HOLDFAST_ERR_STALE_CACHE_INVALID_OPTION',
        message: new RegExp(`"${option}" must be .* received`),
      })
    }
  },
)

t.test('a fallback that throws, or cannot be represented, is refused at construction', async (t) => {
  const fallback = () => {
    throw new Error('no default')
  }
  const options = { load: async () => [], fallback }
  t.throws(() => new StaleCache<string>('things', options), { message: /"fallback".*no default/ })
  t.throws(() => new StaleCache('things', { load: async () => [], fallback: () => 1n }), /"fallback"/)
  t.throws(() => new StaleCache('things', { ...needed, representation: { gzipLevel: 10 } }), /gzipLevel/)
})

t.test('a fallback that is asynchronous is refused at construction', async (t) => {
  const options = { load: async () => [], fallback: async () => 'default' }
  t.throws(() => new StaleCache('things', options), { message: /"fallback".*promise/ })
  t.throws(() => new StaleCache<unknown, undefined>('things', { ...options, represent: false }), {
    message: /"fallback".*promise/,
  })
})

t.test('the name of a cache is checked wherever it is made', async (t) => {
  for (const name of ['', 'Things', '7things', 'a b', 'a'.repeat(65), '__proto__', undefined as never]) {
    t.throws(() => new StaleCache(name, needed), {
      code: 'HOLDFAST_ERR_STALE_CACHE_INVALID_OPTION',
      message: /"name"/,
    })
  }
})

t.test('a value that is undefined is sent as null', async (t) => {
  const cache = new StaleCache<undefined>('things', { load: async () => [], fallback: () => undefined })
  t.equal(cache.peek('a').representation.identity.body.toString(), 'null')
  await cache.close()
})

t.test('a body of one’s own is represented, and a body that is not usable fails its key alone', async (t) => {
  const { cache, source } = cacheOver({
    represent: ({ text }, key) => ({
      body: `<p>${key}: ${text}</p>`,
      contentType: text === 'bad' ? '' : 'text/html',
    }),
    maxDefaults: 1,
    fallback: (key) => ({ text: `default of ${key}` }),
  })
  source.has('good', 'blue')
  source.has('bad', 'bad')
  t.match(await cache.refresh(['good', 'bad']), { loaded: 1, failed: 1 })
  t.equal(cache.peek('good').representation.identity.body.toString(), '<p>good: blue</p>')
  t.equal(cache.peek('bad').representation.identity.body.toString(), '<p>bad: default of bad</p>')
  t.throws(() => cache.set('good', { value: { text: 'bad' } }), {
    code: 'HOLDFAST_ERR_STALE_CACHE_REPRESENTATION',
  })
  await cache.close()
})

t.test('a path is made whole where it is given', async (t) => {
  t.equal(resolveOptions({ ...needed, snapshotFile: 'a' }).snapshotFile, join(process.cwd(), 'a'))
})

t.test('options that are no object are refused', async (t) => {
  const code = 'HOLDFAST_ERR_STALE_CACHE_INVALID_OPTION'
  const app = Fastify()
  await app.register(staleCache)
  for (const options of [undefined, null, 7]) {
    const refused = { code, message: /"options" must be an object/ }
    t.throws(() => new StaleCache('things', options as never), refused)
    t.throws(() => app.staleCache.create('things', options as never), refused)
  }
  await app.close()
  for (const option of ['policy', 'registry']) {
    const registering = async () => Fastify().register(staleCache, { [option]: null })
    await t.rejects(registering, { code, message: new RegExp(`"${option}" must be .* received null`) })
  }
})

t.test('an unknown option is refused with the names that are accepted', async (t) => {
  const code = 'HOLDFAST_ERR_STALE_CACHE_INVALID_OPTION'
  for (const [options, message] of [
    [{ freshMS: 5 }, /"freshMS" must be left out .*load, .*freshMs, .*random\), received 5$/],
    [{ representation: { gzip: 1 } }, /"representation.gzip" must be left out .*gzipLevel, brotliQuality/],
  ] as const) {
    t.throws(() => new StaleCache<string>('themes', { ...needed, ...options } as StaleCacheOptions<string>), {
      code,
      message,
    })
  }
  const mistyped = { maxCache: 5 } as StaleCachePluginOptions
  await t.rejects(async () => Fastify().register(staleCache, mistyped), {
    code,
    message: /"maxCache" must be/,
  })
  t.throws(() => new RepresentationPolicy({ maxAge: 5 } as RepresentationPolicyOptions), {
    code: 'HOLDFAST_ERR_STALE_CACHE_POLICY',
    message: /maxAge is no option; give one of maxAgeMs, .*sourceHeader/,
  })
})
