import type { IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { text as textOf } from 'node:stream/consumers'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { countStatements, startPostgres, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { Pool } from 'undici'
import { demoDatabase, testPool } from './fresh-database.ts'
import { ServiceApp } from './service-app.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())
t.setTimeout(300_000)

const FRESH = 'public, max-age=300, stale-while-revalidate=60'
const SHORT = 'public, max-age=10'

const tagOf = ({ headers: { etag } }: { headers: IncomingHttpHeaders }) => String(etag)

/** Sends bytes that no client would, and answers all that comes back until the end of the connection. */
function sendRaw(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.write(bytes)
  return textOf(socket)
}

async function setUp(t: Test, environment: Record<string, string> = {}) {
  const directUrl = await demoDatabase(postgres.directUrl)
  const throughProxy = new URL(directUrl)
  throughProxy.port = String(postgres.port)
  const service = await ServiceApp.start(t, { DATABASE_URL: throughProxy.href, ...environment })
  const sql = testPool(directUrl, 1)
  t.teardown(() => sql.end())
  const client = new Pool(service.url, { connections: 8 })
  t.teardown(() => client.destroy())
  const get = async (
    path: string,
    headers: Record<string, string> = {},
    method: 'GET' | 'HEAD' | 'PUT' = 'GET',
  ) => {
    const { statusCode, headers: answered, body } = await client.request({ path, method, headers })
    return { status: statusCode, headers: answered, bytes: Buffer.from(await body.arrayBuffer()) }
  }
  const theme = (tenant: string, headers: Record<string, string> = {}) =>
    get(`/${tenant}/api/public/load-theme`, headers)
  const brand = async (tenant: string) => JSON.parse((await theme(tenant)).bytes.toString()).theme.brand_name
  return { service, sql, get, theme, brand }
}

t.test('a theme has exact headers, three encodings with three tags, and answers conditions', async (t) => {
  const { get, theme } = await setUp(t)
  const plain = await theme('acme')
  t.equal(plain.status, 200)
  t.match(plain.headers, {
    'cache-control': FRESH,
    'content-type': 'application/json; charset=utf-8',
    vary: /^accept-encoding$/i,
    etag: /^"[^"]+"$/,
    'content-length': String(plain.bytes.length),
  })
  t.notHas(plain.headers, 'set-cookie')
  const document = JSON.parse(plain.bytes.toString())
  t.match(document, { tenant: 'acme', version: /^\d+$/, theme: { brand_name: 'Acme Markets' } })
  t.match(JSON.parse((await theme('globex')).bytes.toString()), { theme: { brand_name: 'Globex Exchange' } })

  const gzip = await theme('acme', { 'accept-encoding': 'gzip' })
  const brotli = await theme('acme', { 'accept-encoding': 'gzip, br' })
  t.match([gzip.headers['content-encoding'], brotli.headers['content-encoding']], ['gzip', 'br'])
  t.strictSame(gunzipSync(gzip.bytes), plain.bytes)
  t.strictSame(brotliDecompressSync(brotli.bytes), plain.bytes)
  const tags = [plain, gzip, brotli].map(tagOf)
  t.equal(new Set(tags).size, 3)
  for (const { headers } of [gzip, brotli])
    t.match(headers, { vary: /^accept-encoding$/i, 'cache-control': FRESH })

  const [tag = ''] = tags
  for (const condition of [tag, `W/${tag}`, `"other", ${tag}`, '*']) {
    const answer = await theme('acme', { 'if-none-match': condition })
    t.equal(answer.status, 304, condition)
    t.equal(answer.bytes.length, 0)
    t.match(answer.headers, { etag: tag, vary: /^accept-encoding$/i, 'cache-control': FRESH })
    t.notHas(answer.headers, 'content-type')
  }
  for (const condition of ['"other"', `${tags[1]}`, 'nonsense']) {
    t.equal((await theme('acme', { 'if-none-match': condition })).status, 200, condition)
  }
  const head = await get('/acme/api/public/load-theme', {}, 'HEAD')
  t.equal(head.bytes.length, 0)
  t.match(head.headers, { 'content-length': String(plain.bytes.length), etag: tag, 'cache-control': FRESH })
})

t.test('whatever a tenant is called, the answer is a theme', async (t) => {
  const { get, theme } = await setUp(t)
  const unknown = await theme('nobody')
  t.equal(unknown.status, 200)
  t.match(unknown.headers, { 'cache-control': SHORT, vary: /^accept-encoding$/i })
  t.match(JSON.parse(unknown.bytes.toString()), {
    tenant: null,
    version: null,
    theme: { brand_name: 'Holdfast' },
  })
  const strange = [
    '..%2f',
    '..%2facme',
    '%00',
    'acme%00',
    '..',
    '.',
    '%2e%2e',
    'acme%2f',
    'acme%20',
    'ACME',
    '*',
    '%ff',
    '%E0%A4',
    '%',
    '%zz',
    "acme'--",
    '__proto__',
    'constructor',
    'toString',
    encodeURIComponent('ä'),
    'a'.repeat(64),
    'x'.repeat(5000),
    ';',
    ':tenant',
    'acme;',
  ]
  for (const tenant of strange) {
    for (const method of ['GET', 'HEAD'] as const) {
      const answer = await get(`/${tenant}/api/public/load-theme?x=1`, {}, method)
      t.equal(answer.status, 200, `${method} ${tenant.slice(0, 20)}`)
      t.equal(answer.headers['cache-control'], SHORT)
      t.equal(tagOf(answer), tagOf(unknown))
    }
  }
  t.equal((await get('/acme/api/public/load-theme?a=%zz')).status, 200, 'the query does not matter')
})

t.test('ten thousand random slugs leave no trace, and no request issues a statement', async (t) => {
  const { service, theme } = await setUp(t, { THEME_REFRESH_INTERVAL: '1h' })
  await theme('warm-up')
  const count = countStatements(postgres.proxy)
  t.teardown(() => count.stop())
  const before = service.cacheSnapshot()
  let wrong = 0
  for (let from = 0; from < 10_000; from += 100) {
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => theme(`tenant-${from + i}`)))
    wrong += answers.filter(({ status }) => status !== 200).length
  }
  t.equal(wrong, 0)
  const after = service.cacheSnapshot()
  for (const gauge of ['entries', 'bytes', 'negativeEntries', 'defaults', 'queued', 'inFlight'] as const) {
    t.equal(after[gauge], before[gauge], gauge)
  }
  t.equal(after.loads, before.loads)
  const other = count.texts.filter((text) => !/^select 1$/.test(text))
  t.strictSame(other, [], 'only the health check spoke to the database')
})

