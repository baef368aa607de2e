import t from 'tap'
import { CacheHeadersMemo } from '../src/cache-headers.ts'
import { RepresentationPolicy } from '../src/index.ts'

t.test('says by default what the public path promises', async (t) => {
  t.strictSame(
    { ...new RepresentationPolicy().cacheControl },
    {
      fresh: 'public, max-age=300, stale-while-revalidate=60',
      stale: 'public, max-age=30, stale-while-revalidate=60',
      snapshot: 'public, max-age=30, stale-while-revalidate=60',
      default: 'public, max-age=10',
    },
  )
})

t.test('takes 0 for a value, and false for leaving out', async (t) => {
  const zero = new RepresentationPolicy({ maxAgeMs: 0, staleWhileRevalidateMs: 0, staleIfErrorMs: 0 })
  t.equal(zero.cacheControl.fresh, 'public, max-age=0, stale-while-revalidate=0, stale-if-error=0')
  const none = new RepresentationPolicy({ staleWhileRevalidateMs: false, staleIfErrorMs: false })
  t.equal(none.cacheControl.fresh, 'public, max-age=300')
})

t.test('writes the name of the cache as a token, or quoted where it must be', async (t) => {
  const status = (cacheName: string) => new RepresentationPolicy({ cacheName }).cacheStatus('fresh', 5)
  t.equal(status('acme.example'), 'acme.example; hit; ttl=5')
  t.equal(status('Acme "API" \\1'), '"Acme \\"API\\" \\\\1"; hit; ttl=5')
  t.equal(status('9lives'), '"9lives"; hit; ttl=5')
})

t.test('refuses options that HTTP cannot express, with the value and the fix', async (t) => {
  const unusable: readonly (readonly [string, unknown])[] = [
    ['maxAgeMs', 1500],
    ['maxAgeMs', -1000],
    ['maxAgeMs', Number.NaN],
    ['staleMaxAgeMs', '30'],
    ['defaultMaxAgeMs', 2 ** 31 * 1000],
    ['staleWhileRevalidateMs', true],
    ['staleIfErrorMs', 0.5],
    ['cacheName', ''],
    ['cacheName', 'schön'],
    ['cacheName', 5],
    ['sourceHeader', 'x cache'],
    ['sourceHeader', true],
  ]
  for (const [name, value] of unusable) {
    t.throws(
      () => new RepresentationPolicy({ [name]: value }),
      { code: 'HOLDFAST_ERR_STALE_CACHE_POLICY', message: new RegExp(`${name} is .*; give `) },
      `${name}: ${String(value)}`,
    )
  }
})

t.test(
  'builds the headers anew when the second, the source or the policy changes, and only then',
  async (t) => {
    const memo = new CacheHeadersMemo()
    const policy = new RepresentationPolicy()
    const first = memo.headersFor(policy, { source: 'fresh', ageMs: 1000, ttlMs: 9999 })
    t.strictSame(first, {
      cacheControl: policy.cacheControl.fresh,
      age: '1',
      cacheStatus: 'holdfast; hit; ttl=9',
    })
    t.equal(memo.headersFor(policy, { source: 'fresh', ageMs: 1999, ttlMs: 9000 }), first)
    t.equal(memo.headersFor(policy, { source: 'fresh', ageMs: 2000, ttlMs: 9000 }).age, '2')
    t.equal(
      memo.headersFor(policy, { source: 'fresh', ageMs: 2000, ttlMs: 8999 }).cacheStatus,
      'holdfast; hit; ttl=8',
    )
    t.equal(memo.headersFor(policy, { source: 'stale', ageMs: 2000, ttlMs: 8999 }).age, undefined)
    const other = new RepresentationPolicy({ cacheName: false })
    t.equal(memo.headersFor(other, { source: 'stale', ageMs: 2000, ttlMs: 8999 }).cacheStatus, undefined)
    t.equal(memo.headersFor(other, { source: 'fresh', ageMs: -5000, ttlMs: 0 }).age, '0', 'a clock set back')
  },
)
