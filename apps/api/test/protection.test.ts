// What protects every answer, and what never reaches a handler: on raw sockets, because clients would not send it.

import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { exceeds } from '../src/json-bounds.ts'
import { loneApp } from './lone-app.ts'
import { exchange, type RawAnswer } from './raw-exchange.ts'

t.setTimeout(120_000)

const fastify = await loneApp(t, {
  ENABLE_METRICS: 'true',
  METRICS_TOKEN: 'a-token-for-tests',
  RATE_LIMITS_IP: '100000/minute',
  MAX_REQUEST_BYTES: '2048',
})
let handled = 0
fastify.addHook('preHandler', async () => {
  handled += 1
})
const { port } = new URL(await fastify.listen({ host: '127.0.0.1', port: 0 }))
const send = (text: string) => exchange(Number(port), text)

const EVENTS = '/acme/api/theme/preview-events'
const THEME = '/acme/api/public/load-theme'
const json = 'host: x\r\ncontent-type: application/json\r\n'

/** Each header once, with this value. */
const EXPECTED = {
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  'strict-transport-security': 'max-age=63072000; includeSubDomains',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'x-xss-protection': '0',
} as const

function protects(t: Test, answer: RawAnswer | undefined, what: string): void {
  for (const [name, value] of Object.entries(EXPECTED)) {
    t.equal(answer?.headers.get(name), value, `${what}: ${name}`)
  }
  t.match(answer?.headers.get('content-security-policy'), /^default-src 'none'; [^|]+$/, `${what}: policy`)
  t.match(answer?.headers.get('cross-origin-resource-policy'), /^(same|cross)-origin$/, what)
  t.notMatch(answer?.body, /secret|node:|\.ts:|at [A-Z]\w+\./, `${what}: nothing of the inside`)
}

