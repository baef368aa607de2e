// What becomes of requests, on real sockets: each is counted once, with its route, and none stays in flight.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { type MetricsOptions, metrics } from '@holdfast/metrics'
import { answeredAndCancelled, exchange, HandClock, waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyRequest, type FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import { asking } from './asking.ts'

t.setTimeout(60_000)

async function service(
  t: Test,
  options: MetricsOptions<FastifyRequest> = {},
  server: FastifyServerOptions = {},
) {
  const app = Fastify(server)
  t.teardown(() => app.close())
  await app.register(metrics, { runtime: false, ...options })
  const waiting: (() => void)[] = []
  app.get('/items/:id', async ({ params }) => params)
  app.get('/slow', () => new Promise<string>((resolve) => waiting.push(() => resolve('done'))))
  app.get('/broken', async () => {
    throw new Error('no')
  })
  app.get('/cut', async (_request, reply) => {
    const stream = new PassThrough()
    stream.write('a part of it')
    setImmediate(() => setImmediate(() => stream.destroy(new Error('the source failed'))))
    return reply.send(stream)
  })
  app.get('/stream', async (_request, reply) => {
    const stream = new PassThrough()
    stream.write('a part of it')
    return reply.send(stream)
  })
  app.get('/hijacked', (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(202).end('by hand')
  })
  app.get('/status/:status', async ({ params }, reply) =>
    reply.code(Number((params as { status: string }).status)).send(),
  )
  app.get('/quiet', { config: { metrics: false } }, async () => 'quiet')
  app.post('/items', async ({ body }) => body)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const counted = async () => {
    const text = await app.metrics.scrape()
    const rows = [...text.matchAll(/^http_requests_total\{(.*)\} (\d+)$/gm)]
    return Object.fromEntries(
      rows.map(([, labels = '', count]) => [labels.replaceAll('"', ''), Number(count)]),
    )
  }
  const landed = async () => Object.values(await counted()).reduce((sum, count) => sum + count, 0)
  return { app, port, counted, landed, waiting }
}

const label = (method: string, route: string, status: number | string) =>
  `method=${method},route=${route},status=${status}`

t.test(
  'every request is counted once, by template, and paths that there are not are one series',
  async (t) => {
    const { app, port, counted, landed } = await service(t)
    const url = `http://127.0.0.1:${port}`
    for (const path of ['/items/1', '/items/2', '/broken', '/hijacked', '/quiet', '/a.php', '/b.php']) {
      await (await fetch(url + path)).text()
    }
    await fetch(`${url}/items/3`, { method: 'HEAD' })
    await fetch(`${url}/items`, {
      method: 'POST',
      body: '{',
      headers: { 'content-type': 'application/json' },
    })
    await waitUntil(async () => (await landed()) === 8)
    t.strictSame(await counted(), {
      [label('GET', 'unmatched', 404)]: 2,
      [label('GET', '/items/:id', 200)]: 2,
      [label('HEAD', '/items/:id', 200)]: 1,
      [label('GET', '/broken', 500)]: 1,
      [label('GET', '/hijacked', 202)]: 1,
      [label('POST', '/items', 400)]: 1,
    })
    t.equal(app.metrics.snapshot().inFlight, 0)
    const text = await app.metrics.scrape()
    t.match(
      text,
      /^http_request_duration_seconds_count\{method="GET",route="\/items\/:id",status="200"\} 2$/m,
    )
    t.match(text, /^errors_total\{type="internal",component="application"\} 1$/m)
    t.match(text, /^errors_total\{type="validation",component="fastify"\} 1$/m)
  },
)

t.test('a client that leaves is a 499, however it leaves', async (t) => {
  const { app, port, counted, landed, waiting } = await service(t)
  const request = 'GET /slow HTTP/1.1\r\nhost: x\r\n\r\n'
  const ended = await asking(port, request)
  const reset = await asking(port, request)
  await waitUntil(() => waiting.length === 2)
  t.equal(app.metrics.snapshot().inFlight, 2)
  ended.end()
  reset.resetAndDestroy()
  await waitUntil(async () => (await landed()) === 2)
  t.strictSame(await counted(), { [label('GET', '/slow', 499)]: 2 })
  t.equal(app.metrics.snapshot().inFlight, 0)
  for (const answer of waiting) answer()
})

t.test('requests behind another one on their connection are counted when it breaks', async (t) => {
  const { app, port, counted, landed, waiting } = await service(t)
  const request = 'GET /slow HTTP/1.1\r\nhost: x\r\n\r\n'
  const socket = await asking(port, request.repeat(15))
  await waitUntil(() => waiting.length === 15)
  t.equal(app.metrics.snapshot().inFlight, 15)
  // The second has its answer, which waits for the first.
  waiting[1]?.()
  socket.resetAndDestroy()
  await waitUntil(async () => (await landed()) === 15)
  t.strictSame(await counted(), { [label('GET', '/slow', 499)]: 15 })
  t.equal(app.metrics.snapshot().inFlight, 0)
  for (const answer of waiting) answer()
})

t.test('requests behind another one are counted when they are answered', async (t) => {
  const { port, counted, landed, waiting } = await service(t)
  const request = 'GET /slow HTTP/1.1\r\nhost: x\r\n\r\n'
  const socket = await asking(
    port,
    `${request.repeat(2)}GET /items/1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`,
  )
  await waitUntil(() => waiting.length === 2)
  for (const answer of waiting.reverse()) answer()
  socket.resume()
  await once(socket, 'close')
  await waitUntil(async () => (await landed()) === 3)
  t.strictSame(await counted(), { [label('GET', '/slow', 200)]: 2, [label('GET', '/items/:id', 200)]: 1 })
})

t.test('an answer that the service breaks off is a 500, whatever its head said', async (t) => {
  const { port, counted, landed } = await service(t)
  t.match(await exchange(port, 'GET /cut HTTP/1.1\r\nhost: x\r\n\r\n'), /^HTTP\/1.1 200 OK/)
  await waitUntil(async () => (await landed()) === 1)
  t.strictSame(await counted(), { [label('GET', '/cut', 500)]: 1 })
})

t.test('what never reaches a hook is counted too', async (t) => {
  const { app, port, counted, landed, waiting } = await service(t)
  t.match(await exchange(port, 'GET /%zz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'), / 400 /)
  t.match(await exchange(port, 'BREW /pot HTTP/1.1\r\nhost: x\r\n\r\n'), / 400 /)
  t.match(await exchange(port, `GET / HTTP/1.1\r\nhost: x\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`), / 431 /)
  await waitUntil(async () => (await landed()) === 1)
  const text = await app.metrics.scrape()
  t.match(text, /^http_parser_errors_total\{code="HPE_INVALID_METHOD"\} 1$/m)
  t.match(text, /^http_parser_errors_total\{code="HPE_HEADER_OVERFLOW"\} 1$/m)

  // A request on a connection that is open already while the server closes.
  const socket = await asking(port, 'GET /slow HTTP/1.1\r\nhost: x\r\n\r\n')
  let heard = ''
  socket.on('data', (chunk) => {
    heard += chunk
  })
  await waitUntil(() => waiting.length === 1)
  const closing = app.close()
  await waitUntil(() => !app.server.listening)
  socket.write('GET /items/1 HTTP/1.1\r\nhost: x\r\n\r\n')
  await waitUntil(() => app.metrics.snapshot().inFlight === 2)
  waiting[0]?.()
  await once(socket, 'close')
  await closing
  t.match(heard, /503 Service Unavailable/)
  t.strictSame(await counted(), {
    [label('GET', 'unmatched', 400)]: 1,
    [label('GET', 'unmatched', 503)]: 1,
    [label('GET', '/slow', 200)]: 1,
  })
})

t.test('an answer in the place of one that a request waits for is its answer', async (t) => {
  const { app, port, counted, landed, waiting } = await service(t)
  const chunked = 'POST /items HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n'
  t.match(await exchange(port, `${chunked}content-type: text/plain\r\n\r\nZZ\r\n`), / 400 /)
  await waitUntil(async () => (await landed()) === 1)
  // It waits for its answer when what comes behind it cannot be read.
  t.match(await exchange(port, 'GET /slow HTTP/1.1\r\nhost: x\r\n\r\nBREW /\r\n\r\n'), / 400 /)
  await waitUntil(async () => (await landed()) === 2)
  // An answer that is under way is no other one.
  const stream = await asking(port, 'GET /stream HTTP/1.1\r\nhost: x\r\n\r\n')
  await once(stream, 'data')
  stream.write('BREW /\r\n\r\n')
  await once(stream, 'close')
  await waitUntil(async () => (await landed()) === 3)
  t.strictSame(await counted(), {
    [label('POST', '/items', 400)]: 1,
    [label('GET', '/slow', 400)]: 1,
    [label('GET', '/stream', 499)]: 1,
  })
  t.equal(app.metrics.snapshot().inFlight, 0)
  for (const answer of waiting) answer()
})

t.test('a client that is too slow makes no failure of the service', async (t) => {
  const impatient = { requestTimeout: 100, http: { headersTimeout: 100, connectionsCheckingInterval: 20 } }
  const { port, counted, landed } = await service(t, {}, impatient)
  const head = 'POST /items HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 10\r\n\r\n'
  t.match(await exchange(port, `${head}abc`), / 408 /)
  await waitUntil(async () => (await landed()) === 1)
  t.strictSame(await counted(), { [label('POST', '/items', 408)]: 1 })
})

t.test('an expectation that cannot be met is counted where somebody answers it', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(metrics, { runtime: false })
  app.server.on('checkExpectation', (_request, response) => response.writeHead(417).end())
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  t.match(
    await exchange(port, 'GET / HTTP/1.1\r\nhost: x\r\nexpect: tea\r\nconnection: close\r\n\r\n'),
    / 417 /,
  )
  await waitUntil(async () => /route="unmatched",status="417"\} 1$/m.test(await app.metrics.scrape()))
})

