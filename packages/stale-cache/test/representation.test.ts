import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import t from 'tap'
import { createRepresentation, errors } from '../src/index.ts'
import { createIdentityRepresentation } from '../src/representation.ts'

const contentType = 'application/json; charset=utf-8'
const body = JSON.stringify(Array.from({ length: 200 }, (_, index) => ({ id: index, name: `item ${index}` })))

t.test('holds the same content in three codings under three tags, and cannot be changed', async (t) => {
  const built = await createRepresentation({ body, contentType })
  t.equal(built.identity.body.toString(), body)
  t.equal(gunzipSync(built.gzip?.body ?? '').toString(), body)
  t.equal(brotliDecompressSync(built.br?.body ?? '').toString(), body)
  const variants = [built.identity, built.gzip, built.br]
  t.equal(new Set(variants.map((variant) => variant?.etag)).size, 3)
  for (const variant of variants) t.match(variant?.etag, /^"[\w-]{43}"$/)
  t.ok([built, ...variants].every(Object.isFrozen))
})

t.test('equal content has equal tags; another content or another type has others', async (t) => {
  const one = await createRepresentation({ body, contentType })
  const same = await createRepresentation({ body: Buffer.from(body), contentType })
  const typed = await createRepresentation({ body, contentType: 'text/plain' })
  const other = await createRepresentation({ body: `${body} `, contentType })
  for (const encoding of ['identity', 'gzip', 'br'] as const) {
    t.equal(same[encoding]?.etag, one[encoding]?.etag)
    t.not(typed[encoding]?.etag, one[encoding]?.etag)
    t.not(other[encoding]?.etag, one[encoding]?.etag)
  }
})

t.test(
  'counts the memory that its buffers and its text hold, and holds no larger buffer behind them',
  async (t) => {
    const built = await createRepresentation({ body, contentType })
    const buffers = [built.identity.body, built.gzip?.body, built.br?.body]
    const held = buffers.reduce((sum, buffer) => sum + (buffer?.buffer.byteLength ?? 0), 0)
    t.equal(built.identity.text, body)
    t.equal(built.bytes, held + body.length)
    const wide = await createRepresentation({ body: '亀', contentType })
    t.equal(wide.bytes, 3 + 2)
    const large = await createRepresentation({ body: 'x'.repeat(100_000), contentType }, { encodings: [] })
    t.equal(large.bytes, 100_000)
  },
)

t.test('is not touched by later writes to the bytes it was made of', async (t) => {
  const bytes = Buffer.from(body)
  const built = await createRepresentation({ body: bytes, contentType })
  bytes.fill(0)
  t.equal(built.identity.body.toString(), body)
})

t.test('leaves out a coding that is not smaller, and those not asked for', async (t) => {
  const tiny = await createRepresentation({ body: '{}', contentType })
  t.strictSame([tiny.gzip, tiny.br], [undefined, undefined])
  const empty = await createRepresentation({ body: '', contentType })
  t.strictSame([empty.gzip, empty.br, empty.bytes], [undefined, undefined, 0])
  const only = await createRepresentation({ body, contentType }, { encodings: ['gzip'], gzipLevel: 1 })
  t.equal(only.br, undefined)
  t.ok((only.gzip?.body.byteLength ?? Number.POSITIVE_INFINITY) < body.length)
  t.equal(createIdentityRepresentation({ body, contentType }).gzip, undefined)
})

t.test('accepts a body of exactly maxBodyBytes and refuses one byte more', async (t) => {
  const make = (bytes: number) =>
    createRepresentation({ body: 'x'.repeat(bytes), contentType }, { maxBodyBytes: 1000, brotliQuality: 0 })
  t.equal((await make(1000)).identity.body.byteLength, 1000)
  await t.rejects(make(1001), { code: 'HOLDFAST_ERR_STALE_CACHE_BODY_TOO_LARGE', message: /1001 .*1000/ })
  await t.rejects(
    createRepresentation({ body: 'x', contentType }, { maxBodyBytes: 0 }),
    errors.StaleCacheBodyTooLargeError,
  )
})

t.test('refuses what it cannot represent, with the value and the fix', async (t) => {
  const unusable: readonly (readonly [string, unknown, object])[] = [
    ['contentType', { body, contentType: 'text/plain\r\nx: y' }, {}],
    ['contentType', { body, contentType: '' }, {}],
    ['contentType', { body }, {}],
    ['body', { body: 7, contentType }, {}],
    ['encodings', { body, contentType }, { encodings: ['zstd'] }],
    ['encodings', { body, contentType }, { encodings: 'gzip' }],
    ['maxBodyBytes', { body, contentType }, { maxBodyBytes: -1 }],
    ['gzipLevel', { body, contentType }, { gzipLevel: 10 }],
    ['brotliQuality', { body, contentType }, { brotliQuality: 1.5 }],
  ]
  for (const [name, source, options] of unusable) {
    await t.rejects(
      createRepresentation(source as Parameters<typeof createRepresentation>[0], options),
      { code: 'HOLDFAST_ERR_STALE_CACHE_REPRESENTATION', message: new RegExp(`${name} is .*; give `) },
      name,
    )
  }
})

t.test('compresses a large body with the quicker brotli', async (t) => {
  const large = Array.from({ length: 20_000 }, (_, index) => `line ${index}`).join('\n')
  const built = await createRepresentation({ body: large, contentType: 'text/plain' })
  t.equal(brotliDecompressSync(built.br?.body ?? '').toString(), large)
})
