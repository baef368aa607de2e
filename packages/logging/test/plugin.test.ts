import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { exchange, waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyRequest } from 'fastify'
import t from 'tap'
import plugin, { Logs, logging } from '../src/index.ts'
import { LineReader } from './line-reader.ts'
import { portOf, serviceWith } from './service-with.ts'

t.setTimeout(60_000)

t.test('the default export is the named one', async (t) => {
  t.equal(plugin, logging)
})

t.test('a request has one line, and its ids are those of the answer', async (t) => {
  const { app, reader } = await serviceWith(t)
  app.get('/things/:id', async () => ({ a: 1 }))
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const answer = await fetch(`${url}/things/7?token=canary`)
  await answer.arrayBuffer()
  await waitUntil(() => reader.completions.length === 1)
  const [line] = reader.completions
  t.match(line, {
    level: 30,
    msg: 'request completed',
    method: 'GET',
    route: '/things/:id',
    path: '/things/7',
    status: 200,
    bytes: 7,
  })
  t.same(Object.keys(line ?? {}), [
    'level',
    'time',
    'correlation_id',
    'request_id',
    'method',
    'route',
    'path',
    'status',
    'duration_ms',
    'bytes',
    'msg',
  ])
  t.match(line?.['correlation_id'], /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/)
  t.equal(answer.headers.get('x-correlation-id'), line?.['correlation_id'])
  t.equal(answer.headers.get('x-request-id'), line?.['request_id'])
  t.equal(line?.['request_id'], line?.['correlation_id'], 'the chain begins here')
})

t.test('a harmless id is taken, and the request still has one of its own', async (t) => {
  const { app, reader } = await serviceWith(t)
  app.get('/', async ({ id }) => id)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  for (const [given, taken] of [
    ['shop-000042', true],
    ['x"y', false],
    ['x'.repeat(65), false],
  ] as const) {
    reader.lines.length = 0
    const answer = await fetch(url, { headers: { 'x-correlation-id': given } })
    const id = await answer.text()
    await waitUntil(() => reader.completions.length === 1)
    t.equal(id === given, taken, 'is the id of the request for Fastify')
    t.equal(answer.headers.get('x-correlation-id'), id)
    t.equal(reader.lines[0]?.['correlation_id'], id)
    t.equal(answer.headers.get('x-request-id'), reader.lines[0]?.['request_id'])
    t.equal(answer.headers.get('x-request-id') === id, !taken)
  }
})

t.test('where ids are not trusted, none is taken', async (t) => {
  const { app, reader } = await serviceWith(t, {
    trustIds: ({ socket }) => socket.remoteAddress !== '127.0.0.1',
  })
  const trace = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
  await app.inject({ url: '/', headers: { 'x-correlation-id': 'shop-000042', traceparent: trace } })
  t.not(reader.lines[0]?.['correlation_id'], 'shop-000042')
  t.equal(reader.lines[0]?.['trace_id'], undefined)
})

t.test('whoever answers: every answer has both ids, and every request its line', async (t) => {
  const { app, reader } = await serviceWith(t, {}, { routerOptions: { maxParamLength: 20 } })
  app.get('/thrown', async () => {
    throw new Error('no')
  })
  app.get('/stream', async () => Readable.from(['a', 'b']))
  app.get('/hijacked', (_request, reply) => {
    reply.hijack()
    reply.raw.end('mine')
  })
  app.get('/written', (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(201, 'Made', ['x-a', 'b'])
    reply.raw.end()
  })
  app.get('/own', (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(202, { 'X-Correlation-ID': reply.request.id, 'x-a': 'b' })
    reply.raw.end()
  })
  app.get('/long/:id', async () => 'x')
  app.post('/body', { bodyLimit: 10 }, async () => 'x')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const port = portOf(app)
  for (const [request, status] of [
    ['GET /thrown HTTP/1.1\r\nhost: a', 500],
    ['GET /nowhere HTTP/1.1\r\nhost: a', 404],
    ['HEAD /stream HTTP/1.1\r\nhost: a', 200],
    ['GET /stream HTTP/1.1\r\nhost: a', 200],
    ['GET /hijacked HTTP/1.1\r\nhost: a', 200],
    ['GET /written HTTP/1.1\r\nhost: a', 201],
    ['GET /own HTTP/1.1\r\nhost: a', 202],
    ['POST /body HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 11', 413],
    ['OPTIONS * HTTP/1.1\r\nhost: a', 404],
    // Node answers these itself.
    ['GET / HTTP/1.1', 400],
    ['GET / HTTP/1.1\r\nhost: a\r\nexpect: the-impossible', 417],
    // Fastify has no request for these.
    ['GET /%zz HTTP/1.1\r\nhost: a', 400],
    [`GET /long/${'x'.repeat(30)} HTTP/1.1\r\nhost: a`, 414],
  ] as const) {
    reader.lines.length = 0
    const answer = await exchange(port, `${request}\r\nconnection: close\r\n\r\n`)
    await waitUntil(() => reader.completions.length > 0)
    t.equal(reader.completions.length, 1, request)
    const [line] = reader.completions
    t.equal(line?.['status'], status, request)
    t.equal(Number(answer.slice(9, 12)), status, request)
    t.equal(/\r\nx-correlation-id: (\S+)/i.exec(answer)?.[1], line?.['correlation_id'], request)
    t.equal(/\r\nx-request-id: (\S+)/i.exec(answer)?.[1], line?.['request_id'], request)
    t.equal(answer.match(/\r\nx-correlation-id:/gi)?.length, 1, request)
  }
})

