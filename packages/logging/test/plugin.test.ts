import { once } from 'node:events'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyRequest, type FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import plugin, { Logs, type LogsOptions, logging, serverOptions } from '../src/index.ts'
import { LineReader } from './line-reader.ts'

t.setTimeout(60_000)

type Options = LogsOptions<FastifyRequest>

async function serviceWith(t: Test, options: Options = {}, server: FastifyServerOptions = {}) {
  const reader = new LineReader()
  const logs = new Logs<FastifyRequest>({ destination: reader, ...options })
  const app = Fastify({ ...server, ...serverOptions(logs) })
  t.teardown(() => app.close())
  await app.register(logging, { logs })
  return { app, logs, reader }
}

/** Sends a text over a connection of its own, and reads until it is closed. */
async function exchange(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  socket.write(text)
  await once(socket, 'close')
  return answer
}

const portOf = ({ server }: { readonly server: { address(): unknown } }) =>
  (server.address() as { readonly port: number }).port

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

t.test('a service that closes gives lines to those it refuses', async (t) => {
  const { app, reader } = await serviceWith(t)
  let letGo: (() => void) | undefined
  app.get(
    '/slow',
    () =>
      new Promise((resolve) => {
        letGo = () => resolve('x')
      }),
  )
  await app.listen({ host: '127.0.0.1', port: 0 })
  const socket = connect(portOf(app), '127.0.0.1')
  let answers = ''
  socket.on('data', (chunk) => {
    answers += chunk
  })
  socket.write('GET /slow HTTP/1.1\r\nhost: a\r\n\r\n')
  await waitUntil(() => letGo !== undefined)
  const closed = app.close()
  // Behind the one that is still under way, so the connection stays open for it.
  socket.write('GET /late HTTP/1.1\r\nhost: a\r\n\r\n')
  await setTimeout(50)
  letGo?.()
  await Promise.all([once(socket, 'close'), closed])
  await waitUntil(() => reader.completions.length === 2)
  t.same(reader.completions.map(({ status }) => status).toSorted(), [200, 503])
  for (const { correlation_id } of reader.completions) t.match(answers, String(correlation_id))
})

t.test('clients that go away are told as such', async (t) => {
  const { app, reader } = await serviceWith(t)
  let running = 0
  app.get('/never', () => {
    running++
    return new Promise(() => {})
  })
  app.get('/half', async () => {
    running++
    const endless = new Readable({ read() {} })
    endless.push('x')
    return endless
  })
  app.post('/body', async () => 'x')
  await app.listen({ host: '127.0.0.1', port: 0 })
  for (const [request, status, route] of [
    ['GET /never HTTP/1.1\r\nhost: a\r\n\r\n', 499, '/never'],
    ['GET /half HTTP/1.1\r\nhost: a\r\n\r\n', 200, '/half'],
    [
      'POST /body HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"',
      499,
      '/body',
    ],
  ] as const) {
    reader.lines.length = 0
    running = 0
    const socket = connect(portOf(app), '127.0.0.1')
    socket.on('error', () => {})
    socket.write(request)
    if (route === '/half') await once(socket, 'data')
    else if (route === '/never') await waitUntil(() => running === 1)
    else await waitUntil(async () => (await connectionsOf(app)) === 1)
    socket.resetAndDestroy()
    await waitUntil(() => reader.completions.length > 0)
    t.match(reader.completions, [{ status, route, aborted: true, level: 40 }], route)
  }
})

function connectionsOf({ server }: { readonly server: import('node:http').Server }): Promise<number> {
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))
}

