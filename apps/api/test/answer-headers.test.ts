// The whole set of headers of every kind of answer, as it stands on the wire: whoever gives the answer, on both ports.

import t, { type Test } from 'tap'
import { STRICT_POLICY } from '../src/security-headers.ts'
import { loneApp } from './lone-app.ts'
import { exchange, type RawAnswer } from './raw-exchange.ts'

t.setTimeout(180_000)

const fastify = await loneApp(t, {
  API_HOST: '127.0.0.1',
  ENABLE_METRICS: 'true',
  METRICS_TOKEN: 'a-token-for-tests',
  MANAGEMENT_PORT: '0',
  TRUST_PROXY: 'loopback',
  RATE_LIMITS_IP: '20/hour',
  RATE_LIMITS_TENANT: '3/hour',
  MAX_REQUEST_BYTES: '2048',
  REQUEST_TIMEOUT: '1s',
  HANDLER_TIMEOUT: '2s',
})
fastify.get('/fault', { config: { access: 'public' } }, async () => {
  throw new Error('secret of the inside')
})
for (const method of ['GET', 'POST'] as const) {
  const config = { access: 'public' } as const
  fastify.route({ method, url: '/never', config, handler: () => new Promise(() => {}) })
}
fastify.health.management?.get('/fault', async () => {
  throw new Error('secret of the inside')
})
await fastify.listen({ host: '127.0.0.1', port: 0 })
const MAIN = portOf(fastify.server.address())
const INSIDE = portOf(fastify.health.management?.server.address())

function portOf(address: unknown): number {
  return (address as { readonly port: number }).port
}

const EVENTS = '/acme/api/theme/preview-events'
const THEME = '/acme/api/public/load-theme'
const HISTORY = '/acme/api/theme/history'
const HTML = 'accept: text/html,*/*;q=0.8\r\n'

/** Each of these stands once in every answer, with this value. */
const PROTECTION: Readonly<Record<string, string>> = {
  'content-security-policy': STRICT_POLICY,
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'origin-agent-cluster': '?1',
  'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=63072000; includeSubDomains',
  'x-content-type-options': 'nosniff',
  'x-dns-prefetch-control': 'off',
  'x-download-options': 'noopen',
  'x-frame-options': 'DENY',
  'x-permitted-cross-domain-policies': 'none',
  'x-xss-protection': '0',
}

/** Of every answer that a response of Node writes. */
const WRITTEN = ['connection', 'date']
const KEPT = [...WRITTEN, 'keep-alive']
const BODY = ['cache-control', 'content-length', 'content-type']
const LIMITS = [
  'ratelimit',
  'ratelimit-policy',
  'x-rate-limit-remaining',
  'x-rate-limit-reset',
  'x-ratelimit-limit',
  'x-ratelimit-remaining',
  'x-ratelimit-reset',
]
const THEME_ONLY = ['cache-status', 'etag', 'vary', ...LIMITS]
const PLAIN = [...KEPT, ...BODY]
/** In the format that is asked for. */
const NEGOTIATED = [...PLAIN, 'vary']
const ENDING = [...WRITTEN, ...BODY]
const ON_SOCKET = ['connection', ...BODY]
const ERROR = [...PLAIN, 'vary']
const CHALLENGE = [...ERROR, 'www-authenticate']

interface Row {
  readonly status: number
  readonly what: string
  readonly request: string
  /** Its headers besides those of protection, and the ids. */
  readonly own: readonly string[]
  readonly port?: number
  /** From which address, where that matters. */
  readonly from?: string
  readonly page?: true
  /** What of protection differs. */
  readonly instead?: Readonly<Record<string, string>>
}

let addresses = 0

/** Each row from an address of its own, lest they limit each other. */
function ask({ request, port = MAIN, from }: Row): Promise<readonly RawAnswer[]> {
  addresses += 1
  const address = from ?? `198.51.100.${addresses}`
  return exchange(port, request.replace('host: x\r\n', `host: x\r\nx-forwarded-for: ${address}\r\n`))
}