t.test(
  'a change by SQL shows without a restart; suspended and deleted tenants get the default',
  async (t) => {
    const { sql, theme, brand } = await setUp(t)
    const before = tagOf(await theme('acme'))
    await sql.query(`update themes set theme = theme || '{"brand_name": "Acme Two"}' where slug = 'acme'`)
    await waitUntil(async () => (await brand('acme')) === 'Acme Two')
    t.not(tagOf(await theme('acme')), before)
    await sql.query(`update tenants set status = 'suspended' where slug = 'acme'`)
    await waitUntil(async () => (await brand('acme')) === 'Holdfast')
    t.equal((await theme('acme')).headers['cache-control'], SHORT)
    await sql.query(`update tenants set status = 'active' where slug = 'acme'`)
    await waitUntil(async () => (await brand('acme')) === 'Acme Two')
    await sql.query(`insert into tenants (slug, name) values ('initech', 'Initech');`)
    await sql.query(`insert into themes (slug, theme) values ('initech', '{"brand_name": "Initech"}')`)
    await waitUntil(async () => (await brand('initech')) === 'Initech')
    await sql.query('delete from tenants')
    await waitUntil(
      async () => (await brand('acme')) === 'Holdfast' && (await brand('globex')) === 'Holdfast',
    )
  },
)