t.test('10,000 unknown paths, made-up methods and 500 junk tenants leave the series bounded', async (t) => {
  const { app, port } = await service(t, {
    tenant: ({ headers }) => headers['x-tenant']?.toString(),
    maxTenants: 20,
  })
  await app.inject({ url: '/items/1' })
  for (const method of ['PROPFIND', 'MKCOL', 'PURGE', 'M-SEARCH', 'LINK', 'GET']) {
    await exchange(port, `${method} /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
  }
  for (let at = 0; at < 10_000; at += 1) {
    await app.inject({ url: `/scan/${at}`, headers: at < 500 ? { 'x-tenant': `junk-${at}` } : {} })
  }
  const text = await app.metrics.scrape()
  const series = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  t.ok(series.length < 150, `${series.length} series`)
  t.match(text, /^http_requests_total\{method="GET",route="unmatched",status="404"\} 10001$/m)
  t.match(text, /^http_requests_total\{method="_OTHER",route="unmatched",status="404"\} 5$/m)
  t.match(text, /^tenant_requests_total\{tenant="other"\} 480$/m)
  t.match(text, /^tenant_requests_total\{tenant="none"\} 9507$/m)
  t.match(text, /^metrics_label_overflow_total\{metric="tenant_requests_total",label="tenant"\} 480$/m)
})

t.test(
  'routes that were there before the plugin are recorded, and those after maxRoutes share one',
  async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    app.get('/early', async () => 'early')
    await app.register(metrics, { runtime: false, maxRoutes: 2 })
    for (const path of ['/a', '/b', '/c']) app.get(path, async () => path)
    for (const url of ['/early', '/a', '/b', '/c']) await app.inject({ url })
    const text = await app.metrics.scrape()
    t.match(text, /^http_requests_total\{method="GET",route="\/early",status="200"\} 1$/m)
    t.match(text, /^http_requests_total\{method="GET",route="\/a",status="200"\} 1$/m)
    t.match(text, /^http_requests_total\{method="GET",route="other",status="200"\} 2$/m)
    t.match(text, /^metrics_label_overflow_total\{metric="http_requests_total",label="route"\} 2$/m)
  },
)

t.test('what users are asked takes no request with it', async (t) => {
  const { app } = await service(t, {
    tenant: () => {
      throw new Error('no')
    },
    exemplar: () => {
      throw new Error('no')
    },
  })
  t.equal((await app.inject({ url: '/items/1' })).statusCode, 200)
  t.match(await app.metrics.scrape(), /^tenant_requests_total\{tenant="none"\} 1$/m)
})

t.test('whatever is thrown is an error that is counted', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(metrics, { runtime: false, component: (error) => (error as { name: string }).name })
  app.get('/null', () => Promise.reject(null))
  app.get('/error', () => Promise.reject(new RangeError('no')))
  for (const path of ['/null', '/error']) t.equal((await app.inject(path)).statusCode, 500)
  const text = await app.metrics.scrape()
  t.match(text, /^errors_total\{type="internal",component="application"\} 1$/m)
  t.match(text, /^errors_total\{type="internal",component="RangeError"\} 1$/m)
})

t.test('an exemplar that is none ends no process', async (t) => {
  const answers = [null, 'a', { trace_id: Symbol('a') }, { 'trace-id': 'a' }]
  const { app, port } = await service(t, { exemplar: (() => answers.pop()) as never })
  // Over a socket: there, it is asked for by an event, and a throw would have nobody who catches it.
  for (const _ of [1, 2, 3, 4]) await (await fetch(`http://127.0.0.1:${port}/items/1`)).text()
  await waitUntil(async () => /route="\/items\/:id",status="200"\} 4$/m.test(await app.metrics.scrape()))
  t.notMatch(await app.metrics.scrape('openmetrics'), ' # {')
  t.same(answers, [])
})

t.test('a bucket shows the newest trace, in OpenMetrics alone', async (t) => {
  let trace = 'a'.repeat(32)
  const { app } = await service(t, { clock: new HandClock(), exemplar: () => ({ trace_id: trace }) })
  await app.inject({ url: '/items/1' })
  trace = 'b'.repeat(121)
  await app.inject({ url: '/items/1' })
  const text = await app.metrics.scrape('openmetrics')
  t.match(text, /le="0.005"\} 2 # \{trace_id="a{32}"\} 0 1700000000$/m)
  t.notMatch(text, 'bbb')
  t.notMatch(await app.metrics.scrape(), 'trace_id')
})

t.test('HTTP/2 is counted too, and streams that are cancelled', async (t) => {
  const app = Fastify({ http2: true })
  t.teardown(() => app.close())
  await app.register(metrics, { runtime: false })
  await answeredAndCancelled(t, app)
  await waitUntil(async () => / 1$/m.test((await app.metrics.scrape()).match(/^.*"499".*$/m)?.[0] ?? ''))
  const text = await app.metrics.scrape()
  t.match(text, /^http_requests_total\{method="GET",route="\/fast",status="200"\} 1$/m)
  t.match(text, /^http_requests_total\{method="GET",route="\/slow",status="499"\} 1$/m)
  t.equal(app.metrics.snapshot().inFlight, 0)
})

t.test('a route has so many statuses, and then their classes', async (t) => {
  const { app } = await service(t)
  for (let status = 400; status < 425; status += 1) await app.inject({ url: `/status/${status}` })
  await app.inject({ url: '/status/599' })
  const text = await app.metrics.scrape()
  const statuses = [...text.matchAll(/^http_requests_total\{.*status="(\w+)"\} (\d+)$/gm)]
  t.equal(statuses.length, 18)
  t.strictSame(
    statuses.slice(16).map(([, status, count]) => [status, count]),
    [
      ['4xx', '9'],
      ['5xx', '1'],
    ],
  )
  for (const metric of app.metrics.registry.getMetricsAsArray()) (metric as { reset(): void }).reset()
  t.match(await app.metrics.scrape(), /status="5xx"\} 0$/m)
})