t.test('who waits behind another request of his connection has a line, too, when it ends', async (t) => {
  const { app, reader } = await serviceWith(t)
  let running = 0
  app.get('/never', () => {
    running++
    return new Promise(() => {})
  })
  app.get('/soon', async () => {
    running++
    return 'x'
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const socket = connect(portOf(app), '127.0.0.1')
  socket.on('error', () => {})
  socket.write(
    'GET /never HTTP/1.1\r\nhost: a\r\n\r\nGET /soon HTTP/1.1\r\nhost: a\r\n\r\nGET /never HTTP/1.1\r\nhost: a\r\n\r\n',
  )
  await waitUntil(() => running === 3)
  socket.resetAndDestroy()
  await waitUntil(() => reader.completions.length === 3)
  await setImmediate()
  t.same(reader.completions.map(({ route, aborted }) => [route, aborted]).toSorted(), [
    ['/never', true],
    ['/never', true],
    ['/soon', true],
  ])
  t.equal(new Set(reader.completions.map(({ request_id }) => request_id)).size, 3)
})

t.test('however many wait on one connection, each has its line, and one listener is enough', async (t) => {
  const { app, reader } = await serviceWith(t)
  app.get('/', async () => 'x')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const warnings: Error[] = []
  const note = (warning: Error) => warnings.push(warning)
  process.on('warning', note)
  t.teardown(() => process.off('warning', note))
  const request = 'GET / HTTP/1.1\r\nhost: a\r\n'
  await exchange(portOf(app), `${`${request}\r\n`.repeat(40)}${request}connection: close\r\n\r\n`)
  await waitUntil(() => reader.completions.length === 41)
  t.ok(reader.completions.every(({ status, aborted }) => status === 200 && aborted === undefined))
  t.same(warnings, [])
})

t.test('a level of a route is that of its requests', async (t) => {
  const { app, reader } = await serviceWith(t)
  app.get('/loud', { logLevel: 'debug' }, async (request) => {
    request.log.debug('inside')
    return 'x'
  })
  app.get('/still', { logLevel: 'error' }, async () => 'x')
  await app.inject('/loud')
  await app.inject('/still')
  t.same(
    reader.lines.map(({ msg, route }) => [msg, route]),
    [
      ['inside', undefined],
      ['request completed', '/loud'],
    ],
  )
})

t.test('what goes on after an answer keeps its names, and not the request', async (t) => {
  const { app, logs, reader } = await serviceWith(t, { user: ({ headers }) => headers['x-user'] as string })
  let later: (() => void) | undefined
  app.get('/', async ({ raw, log }) => {
    later = () => {
      log.info('later')
      const scope = logs.scopeOf(raw)
      t.equal(scope.request, undefined)
      t.equal(scope.reply, undefined)
    }
    return 'x'
  })
  await app.inject({ url: '/?token=canary', headers: { 'x-user': 'u1' } })
  later?.()
  t.match(reader.named('later'), { user_id: 'u1', method: 'GET', path: '/' })
})

t.test('an answer that the service itself breaks off is an error', async (t) => {
  const { app, reader } = await serviceWith(t)
  app.get('/broken', async () =>
    Readable.from(
      (async function* () {
        yield 'x'
        throw new Error('disk gone, password=canary')
      })(),
    ),
  )
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  await t.rejects(fetch(`${url}/broken`).then((answer) => answer.text()))
  await waitUntil(() => reader.completions.length === 1)
  t.match(reader.completions, [{ level: 50, status: 200, err: { message: 'disk gone, password=[masked]' } }])
  t.equal(reader.completions[0]?.['aborted'], undefined)
})

t.test('how loud a line is', async (t) => {
  const { app, reader } = await serviceWith(t, { slowMs: 0 })
  app.get('/slow', async () => 'x')
  app.get('/patient', { config: { logging: { slowMs: 60_000 } } }, async () => 'x')
  app.get('/status/:code', { config: { logging: { slowMs: 60_000 } } }, async (request, reply) =>
    reply.code(Number((request.params as { code: string }).code)).send('x'),
  )
  for (const [url, level] of [
    ['/slow', 40],
    ['/patient', 30],
    ['/status/204', 30],
    ['/status/302', 30],
    ['/status/404', 40],
    ['/status/503', 50],
  ] as const) {
    reader.lines.length = 0
    await app.inject(url)
    t.equal(reader.completions[0]?.['level'], level, url)
    t.equal(reader.completions[0]?.['slow'], url === '/slow' ? true : undefined, url)
  }
})

t.test('what is not worth a line has none, unless it fails', async (t) => {
  const { app, reader, logs } = await serviceWith(t, { sampleSuccess: 0, quietRoutes: ['/quiet'] })
  let status = 200
  const handler = async (_request: unknown, reply: import('fastify').FastifyReply) =>
    reply.code(status).send('x')
  app.get('/probe', { config: { health: 'probe' } as object }, handler)
  app.get('/quiet', handler)
  app.get('/off', { config: { logging: false } }, handler)
  app.get('/unsampled', handler)
  app.get('/sampled', { config: { logging: { sample: 1 } } }, handler)
  const urls = ['/probe', '/quiet', '/off', '/unsampled', '/sampled']
  for (const url of urls) await app.inject(url)
  t.same(
    reader.completions.map(({ route }) => route),
    ['/sampled'],
  )
  t.equal(logs.snapshot().unsampled, 1)
  reader.lines.length = 0
  status = 500
  for (const url of urls) await app.inject(url)
  t.same(
    reader.completions.map(({ route }) => route),
    urls,
  )
})

t.test('lines carry their request, wherever they are written', async (t) => {
  const { app, reader } = await serviceWith(t, {
    tenant: (request) => (request.headers['x-tenant'] as string | undefined) ?? undefined,
    user: ({ headers }) => {
      if (headers['x-user'] === 'broken') throw new Error('nobody knows')
      return headers['x-user'] as string | undefined
    },
  })
  const repository = async (name: string) => {
    await setImmediate()
    app.log.info(`from the repository, ${name}`)
  }
  app.post('/orders', async (request) => {
    const { name } = request.body as { name: string }
    request.log.info(`from the request, ${name}`)
    await repository(name)
    request.log.child({ part: 'x' }).info(`from a child, ${name}`)
    return 'ok'
  })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const names = Array.from({ length: 50 }, (_, at) => `name-${at}`)
  await Promise.all(
    names.map((name) =>
      fetch(`${url}/orders`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-correlation-id': `chain-${name}`,
          'x-tenant': 'acme',
          'x-user': name,
        },
        body: JSON.stringify({ name }),
      }).then((answer) => answer.text()),
    ),
  )
  await waitUntil(() => reader.completions.length === names.length)
  for (const name of names) {
    const own = reader.lines.filter(({ correlation_id }) => correlation_id === `chain-${name}`)
    t.same(own.map(({ msg }) => msg).toSorted(), [
      `from a child, ${name}`,
      `from the repository, ${name}`,
      `from the request, ${name}`,
      'request completed',
    ])
    for (const line of own) t.match(line, { tenant: 'acme', user_id: name, method: 'POST', path: '/orders' })
    t.equal(new Set(own.map(({ request_id }) => request_id)).size, 1)
  }
  reader.lines.length = 0
  app.log.info('outside')
  t.same(Object.keys(reader.lines[0] ?? {}), ['level', 'time', 'msg'])

  await app.inject({ url: '/nowhere', headers: { 'x-user': 'broken' } })
  t.equal(reader.completions[0]?.['user_id'], undefined, 'who cannot be known is not told')
})