t.test('an answer that copies the ids of another service still has those of its line', async (t) => {
  const { app, reader } = await serviceWith(t)
  const theirs = { 'X-Request-ID': 'theirs-0001', 'x-correlation-id': 'theirs-0002', 'x-own': 'a' }
  const hijacked = (way: string, answer: (raw: ServerResponse) => unknown) =>
    app.get(`/${way}`, (_request, reply) => {
      reply.hijack()
      answer(reply.raw)
      reply.raw.end()
    })
  app.get('/reply', async (_request, reply) => reply.headers(theirs).send('x'))
  hijacked('object', (raw) => raw.writeHead(200, theirs))
  hijacked('reason', (raw) => raw.writeHead(200, 'Fine', theirs))
  hijacked('list', (raw) => raw.writeHead(200, Object.entries(theirs).flat()))
  hijacked('set', (raw) => Object.entries(theirs).map(([name, value]) => raw.setHeader(name, value)))
  hijacked('both', (raw) => raw.setHeader('x-request-id', 'theirs-0001').writeHead(200, theirs))
  await app.listen({ host: '127.0.0.1', port: 0 })
  for (const way of ['reply', 'object', 'reason', 'list', 'set', 'both']) {
    reader.lines.length = 0
    const answer = await exchange(portOf(app), `GET /${way} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`)
    await waitUntil(() => reader.completions.length > 0)
    const [line] = reader.completions
    t.same(answer.match(/^x-request-id: .*$/gim), [`x-request-id: ${line?.['request_id']}`], way)
    t.same(answer.match(/^x-correlation-id: .*$/gim), [`x-correlation-id: ${line?.['correlation_id']}`], way)
    t.match(answer, /^x-own: a\r$/m, way)
  }
})

t.test('the plugin alone gives ids, lines and scopes to a server with a logger of its own', async (t) => {
  const reader = new LineReader()
  const app = Fastify({ logger: { level: 'info', stream: reader, base: null }, disableRequestLogging: true })
  t.teardown(() => app.close())
  await app.register(logging, { slowMs: 60_000 })
  app.get('/', async (request) => {
    request.log.info('inside')
    app.logging.event('USER_ACTION', 'looked')
    return 'x'
  })
  app.get('/copies', async (_request, reply) => reply.header('X-Request-ID', 'theirs-0001').send('x'))
  const answer = await app.inject({ url: '/', headers: { 'x-correlation-id': 'shop-000042' } })
  t.equal(answer.headers['x-correlation-id'], 'shop-000042')
  t.match(reader.lines, [
    { msg: 'inside', correlation_id: 'shop-000042' },
    { msg: 'looked', event_type: 'USER_ACTION', correlation_id: 'shop-000042' },
    { msg: 'request completed', correlation_id: 'shop-000042', status: 200, route: '/' },
  ])
  t.equal((await app.inject('/nowhere')).headers['x-request-id'], reader.completions[1]?.['request_id'])
  const copied = await app.inject('/copies')
  t.equal(
    copied.headers['x-request-id'],
    reader.completions[2]?.['request_id'],
    'not what another service said',
  )
})

t.test('wrong options fail at register(), and twice is once too often', async (t) => {
  const logs = new Logs<FastifyRequest>({ destination: new LineReader() })
  for (const [options, message] of [
    [{ logs: {} }, /"logs" must be a Logs/],
    [{ logs, level: 'info' }, /"level" must be left out/],
    [{ logs }, /"logs" must be those whose serverOptions\(\) a server was made with/],
    [{ registry: {} }, /"registry" must be an object with/],
    [{ appName: '' }, /"appName" must be a text/],
    [{ admin: {} }, /"admin.authorize" must be a function/],
    [{ admin: { authorize: () => true, path: 'x' } }, /"admin.path" must be a path/],
    [{ admin: { authorize: () => true, more: 1 } }, /"admin.more" must be left out/],
    [{ level: 'info' }, /"level" must be left out: "logger" has its own/],
  ] as const) {
    const app = Fastify()
    const wrong: object = options
    await t.rejects(async () => app.register(logging, wrong), {
      code: 'HOLDFAST_ERR_LOGGING_OPTION',
      message,
    })
    await app.close()
  }
  const { app } = await serviceWith(t)
  await t.rejects(async () => app.register(logging), { code: 'HOLDFAST_ERR_LOGGING_ALREADY_REGISTERED' })
  for (const wrong of [true, { slowMs: -1 }, { sample: 2 }, { slow: 1 }]) {
    t.throws(() => app.get('/wrong', { config: { logging: wrong as never } }, async () => 'x'), {
      code: 'HOLDFAST_ERR_LOGGING_OPTION',
    })
  }
})
