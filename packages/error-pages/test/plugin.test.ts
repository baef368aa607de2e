import { subscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { connect } from 'node:net'
import { Writable } from 'node:stream'
import { exchange } from '@holdfast/test-kit'
import Fastify, { LogController } from 'fastify'
import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import plugin, { ErrorPages, type ErrorPagesOptions, errorPages, ValidationError } from '../src/index.ts'

t.setTimeout(60_000)

const BROWSER = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' }

async function serviceWith(t: Test, options: ErrorPagesOptions = {}) {
  const log: Record<string, unknown>[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      log.push(JSON.parse(String(chunk)))
      done()
    },
  })
  const pages = new ErrorPages({ newId: () => 'made-up', ...options })
  const app = Fastify({
    logger: { level: 'info', stream },
    logController: new LogController({ disableRequestLogging: true }),
    ...pages.serverOptions,
  })
  t.teardown(() => app.close())
  await app.register(errorPages, { pages })
  app.get('/broken', async () => {
    throw new Error('secret of the database')
  })
  app.get('/thrown', async () => {
    throw null
  })
  app.get('/later', async (_request, reply) => {
    reply.header('vary', 'origin')
    throw Object.assign(new Error('slow down'), { statusCode: 429, retryAfterSeconds: 7 })
  })
  app.post(
    '/age',
    { schema: { body: { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'] } } },
    async () => 'ok',
  )
  app.put('/own', async () => {
    throw new ValidationError('no', [{ in: 'body', pointer: '#/a', detail: 'is wrong' }])
  })
  return { app, log, pages }
}

t.test('the default export is the named one', async (t) => {
  t.equal(plugin, errorPages)
})

t.test('programs get a problem document', async (t) => {
  const { app } = await serviceWith(t)
  const answer = await app.inject('/later')
  t.match(answer, {
    statusCode: 429,
    headers: {
      'content-type': 'application/problem+json; charset=utf-8',
      'cache-control': 'no-store',
      'retry-after': '7',
      vary: 'origin, accept',
    },
  })
  t.same(answer.json(), {
    type: 'about:blank',
    title: 'Too Many Requests',
    status: 429,
    detail: 'slow down',
    error: 'too_many_requests',
    retry_after: 7,
    correlation_id: 'req-1',
  })
})

t.test('browsers get a page, with a policy of its own', async (t) => {
  const { app } = await serviceWith(t, { productName: 'Acme & Sons' })
  const answer = await app.inject({ url: '/later', headers: BROWSER })
  t.match(answer, {
    statusCode: 429,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': /^default-src 'none'; script-src 'sha256-/,
      'retry-after': '7',
      'x-content-type-options': 'nosniff',
    },
  })
  t.match(answer.body, /Slow down a little – Acme &#38; Sons[\s\S]*data-seconds="7"[\s\S]*req-1/)
})

t.test('plugins that answer themselves get a page for people, and nothing for programs', async (t) => {
  const { app, pages } = await serviceWith(t, { headers: { 'x-frame-options': 'DENY' } })
  const { pageFor } = app.errorPages
  app.addHook('onRequest', async (request, reply) => {
    const refused = { statusCode: 429, retryAfterSeconds: 7, headers: { 'x-why': 'limit' } }
    const page = pageFor(request, refused)
    return page === undefined ? reply.code(418).send('') : reply.headers(page.headers).send(page.body)
  })
  const answer = await app.inject({ url: '/later', headers: BROWSER })
  t.match(answer, {
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': /script-src 'sha256-/,
      'cache-control': 'no-store',
      'x-frame-options': 'DENY',
      'x-why': 'limit',
      'x-correlation-id': 'req-1',
      vary: 'accept',
    },
    body: /Slow down a little[\s\S]*data-seconds="7"[\s\S]*req-1/,
  })
  t.equal((await app.inject('/later')).statusCode, 418)
  t.same(pages.snapshot().answered, { problem: {}, page: { 429: 1 }, socket: {} })
})

t.test('a header names the request in every answer, as the document does', async (t) => {
  const { app } = await serviceWith(t, { newId: (request) => `${request?.method} made up` })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as { readonly port: number }
  t.match(await app.inject('/broken'), { headers: { 'x-correlation-id': /^req-/ } })
  const both = /x-correlation-id: GET made up\r\n[\s\S]*"correlation_id":"GET made up"/
  t.match(await exchange(port, 'GET / HTTP/1.1\r\nhost: x\r\nexpect: miracles\r\n\r\n'), both)
  t.match(await exchange(port, 'nonsense\r\n\r\n'), /x-correlation-id: undefined made up\r\n/)
  const { app: silent } = await serviceWith(t, { idHeader: false, socketHeaders: { 'x-socket': 'yes' } })
  await silent.listen({ host: '127.0.0.1', port: 0 })
  t.equal((await silent.inject('/broken')).headers['x-correlation-id'], undefined)
  t.equal((await silent.inject('/broken')).headers['x-socket'], undefined)
  const { port: otherPort } = silent.server.address() as { readonly port: number }
  const text = await exchange(otherPort, 'nonsense\r\n\r\n')
  t.match(text, /x-socket: yes/)
  t.notMatch(text, /x-correlation-id/)
})

t.test('an id that cannot be a header is told in the document alone', async (t) => {
  const app = Fastify({ genReqId: () => 'ein Name – 1' })
  t.teardown(() => app.close())
  await app.register(errorPages)
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  const answer = await fetch(`${base}/nothing`)
  t.equal(answer.status, 404)
  t.equal(answer.headers.get('x-correlation-id'), null)
  t.match(await answer.json(), { correlation_id: 'ein Name – 1' })
})

t.test('a fault is logged in full, told in general, and published', async (t) => {
  const { app, log } = await serviceWith(t)
  const published: unknown[] = []
  subscribe('holdfast:error-pages:failed', (message) => published.push(message))
  for (const headers of [{}, BROWSER]) {
    const answer = await app.inject({ url: '/broken', headers })
    t.equal(answer.statusCode, 500)
    t.notMatch(answer.body, /secret/)
  }
  t.match(log, [{ err: { message: 'secret of the database' }, msg: 'request failed', reqId: 'req-1' }, {}])
  t.match(published[0], { status: 500, correlationId: 'req-1', error: { message: 'secret of the database' } })
  t.match(await app.inject('/thrown'), { statusCode: 500 })
})

t.test('what the caller did wrong is not logged at info', async (t) => {
  const { app, log } = await serviceWith(t)
  await app.inject('/nowhere?token=secret')
  t.same(log, [])
})

t.test('an unknown address is a 404 that repeats nothing of it', async (t) => {
  const { app } = await serviceWith(t)
  for (const headers of [{}, BROWSER]) {
    const answer = await app.inject({ url: '/no<script>thing-to-see?token=1', headers })
    t.equal(answer.statusCode, 404)
    t.notMatch(answer.body, /thing-to-see|token/)
  }
  t.match((await app.inject('/x')).json(), { error: 'HOLDFAST_ERR_ERROR_PAGES_NOT_FOUND' })
})

t.test('what is wrong with a body is told member by member', async (t) => {
  const { app } = await serviceWith(t)
  const post = async (payload: object) => (await app.inject({ method: 'POST', url: '/age', payload })).json()
  t.match(await post({ age: 'x' }), {
    status: 400,
    error: 'FST_ERR_VALIDATION',
    detail: 'age must be integer',
    errors: [{ in: 'body', pointer: '#/age', detail: 'must be integer' }],
  })
  t.match((await app.inject({ method: 'PUT', url: '/own' })).json(), { errors: [{ pointer: '#/a' }] })
})

t.test('a method that a path has not is a 405, unread', async (t) => {
  const { app } = await serviceWith(t)
  app.errorPages.answerOtherMethods()
  const answer = await app.inject({
    method: 'PUT',
    url: '/age',
    headers: { 'content-type': 'text/nonsense' },
    payload: 'x'.repeat(3_000_000),
  })
  t.match(answer, { statusCode: 405, headers: { allow: 'OPTIONS, POST' } })
  t.match(answer.json(), { error: 'HOLDFAST_ERR_ERROR_PAGES_METHOD_NOT_ALLOWED' })
  t.match(await app.inject({ method: 'OPTIONS', url: '/age' }), { statusCode: 204, body: '' })
  t.match(await app.inject({ method: 'DELETE', url: '/own', headers: BROWSER }), {
    statusCode: 405,
    body: /That cannot be done here/,
  })
})

t.test('what never becomes a request is answered in the same form', async (t) => {
  const headers = { 'x-frame-options': 'DENY' }
  const { app, pages } = await serviceWith(t, { headers })
  const published: unknown[] = []
  subscribe('holdfast:error-pages:unreadable', (message) => published.push(message))
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as { readonly port: number }
  const problem = async (request: string) => {
    const answer = await exchange(port, request)
    const [head = '', body = ''] = answer.split('\r\n\r\n')
    t.match(head, /x-frame-options: DENY/i, request.slice(0, 20))
    t.match(head, /content-type: application\/problem\+json/i)
    t.match(head, /connection: close/i)
    return JSON.parse(body)
  }
  t.match(await problem('nonsense\r\n\r\n'), { status: 400, correlation_id: 'made-up' })
  t.match(await problem(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`), { status: 431 })
  t.match(await problem('GET /broken HTTP/1.1\r\nhost: x\r\nexpect: miracles\r\n\r\n'), {
    status: 417,
    error: 'HOLDFAST_ERR_ERROR_PAGES_EXPECTATION',
  })
  t.match(published, [
    { status: 400, correlationId: 'made-up' },
    { status: 431, code: 'HPE_HEADER_OVERFLOW' },
  ])
  t.match(await app.inject('/%E0%A4'), { statusCode: 400, headers, body: /The path cannot be decoded/ })
  t.match(await app.inject({ url: '/%E0%A4', headers: BROWSER }), { statusCode: 400, body: /<h1/ })
  t.same(pages.snapshot().answered, {
    problem: { 400: 1, 417: 1 },
    page: { 400: 1 },
    socket: { 400: 1, 431: 1 },
  })
})

t.test('nothing is written into an answer that is under way', async (t) => {
  const { app } = await serviceWith(t)
  app.addHook('onRequest', async (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/plain' })
    reply.raw.write('begun')
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as { readonly port: number }
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let answer = ''
  const begun = new Promise<void>((resolve) => {
    socket.on('data', (chunk) => {
      answer += chunk
      if (answer.includes('begun')) resolve()
    })
  })
  socket.write('POST /stream HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n')
  await begun
  socket.write('zz\r\n')
  await once(socket, 'close')
  t.equal(answer.match(/HTTP\/1\.1/g)?.length, 1)
})

t.test('a connection that is gone is let go', async (t) => {
  const destroyed: string[] = []
  const socketOf = (name: string, writable: boolean) => ({
    writable,
    end: () => t.fail('nothing can be written'),
    destroy: () => destroyed.push(name),
  })
  const pages = new ErrorPages()
  pages.answerSocket({ code: 'ECONNRESET' }, socketOf('reset', true))
  pages.answerSocket(undefined, socketOf('closed', false))
  t.same(destroyed, ['reset', 'closed'])
})

t.test('the application says what it knows, and a mistake in that is a fault like any other', async (t) => {
  const { app, log } = await serviceWith(t, {
    classify: (error) => {
      if (error === null) throw new Error('classify failed')
      return { status: 503, retryAfterSeconds: 3, level: 'warn' }
    },
  })
  t.match(await app.inject('/broken'), { statusCode: 503, headers: { 'retry-after': '3' } })
  t.match(log, [{ level: 40, msg: 'request refused', reason: 'secret of the database' }])
  t.match(await app.inject('/thrown'), { statusCode: 500 })
  t.match(log[1], { err: { message: 'classify failed' } })
})

t.test('Vary keeps what it held', async (t) => {
  const { app } = await serviceWith(t)
  app.get('/vary/:given', async ({ params }, reply) => {
    reply.header('vary', (params as { readonly given: string }).given)
    throw new Error('x')
  })
  for (const [given, expected] of [
    ['*', '*'],
    ['Accept', 'Accept'],
    ['accept-encoding', 'accept-encoding, accept'],
  ] as const) {
    t.equal((await app.inject(`/vary/${given}`)).headers['vary'], expected)
  }
})

t.test('works alone with its defaults, and is registered once', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(errorPages)
  app.post('/', async () => 'ok')
  t.match(await app.inject({ url: '/', headers: BROWSER }), { statusCode: 404, body: /– This service/ })
  t.match(await app.inject({ method: 'POST', url: '/', headers: { 'content-type': 'a/b' }, payload: 'x' }), {
    statusCode: 415,
    body: /none that is read here/,
  })
  t.same(app.errorPages.snapshot().answered.page, { 404: 1 })
})

t.test('a wrong option of the plugin fails at register()', async (t) => {
  const pages = new ErrorPages()
  for (const [options, code] of [
    [{ pages, productName: 'x' }, 'OPTION'],
    [{ pages: {} }, 'OPTION'],
    [{ registry: 7 }, 'OPTION'],
    [{ appName: '' }, 'OPTION'],
    [{ products: 1 }, 'OPTION'],
  ] as const) {
    const app = Fastify()
    const wrong: object = options
    await t.rejects(async () => app.register(errorPages, wrong), { code: `HOLDFAST_ERR_ERROR_PAGES_${code}` })
    await app.close()
  }
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(errorPages)
  await t.rejects(async () => app.register(errorPages), {
    code: 'HOLDFAST_ERR_ERROR_PAGES_ALREADY_REGISTERED',
  })
})

t.test('metrics are read at the scrape', async (t) => {
  const registry = new Registry()
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(errorPages, { registry, appName: 'shop' })
  await app.inject('/nothing')
  t.match(
    await registry.metrics(),
    'holdfast_error_pages_answers_total{app="shop",form="problem",status="404"} 1',
  )
  t.same(app.errorPages.snapshot().answered.problem, { 404: 1 })
})