t.test('a trace goes on, and what is asked elsewhere belongs to it', async (t) => {
  const { app, reader } = await serviceWith(t)
  app.get('/', async () => app.logging.outgoing())
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  const headers = {
    traceparent: `00-${traceId}-b7ad6b7169203331-01`,
    tracestate: 'rojo=1',
    'x-correlation-id': 'shop-000042',
  }
  const outgoing = (await app.inject({ url: '/', headers })).json()
  const [line] = reader.completions
  t.equal(line?.['trace_id'], traceId)
  t.match(line?.['span_id'], /^(?!b7ad6b7169203331)[0-9a-f]{16}$/)
  t.same(outgoing, {
    'x-correlation-id': 'shop-000042',
    traceparent: `00-${traceId}-${line?.['span_id']}-01`,
    tracestate: 'rojo=1',
  })
  t.same(app.logging.outgoing(), {}, 'outside of requests')
  const bare = (await app.inject('/')).json()
  t.same(Object.keys(bare), ['x-correlation-id'])
})

t.test('a job goes on under the ids of whoever asked for it', async (t) => {
  const { app, reader } = await serviceWith(t)
  app.get('/', async () => ({ ...app.logging.carrier(), job: 'settle', tenant: 'acme', userId: 'u1' }))
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
  const payload = (
    await app.inject({ url: '/', headers: { 'x-correlation-id': 'shop-000042', traceparent } })
  ).json()
  reader.lines.length = 0
  await app.logging.run(payload, async () => {
    await setImmediate()
    app.log.info({ bet: 7 }, 'settled')
    t.equal(app.logging.correlationId, 'shop-000042')
    t.match(app.logging.outgoing(), { 'x-correlation-id': 'shop-000042', traceparent: /^00-a{32}-/ })
  })
  t.match(reader.lines, [
    {
      correlation_id: 'shop-000042',
      trace_id: 'a'.repeat(32),
      job: 'settle',
      tenant: 'acme',
      user_id: 'u1',
      bet: 7,
      msg: 'settled',
    },
  ])
  app.logging.run({ correlationId: 'no good' }, () => app.log.info('mended'))
  t.match(reader.lines[1]?.['correlation_id'], /^[0-9a-f-]{36}$/)
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
  const answer = await app.inject({ url: '/', headers: { 'x-correlation-id': 'shop-000042' } })
  t.equal(answer.headers['x-correlation-id'], 'shop-000042')
  t.match(reader.lines, [
    { msg: 'inside', correlation_id: 'shop-000042' },
    { msg: 'looked', event_type: 'USER_ACTION', correlation_id: 'shop-000042' },
    { msg: 'request completed', correlation_id: 'shop-000042', status: 200, route: '/' },
  ])
  t.equal((await app.inject('/nowhere')).headers['x-request-id'], reader.completions[1]?.['request_id'])
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