t.test('every answer carries the same headers, whoever gives it', async (t) => {
  const answers: readonly [number, string, string][] = [
    [200, 'a theme', `GET ${THEME} HTTP/1.1\r\nhost: x\r\n\r\n`],
    [200, 'a probe', 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n'],
    [204, 'OPTIONS', `OPTIONS ${EVENTS} HTTP/1.1\r\nhost: x\r\n\r\n`],
    [400, 'a path that cannot be decoded', 'GET /%E0%A4secret HTTP/1.1\r\nhost: x\r\n\r\n'],
    [400, 'no HTTP at all', 'secret nonsense\r\n\r\n'],
    [400, 'no Host', 'GET / HTTP/1.1\r\n\r\n'],
    [400, 'no JSON', `POST ${EVENTS} HTTP/1.1\r\n${json}content-length: 7\r\n\r\n{secret`],
    [401, 'nobody', 'GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n'],
    [404, 'nothing', 'GET /secret HTTP/1.1\r\nhost: x\r\n\r\n'],
    [405, 'another method', `PUT ${EVENTS} HTTP/1.1\r\nhost: x\r\n\r\n`],
    [413, 'a large body', `POST ${EVENTS} HTTP/1.1\r\n${json}content-length: 2049\r\n\r\n`],
    [
      413,
      'a large body of unknown length',
      `POST ${EVENTS} HTTP/1.1\r\n${json}transfer-encoding: chunked\r\n\r\n801\r\n${'1'.repeat(2049)}\r\n0\r\n\r\n`,
    ],
    [414, 'a long address', `GET /${'a'.repeat(9000)} HTTP/1.1\r\nhost: x\r\n\r\n`],
    [
      415,
      'another type',
      `POST ${EVENTS} HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n{}`,
    ],
    [417, 'an expectation', 'GET / HTTP/1.1\r\nhost: x\r\nexpect: secret\r\n\r\n'],
    [431, 'long headers', `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`],
    [503, 'a database that is not there', 'GET /acme/api/theme/history HTTP/1.1\r\nhost: x\r\n\r\n'],
  ]
  for (const [status, what, text] of answers) {
    const [answer, ...more] = await send(text)
    t.equal(answer?.status, status, what)
    t.same(more, [], `${what}: one answer`)
    protects(t, answer, what)
  }
  const [theme] = await send(`GET ${THEME} HTTP/1.1\r\nhost: x\r\n\r\n`)
  t.equal(theme?.headers.get('cross-origin-resource-policy'), 'cross-origin', 'other pages may show it')
})

t.test('a page has its own policy, and all the other headers', async (t) => {
  const [page] = await send('GET /nothing HTTP/1.1\r\nhost: x\r\naccept: text/html\r\n\r\n')
  protects(t, page, 'page')
  t.match(page?.headers.get('content-security-policy'), /script-src 'sha256-/)
  t.match(page?.body, /<h1 id="title">There is nothing here/)
  t.notMatch(page?.body, 'href="/"', 'where there is nothing, either')
})

t.test('what two servers could read in two ways ends the connection, and reaches no handler', async (t) => {
  const smuggled = `POST ${EVENTS} HTTP/1.1\r\n${json}content-length: 2\r\n\r\n{}`
  const corpus: readonly [string, string][] = [
    ['two Hosts', `POST ${EVENTS} HTTP/1.1\r\nhost: a\r\n${json}content-length: 2\r\n\r\n{}`],
    ...['a, b', 'a,b', 'a/b', 'b@a', 'a b', 'a?b', 'a:b', '[::1', 'a\\b'].map((host): [string, string] => {
      const other = json.replace('host: x', `host: ${host}`)
      return [`the Host ${host}`, `POST ${EVENTS} HTTP/1.1\r\n${other}content-length: 2\r\n\r\n{}`]
    }),
    ['two Hosts at a probe', 'GET /healthz HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n'],
    [
      'two Authorizations',
      `POST ${EVENTS} HTTP/1.1\r\nauthorization: Bearer a\r\nAuthorization: Bearer b\r\n${json}content-length: 2\r\n\r\n{}`,
    ],
    ['a target for another host', `GET http://evil.example${THEME} HTTP/1.1\r\nhost: x\r\n\r\n`],
    ['another version, and no Host', 'GET /healthz HTTP/2.0\r\n\r\n'],
    ['another version, and a Host', `GET ${THEME} HTTP/2.0\r\nhost: x\r\n\r\n`],
    [
      'length and chunks',
      `POST ${EVENTS} HTTP/1.1\r\n${json}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    ['two lengths', `POST ${EVENTS} HTTP/1.1\r\n${json}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`],
    ['a length that is none', `POST ${EVENTS} HTTP/1.1\r\n${json}content-length: +2\r\n\r\n{}`],
    ['another coding', `POST ${EVENTS} HTTP/1.1\r\n${json}transfer-encoding: xchunked\r\n\r\n`],
    ['two codings', `POST ${EVENTS} HTTP/1.1\r\n${json}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
    [
      'chunked, then not',
      `POST ${EVENTS} HTTP/1.1\r\n${json}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
    ],
    ['chunks in HTTP/1.0', `POST ${EVENTS} HTTP/1.0\r\n${json}transfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
    [
      'a coding behind a vertical tab',
      `POST ${EVENTS} HTTP/1.1\r\n${json}transfer-encoding:\x0bchunked\r\n\r\n`,
    ],
    ['white space before the colon', `POST ${EVENTS} HTTP/1.1\r\n${json}content-length : 2\r\n\r\n{}`],
    ['a folded header', `POST ${EVENTS} HTTP/1.1\r\n${json}content-length:\r\n 2\r\n\r\n{}`],
    ['a line without CR', `POST ${EVENTS} HTTP/1.1\nhost: x\ncontent-length: 2\n\n{}`],
    [
      'a chunk size that is none',
      `POST ${EVENTS} HTTP/1.1\r\n${json}transfer-encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n`,
    ],
    ['a NUL in a header', `GET / HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n`],
  ]
  for (const [what, text] of corpus) {
    const before = handled
    const answers = await send(text + smuggled)
    t.equal(answers[0]?.status, 400, what)
    protects(t, answers[0], what)
    t.equal(answers.length, 1, `${what}: nothing behind it is answered`)
    t.equal(answers[0]?.headers.get('ended'), 'true', `${what}: the connection ends`)
    t.equal(handled, before, `${what}: no handler ran`)
  }
})

t.test('every way to write a host is read', async (t) => {
  for (const host of ['x', 'X.example.', 'x.example:8000', 'x_y', '127.0.0.1:1', '[::1]', '[::1]:8000', '']) {
    const [answer] = await send(`GET /healthz HTTP/1.1\r\nhost: ${host}\r\n\r\n`)
    t.equal(answer?.status, 200, host)
  }
  const [absolute] = await send('GET http://X:8000/healthz HTTP/1.1\r\nhost: x:8000\r\n\r\n')
  t.equal(absolute?.status, 200, 'as a proxy is asked')
})

t.test('a body is neither deep nor wide, and pollutes nothing', async (t) => {
  const post = async (payload: string) => {
    const headers = { 'content-type': 'application/json' }
    return (await fastify.inject({ method: 'POST', url: EVENTS, headers, payload })).json()
  }
  t.match(await post('['.repeat(33) + ']'.repeat(33)), {
    status: 400,
    error: 'HOLDFAST_ERR_API_BODY_UNBOUNDED',
  })
  t.match(await post('['.repeat(32) + ']'.repeat(32)), {
    status: 400,
    error: 'HOLDFAST_ERR_API_EVENT_NOT_TEXT',
  })
  for (const payload of ['{"__proto__":{"polluted":1}}', '{"constructor":{"prototype":{"polluted":1}}}']) {
    t.match(await post(payload), { status: 400, error: 'FST_ERR_CTP_INVALID_JSON_BODY' })
  }
  for (const name of ['__proto__', '__proto__[polluted]', 'constructor[prototype][polluted]']) {
    const answer = await fastify.inject(`/acme/api/theme/history?${encodeURIComponent(name)}=1`)
    t.equal(answer.statusCode, 400, name)
  }
  t.equal(({} as { readonly polluted?: unknown }).polluted, undefined)
  const bounds = { maxDepth: 2, maxValues: 4 }
  for (const text of ['[1,2,3]', '{"a":{"b":"[[[[,,,,"}}', '["\\"[[[", 1]', '', '"[[[']) {
    t.equal(exceeds(text, bounds), false, text)
  }
  for (const text of ['[[[', '{"a":[{', '[1,2,3,4]', '[],[],[]']) t.equal(exceeds(text, bounds), true, text)
})

t.test('an id from outside is believed only when it is harmless', async (t) => {
  for (const bad of ['short', 'x'.repeat(65), 'a b c d e f', '<script>x', 'a"b']) {
    const { headers } = await fastify.inject({ url: '/nothing', headers: { 'x-request-id': bad } })
    t.match(headers['x-correlation-id'], /^[0-9a-f-]{36}$/, bad)
    t.equal(headers['x-request-id'], headers['x-correlation-id'], bad)
  }
  const answer = await fastify.inject({ url: '/nothing', headers: { 'x-correlation-id': 'abc-12345' } })
  t.equal(answer.json().correlation_id, 'abc-12345')
  t.match(answer.headers['x-request-id'], /^[0-9a-f-]{36}$/, 'which names this request alone')
})

t.test('whatever is the name of a host is one', async (t) => {
  for (const host of ['x', 'a.example:8000', '127.0.0.1', '[::1]:8000', 'a_b.example', 'A-b.example.', '']) {
    const [answer] = await send(`GET /healthz HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)
    t.equal(answer?.status, 200, host)
  }
})

t.test('slugs are slugs before they are anything else', async (t) => {
  const evil = ['..%2f..%2fetc', '%00', '*', '{x}', 'a:b', 'ａcme', 'A', '-a', 'a'.repeat(64)]
  for (const slug of evil) {
    const theme = await fastify.inject(`/${encodeURI(slug).replaceAll('%25', '%')}/api/public/load-theme`)
    t.equal(theme.statusCode, 200, slug)
  }
})

t.test('two hundred sockets that dribble are let go, and a probe answers meanwhile', async (t) => {
  const { server } = fastify
  server.headersTimeout = 500
  server.requestTimeout = 500
  const sockets = Array.from({ length: 200 }, () => connect(Number(port), '127.0.0.1'))
  const closed = sockets.map(
    (socket) =>
      new Promise<void>((resolve) => {
        socket.on('error', () => undefined)
        socket.on('close', () => resolve())
        socket.resume()
        socket.write('GET / HTTP/1.1\r\nx: ')
      }),
  )
  const dribbling = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write('y')
  }, 100)
  t.teardown(() => clearInterval(dribbling))
  t.equal((await send('GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n'))[0]?.status, 200)
  await Promise.all(closed)
})