async function checkRow(t: Test, row: Row): Promise<void> {
  const { status, own, page, instead, request } = row
  const what = `${status} ${row.what}`
  const [answer, ...more] = await ask(row)
  if (answer === undefined) throw new Error(`${what}: no answer`)
  t.equal(answer.status, status, what)
  t.same(more, [], `${what}: one answer`)
  const { headers, body } = answer
  const names = [...headers.keys()].filter((name) => name !== 'ended')
  const expected = { ...PROTECTION, ...instead }
  const ids = ['x-correlation-id', 'x-request-id']
  t.same(names.toSorted(), [...Object.keys(expected), ...ids, ...own].toSorted(), what)
  for (const [name, value] of Object.entries(expected)) {
    if (page && name === 'content-security-policy') continue
    t.equal(headers.get(name), value, `${what}: ${name}`)
  }
  for (const name of own) t.notMatch(headers.get(name), / \| /, `${what}: ${name} stands once`)
  t.match(headers.get('x-correlation-id'), /^[0-9a-f-]{36}$/, what)
  t.notMatch(body, /secret|node:|\.ts:|at [A-Z]\w+\./, `${what}: nothing of the inside`)
  if (page) {
    t.match(headers.get('content-security-policy'), PAGE_POLICY, what)
    t.match(headers.get('content-type'), 'text/html; charset=utf-8', what)
    t.match(body, headers.get('x-correlation-id'), `${what}: the page names the request`)
  } else if (status >= 400 && body !== '' && !request.startsWith('HEAD')) {
    t.match(headers.get('content-type'), /^application\/(problem\+)?json/, what)
    const { correlation_id: id } = JSON.parse(body) as { readonly correlation_id?: string }
    if (id !== undefined) t.equal(id, headers.get('x-correlation-id'), `${what}: one id`)
  }
}

const PAGE_POLICY =
  /^default-src 'none'; script-src 'sha256-[\w+/=]{44}'; style-src 'sha256-[\w+/=]{44}'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/

const requestOf = (path: string, headers = '', method = 'GET') =>
  `${method} ${path} HTTP/1.1\r\nhost: x\r\n${headers}\r\n`
const get = (status: number, path: string, own: readonly string[], headers = ''): Row => ({
  status,
  what: `GET ${path} ${headers.trim()}`,
  request: requestOf(path, headers),
  own,
})
const inside = (row: Row): Row => ({ ...row, what: `${row.what} inside`, port: INSIDE })
const post = (path: string, headers: string, body: string) =>
  requestOf(path, `content-type: application/json\r\n${headers}`, 'POST') + body

t.test('answers that are none of errors', async (t) => {
  const token = 'authorization: Bearer a-token-for-tests\r\n'
  const probes = ['/livez', '/readyz', '/startupz', '/live', '/ready', '/health', '/health/live']
  const rows: readonly Row[] = [
    {
      ...get(200, THEME, [...PLAIN, ...THEME_ONLY]),
      instead: { 'cross-origin-resource-policy': 'cross-origin' },
    },
    get(200, '/healthz', PLAIN),
    ...[...probes, '/health/ready', '/health/summary'].map((path) => get(200, path, PLAIN)),
    get(200, '/metrics', NEGOTIATED, token),
    get(200, '/health/check', PLAIN, token),
    { ...get(200, '/healthz', PLAIN), request: requestOf('/healthz', '', 'HEAD') },
    { status: 204, what: 'OPTIONS', request: requestOf(EVENTS, '', 'OPTIONS'), own: [...KEPT, 'allow'] },
    ...[...probes, '/health/check', '/health/metrics', '/health/security'].map((path) =>
      inside(get(200, path, PLAIN)),
    ),
    inside(get(200, '/metrics', NEGOTIATED)),
  ]
  for (const row of rows) await checkRow(t, row)
})