t.test(
  'a document that cannot be served leaves the last good one in place, and the others alone',
  async (t) => {
    const { service, sql, brand } = await setUp(t)
    await sql.query(`update themes set theme = '{"brand_name": "Globex Two"}' where slug = 'globex'`)
    await sql.query(`update themes set theme = '{"primary_color": "url(javascript:x)"}' where slug = 'acme'`)
    await waitUntil(() => service.stdout.includes('cannot be served'))
    await waitUntil(async () => (await brand('globex')) === 'Globex Two')
    t.equal(await brand('acme'), 'Acme Markets')
    t.match(service.stdout, /primary_color must be a colour/)
    await sql.query(`update themes set theme = '{"brand_name": "Acme Three"}' where slug = 'acme'`)
    await waitUntil(async () => (await brand('acme')) === 'Acme Three')
  },
)

t.test('everything else is a problem document that tells nothing about the inside', async (t) => {
  const { get } = await setUp(t)
  const missing = await get('/nowhere?token=secret')
  t.equal(missing.status, 404)
  t.match(missing.headers, {
    'content-type': 'application/problem+json; charset=utf-8',
    'cache-control': 'no-store',
  })
  const { correlation_id, ...problem } = JSON.parse(missing.bytes.toString())
  t.match(correlation_id, /^[0-9a-f-]{36}$/)
  t.strictSame(problem, {
    type: 'about:blank',
    title: 'Not Found',
    status: 404,
    detail: 'There is nothing at this address.',
    error: 'HOLDFAST_ERR_ERROR_PAGES_NOT_FOUND',
  })
  t.equal((await get('/acme/api/public/load-theme', {}, 'PUT')).status, 405)
  t.match(JSON.parse((await get('/%E0%A4/elsewhere')).bytes.toString()), {
    status: 400,
    error: 'FST_ERR_BAD_URL',
  })
})

t.test('what is too long or no HTTP at all is answered with a problem document, too', async (t) => {
  const { service } = await setUp(t)
  for (const [text, status, title] of [
    [
      `GET /${'a'.repeat(20_000)}/api/public/load-theme HTTP/1.1\r\nHost: a\r\n\r\n`,
      431,
      'Request Header Fields Too Large',
    ],
    ['nonsense\r\n\r\n', 400, 'Bad Request'],
  ] as const) {
    const answer = await sendRaw(service.url, text)
    t.ok(answer.startsWith(`HTTP/1.1 ${status} ${title}\r\n`), answer)
    t.match(answer, /\r\ncontent-type: application\/problem\+json; charset=utf-8\r\n/)
    t.match(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))), { type: 'about:blank', status, title })
  }
})

t.test('metrics are for those who have the token, and exist only when they are switched on', async (t) => {
  const token = 'a-long-enough-token'
  const { get } = await setUp(t, { ENABLE_METRICS: 'true', METRICS_TOKEN: token })
  t.equal((await get('/metrics')).status, 401)
  t.equal((await get('/metrics', { authorization: 'Bearer wrong' })).status, 401)
  t.equal((await get('/metrics', { authorization: `Basic ${token}` })).status, 401)
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => get('/metrics', { authorization: `Bearer ${token}` })),
  )
  for (const { status, bytes } of answers) {
    t.equal(status, 200)
    t.match(bytes.toString(), /nodejs_version_info/)
    t.match(bytes.toString(), /stale_cache|cache_/)
  }
  t.equal(
    (await get('/metrics', { authorization: 'Bearer wrong' })).status,
    401,
    'also right after a collection',
  )
  const { get: without } = await setUp(t, { METRICS_TOKEN: token })
  t.equal((await without('/metrics', { authorization: `Bearer ${token}` })).status, 404)
})
