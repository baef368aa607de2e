import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import cookie from '@fastify/cookie'
import { waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { Registry } from 'prom-client'
import t from 'tap'
import {
  checkPreconditions,
  createRepresentation,
  type PeekedRepresentation,
  RepresentationPolicy,
  RepresentationSender,
  staleCache,
  withoutSetCookie,
} from '../src/index.ts'
import { exchange, parseAnswer, portOf, sendRaw } from './raw-http.ts'

const contentType = 'application/json; charset=utf-8'
const representation = await createRepresentation({
  body: JSON.stringify({ a: 'x'.repeat(500) }),
  contentType,
})
const fresh: PeekedRepresentation = { source: 'fresh', ageMs: 12_345, ttlMs: 287_655, representation }

async function serving(
  handler: (sender: RepresentationSender, reply: FastifyReply) => void,
  prepare: (app: FastifyInstance) => unknown = () => undefined,
) {
  const app = Fastify()
  await prepare(app)
  const sender = new RepresentationSender()
  app.get('/', (_request, reply) => handler(sender, reply))
  app.post('/', (_request, reply) => handler(sender, reply))
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const port = portOf(app.server)
  return { sender, port, get: (headers?: Record<string, string>) => exchange(port, 'GET', '/', headers) }
}

t.test('tells caches what to do with a value by where it came from', async (t) => {
  const expected = {
    fresh: ['public, max-age=300, stale-while-revalidate=60', '12', 'holdfast; hit; ttl=287'],
    stale: [
      'public, max-age=30, stale-while-revalidate=60',
      undefined,
      'holdfast; hit; ttl=-43; detail=stale',
    ],
    snapshot: [
      'public, max-age=30, stale-while-revalidate=60',
      undefined,
      'holdfast; hit; ttl=-43; detail=snapshot',
    ],
    default: ['public, max-age=10', undefined, 'holdfast; detail=default'],
  } as const
  for (const source of ['fresh', 'stale', 'snapshot', 'default'] as const) {
    const peeked = source === 'fresh' ? fresh : { source, ageMs: 342_100, ttlMs: -42_100, representation }
    const { get } = await serving((sender, reply) => sender.send(reply, peeked))
    const full = await get()
    const short = await get({ 'if-none-match': '*' })
    t.equal(full.status, 200)
    t.equal(short.status, 304)
    for (const answer of [full, short]) {
      t.strictSame(
        [answer.header('cache-control'), answer.header('age'), answer.header('cache-status')],
        expected[source],
        source,
      )
    }
  }
})

t.test('sends a bare representation like a fresh one, without an age', async (t) => {
  const { get } = await serving((sender, reply) => sender.send(reply, representation))
  const answer = await get()
  t.equal(answer.header('cache-control'), 'public, max-age=300, stale-while-revalidate=60')
  t.equal(answer.header('age'), undefined)
  t.equal(answer.header('cache-status'), undefined)
  t.equal(answer.header('etag'), representation.identity.etag)
})

t.test('obeys the policy of a call, and names the source where the policy says so', async (t) => {
  const policy = new RepresentationPolicy({
    maxAgeMs: 0,
    staleIfErrorMs: 5000,
    cacheName: false,
    sourceHeader: 'X-Cache',
  })
  const { get } = await serving((sender, reply) => sender.send(reply, fresh, policy))
  const answer = await get()
  t.equal(answer.header('cache-control'), 'public, max-age=0, stale-while-revalidate=60, stale-if-error=5')
  t.equal(answer.header('cache-status'), undefined)
  t.equal(answer.header('x-cache'), 'fresh')
})

t.test('appends to a Vary that is there, once, and leaves * alone', async (t) => {
  const cases: readonly (readonly [string | string[], string])[] = [
    ['Origin', 'Origin, Accept-Encoding'],
    [['Origin', 'Accept'], 'Origin, Accept, Accept-Encoding'],
    ['origin, ACCEPT-ENCODING', 'origin, ACCEPT-ENCODING'],
    ['*', '*'],
    ['', 'Accept-Encoding'],
  ]
  for (const [present, sent] of cases) {
    const { get } = await serving((sender, reply) => sender.send(reply.header('vary', present), fresh))
    t.equal((await get()).header('vary'), sent)
    t.equal((await get({ 'if-none-match': '*' })).header('vary'), sent)
  }
})

t.test('takes a Set-Cookie away, counts it and warns once', async (t) => {
  const lines: string[] = []
  const app = Fastify({ logger: { level: 'warn', stream: { write: (line: string) => lines.push(line) } } })
  const registry = new Registry()
  await app.register(staleCache, { registry })
  app.get('/', (_request, reply) => reply.header('set-cookie', ['a=1', 'b=2']).sendRepresentation(fresh))
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const port = portOf(app.server)
  for (let count = 1; count <= 3; count++) {
    const answer = await exchange(port, 'GET', '/')
    t.equal(answer.status, 200)
    t.notOk(answer.headers.has('set-cookie'))
    t.match(await registry.metrics(), `\ncache_set_cookies_removed_total ${count}\n`)
  }
  t.equal(lines.filter((line) => line.includes('HOLDFAST_WARN_STALE_CACHE_SET_COOKIE')).length, 1)
})

t.test('withoutSetCookie removes what @fastify/cookie adds after the answer was sent', async (t) => {
  const app = Fastify()
  const sender = new RepresentationSender()
  const handler = (_request: unknown, reply: FastifyReply) =>
    sender.send(reply.setCookie('sid', 'secret'), fresh)
  app.get('/guarded', { onSend: withoutSetCookie }, handler)
  app.get('/open', handler)
  await app.register(cookie)
  // Registered after the plugin, so that its hook is in these routes.
  app.register(async (child) => {
    child.get('/late', { onSend: withoutSetCookie }, handler)
    child.get('/late-open', handler)
    child.get('/no-cookie', { onSend: withoutSetCookie }, (_request, reply) => sender.send(reply, fresh))
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const port = portOf(app.server)
  t.ok((await exchange(port, 'GET', '/late-open')).headers.has('set-cookie'))
  t.notOk((await exchange(port, 'GET', '/late')).headers.has('set-cookie'))
  t.notOk((await exchange(port, 'HEAD', '/late')).headers.has('set-cookie'))
  t.equal((await exchange(port, 'GET', '/no-cookie')).status, 200)
})

t.test('sends the body of an answer that is not 200 so that nobody keeps it', async (t) => {
  const { get } = await serving((sender, reply) => sender.send(reply.code(503), fresh))
  for (const condition of [{}, { 'if-none-match': '*' }, { 'if-match': '"x"' }]) {
    const answer = await get({ ...condition, 'accept-encoding': 'br' })
    t.equal(answer.status, 503)
    t.equal(answer.header('cache-control'), 'no-store')
    t.equal(answer.header('content-encoding'), 'br')
    t.equal(answer.header('vary'), 'Accept-Encoding')
    t.equal(answer.header('etag'), undefined)
  }
})

t.test('evaluates no condition after a POST has done its work', async (t) => {
  const { port } = await serving((sender, reply) => sender.send(reply, fresh))
  const answer = await exchange(port, 'POST', '/', { 'if-none-match': '*', 'content-length': '0' })
  t.equal(answer.status, 200)
  t.equal(answer.header('cache-control'), 'no-store')
  t.equal(answer.body.toString(), representation.identity.body.toString())
})

t.test('leaves out headers that a hook set for another body', async (t) => {
  const wrong = { 'content-type': 'text/html', 'content-length': '7', 'content-encoding': 'gzip' }
  const { get } = await serving((sender, reply) => sender.send(reply.headers(wrong), fresh))
  const full = await get()
  t.equal(full.header('content-type'), contentType)
  t.equal(full.header('content-encoding'), undefined)
  t.equal(full.body.toString(), representation.identity.body.toString())
  const short = await get({ 'if-none-match': '*' })
  for (const name of Object.keys(wrong)) t.equal(short.header(name), undefined, name)
  const app = Fastify()
  await app.register(staleCache)
  app.head('/', (_request, reply) => reply.headers(wrong).sendRepresentation(fresh))
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const head = await exchange(portOf(app.server), 'HEAD', '/')
  t.equal(head.header('content-length'), String(full.body.byteLength))
})

t.test('keeps the hooks of the application running', async (t) => {
  const seen: string[] = []
  const responded = Promise.withResolvers<void>()
  const { get } = await serving(
    (sender, reply) => sender.send(reply, fresh),
    (app) => {
      app.addHook('onSend', async (_request, reply) => {
        seen.push('onSend')
        reply.header('x-correlation-id', '7')
      })
      app.addHook('onResponse', async () => {
        seen.push('onResponse')
        responded.resolve()
      })
    },
  )
  t.equal((await get({ 'if-none-match': '*' })).header('x-correlation-id'), '7')
  await responded.promise
  t.strictSame(seen, ['onSend', 'onResponse'])
})

t.test('leaves the connection usable after every kind of answer', async (t) => {
  const { port } = await serving((sender, reply) => sender.send(reply, fresh))
  const requests = [
    'HEAD / HTTP/1.1\r\nhost: a\r\nif-none-match: *\r\n',
    'HEAD / HTTP/1.1\r\nhost: a\r\n',
    'GET / HTTP/1.1\r\nhost: a\r\nif-none-match: *\r\n',
    'GET / HTTP/1.1\r\nhost: a\r\nif-match: "x"\r\n',
    'HEAD / HTTP/1.1\r\nhost: a\r\nif-match: "x"\r\n',
    'GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n',
  ]
  let rest = await sendRaw(port, Buffer.from(requests.map((head) => `${head}\r\n`).join(''), 'latin1'))
  const statuses: number[] = []
  for (const _ of requests) {
    const { status, body } = parseAnswer(rest)
    statuses.push(status)
    rest = body
  }
  t.strictSame(statuses, [304, 200, 304, 412, 412, 200])
  t.equal(rest.toString(), representation.identity.body.toString())
})

t.test('serves text outside ASCII and bytes that are no text unchanged', async (t) => {
  for (const [body, type] of [
    ['{"name":"Żółw, Größe, 亀"}', contentType],
    [Buffer.from([0xff, 0xfe, 0x00, 0x80]), 'image/x-test'],
    ['{"a":1}', 'application/json'],
    ['', 'text/plain'],
    ['x'.repeat(20_000), 'text/plain'],
  ] as const) {
    const built = await createRepresentation({ body, contentType: type })
    const { get } = await serving((sender, reply) => sender.send(reply, built))
    const answer = await get()
    t.same(answer.body, Buffer.from(body as string))
    t.equal(answer.header('content-type'), type)
    t.equal(answer.header('content-length'), String(answer.body.byteLength))
  }
})

t.test('checkPreconditions knows what is there and what is not', async (t) => {
  const { identity, gzip, br } = representation
  const check = (method: string, headers: Record<string, string>, present = true) =>
    checkPreconditions({ method, headers }, present ? representation : undefined)
  t.equal(check('PUT', {}), 'proceed')
  t.equal(check('PUT', { 'if-none-match': '*' }, false), 'proceed', 'create, but do not replace')
  t.equal(check('PUT', { 'if-none-match': '*' }), 'precondition-failed')
  t.equal(check('DELETE', { 'if-match': '*' }, false), 'precondition-failed')
  for (const variant of [identity, gzip, br])
    t.equal(check('PUT', { 'if-match': variant?.etag ?? '' }), 'proceed')
  t.equal(check('GET', { 'if-none-match': identity.etag }), 'not-modified')
  t.equal(check('GET', { 'if-none-match': identity.etag, 'accept-encoding': 'br' }), 'proceed')
  t.equal(check('HEAD', { 'if-none-match': br?.etag ?? '', 'accept-encoding': 'br' }), 'not-modified')
  t.equal(
    check('GET', { 'if-match': 'garbage' }),
    'proceed',
    'a GET is never refused for what cannot be read',
  )
  t.equal(check('GET', { 'if-match': identity.etag, 'if-none-match': identity.etag }), 'not-modified')
  const plain = await createRepresentation({ body: 'x', contentType: 'text/plain' })
  t.equal(checkPreconditions({ method: 'PUT', headers: { 'if-match': '"x"' } }, plain), 'precondition-failed')
})

t.test('clients that leave in the middle of an answer harm nobody, and nothing of them stays', async (t) => {
  const lines: string[] = []
  const app = Fastify({ logger: { level: 'warn', stream: { write: (line: string) => lines.push(line) } } })
  const sender = new RepresentationSender()
  // More than the kernel takes at once, so that the answer is under way when its client leaves.
  const body = randomBytes(4_000_000)
  const large = await createRepresentation(
    { body, contentType: 'application/octet-stream' },
    { encodings: [], maxBodyBytes: body.length },
  )
  app.get('/', (_request, reply) => sender.send(reply, large))
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const port = portOf(app.server)
  const leaving = Array.from({ length: 20 }, async (_, index) => {
    const socket = connect(port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n')
    await once(socket, index % 2 === 0 ? 'connect' : 'data')
    socket.resetAndDestroy()
  })
  await Promise.all(leaving)
  const answer = await exchange(port, 'GET', '/')
  t.ok(answer.body.equals(body))
  await waitUntil(async () => (await promisify(app.server.getConnections).call(app.server)) === 0)
  t.same(lines, [])
})