t.test('errors, whoever gives them', async (t) => {
  const long = `x: ${'y'.repeat(20_000)}\r\n`
  const chunks = `transfer-encoding: chunked\r\n`
  const rows: readonly Row[] = [
    get(400, '/%E0%A4secret', ERROR),
    { status: 400, what: 'no HTTP', request: 'secret nonsense\r\n\r\n', own: ON_SOCKET },
    {
      status: 400,
      what: 'no Host',
      request: 'GET / HTTP/1.1\r\n\r\n',
      own: [...ENDING, 'vary'],
    },
    { status: 400, what: 'two Hosts', request: requestOf('/x', 'host: y\r\n'), own: [...ENDING, 'vary'] },
    { status: 400, what: 'a body', request: post('/auth/login', 'content-length: 2\r\n', '{}'), own: ERROR },
    get(401, '/metrics', CHALLENGE),
    get(401, '/auth/me', CHALLENGE),
    get(401, '/admin/abuse/blocks', CHALLENGE),
    ...['/health/check', '/health/detailed', '/health/metrics', '/health/security'].map((path) =>
      get(401, path, CHALLENGE),
    ),
    get(404, '/secret', ERROR),
    { ...get(404, '/secret', ERROR, HTML), page: true },
    { status: 404, what: 'HEAD', request: requestOf('/secret', '', 'HEAD'), own: ERROR },
    { status: 405, what: 'PUT', request: requestOf(EVENTS, '', 'PUT'), own: [...ERROR, 'allow'] },
    { status: 408, what: 'a slow head', request: 'GET / HTTP/1.1\r\nx: ', own: ON_SOCKET },
    {
      status: 408,
      what: 'a slow body',
      request: post('/auth/login', 'content-length: 9\r\n', '{'),
      own: ON_SOCKET,
    },
    {
      status: 413,
      what: 'a large body',
      request: post('/auth/logout', 'content-length: 2049\r\n', ''),
      own: [...ENDING, 'vary'],
    },
    {
      status: 413,
      what: 'a large body in chunks',
      request: post('/auth/logout', chunks, `801\r\n${'1'.repeat(2049)}\r\n0\r\n\r\n`),
      own: [...ENDING, 'vary'],
    },
    get(414, `/${'a'.repeat(9000)}`, [...ENDING, 'vary']),
    {
      status: 415,
      what: 'another type',
      request: `${requestOf('/auth/login', 'content-type: text/plain\r\ncontent-length: 2\r\n', 'POST')}{}`,
      own: ERROR,
    },
    { status: 417, what: 'an expectation', request: requestOf('/', 'expect: secret\r\n'), own: ENDING },
    { status: 431, what: 'long headers', request: requestOf('/', long), own: ON_SOCKET },
    get(500, '/fault', ERROR),
    { ...get(500, '/fault', ERROR, HTML), page: true },
    get(503, '/never', ERROR),
    { status: 503, what: 'POST /never', request: post('/never', 'content-length: 2\r\n', '{}'), own: ERROR },
    get(503, '/readyz/database', PLAIN),
    get(503, HISTORY, [...ERROR, ...LIMITS, 'retry-after']),
    { ...get(503, HISTORY, [...ERROR, ...LIMITS, 'retry-after'], HTML), page: true },
    inside(get(400, '/%E0%A4secret', ERROR)),
    inside({ status: 400, what: 'no HTTP', request: 'secret nonsense\r\n\r\n', own: ON_SOCKET }),
    inside(get(404, '/secret', PLAIN)),
    inside({ status: 408, what: 'a slow head', request: 'GET / HTTP/1.1\r\nx: ', own: ON_SOCKET }),
    inside({
      status: 417,
      what: 'an expectation',
      request: requestOf('/livez', 'expect: secret\r\n'),
      own: ENDING,
    }),
    inside({ status: 431, what: 'long headers', request: requestOf('/', long), own: ON_SOCKET }),
    inside(get(500, '/fault', ERROR)),
  ]
  for (const row of rows) await checkRow(t, row)
})

t.test('refusals of limits, as documents and as pages', async (t) => {
  const heavy = '203.0.113.7'
  for (let turn = 0; turn < 20; turn += 1) {
    await fastify.inject({ url: '/nothing', headers: { 'x-forwarded-for': heavy } })
  }
  const blocked = '203.0.113.8'
  await fastify.abuseGuard.block(blocked)
  // Two of three were used by the rows above.
  for (let turn = 0; turn < 2; turn += 1) await ask(get(503, HISTORY, []))
  const limited = [...ERROR, 'retry-after', ...LIMITS.filter((name) => name.startsWith('x-'))]
  const refused = [...PLAIN, ...LIMITS, 'retry-after']
  const rows: readonly Row[] = [
    get(429, HISTORY, refused),
    { ...get(429, HISTORY, [...refused, 'vary'], HTML), page: true },
    { ...get(429, '/nothing', limited), from: heavy },
    { ...get(429, '/nothing', limited, HTML), from: heavy, page: true },
    { ...get(429, '/nothing', [...PLAIN, 'retry-after']), from: blocked },
    { ...get(429, '/nothing', [...PLAIN, 'retry-after', 'vary'], HTML), from: blocked, page: true },
    { ...get(429, THEME, [...PLAIN, 'retry-after']), from: blocked },
    {
      status: 429,
      what: 'a body of somebody who is blocked',
      request: post('/auth/login', 'content-length: 2\r\n', '{}'),
      own: [...ENDING, 'retry-after'],
      from: blocked,
    },
    // Whoever is blocked may ask how the service is.
    { ...get(200, '/healthz', PLAIN), from: blocked },
  ]
  for (const row of rows) await checkRow(t, row)
})

t.test('an id that a client gives is the one of the answer, on both ports, and once', async (t) => {
  const id = 'x-correlation-id: abc-12345\r\n'
  for (const [port, request] of [
    [MAIN, requestOf('/healthz', id)],
    [MAIN, requestOf('/secret', id)],
    [MAIN, requestOf('/%E0%A4', id)],
    [MAIN, requestOf('/', `${id}expect: x\r\n`)],
    [MAIN, `GET / HTTP/1.1\r\n${id}\r\n`],
    [INSIDE, requestOf('/livez', id)],
  ] as const) {
    const [answer] = await exchange(port, request)
    t.equal(answer?.headers.get('x-correlation-id'), 'abc-12345', request)
  }
  // A line that is cut, and one more header in its value, are no ids.
  const [answer] = await exchange(MAIN, requestOf('/secret', 'x-correlation-id: a%0d%0aset-cookie:b\r\n'))
  t.match(answer?.headers.get('x-correlation-id'), /^[0-9a-f-]{36}$/)
  t.notOk(answer?.headers.has('set-cookie'))
})
