import { PassThrough } from 'node:stream'
import { errorPages } from '@holdfast/error-pages'
import { HandClock, waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { waitingBounds } from '../src/plugins/waiting-bounds.ts'

async function serviceWith(t: Test) {
  const clock = new HandClock()
  const lines: { level: number; msg: string; dropped?: number; err?: { code?: string } }[] = []
  const stream = { write: (line: string) => void lines.push(JSON.parse(line)) }
  const app = Fastify({ logger: { level: 'warn', stream } })
  t.teardown(() => app.close())
  await app.register(waitingBounds, { handlerTimeoutMs: 30_000, maxConnections: 7, clock })
  await app.register(errorPages)
  const waiting: ((answer: unknown) => void)[] = []
  const wait = (_request: FastifyRequest) => new Promise((resolve) => waiting.push(resolve))
  app.route({ method: ['GET', 'POST'], url: '/waits', handler: wait })
  app.get('/at-once', { config: { waits: false } }, wait)
  app.get('/probe', { config: { health: 'probe' } as object }, wait)
  app.get('/begun', (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200).write('begun')
    waiting.push(() => reply.raw.end(' and done'))
  })
  app.get('/stream', (_request, reply) => {
    const stream = new PassThrough()
    stream.write('begun')
    waiting.push(() => stream.end(' and done'))
    reply.header('content-type', 'text/plain').send(stream)
  })
  return { app, clock, lines, waiting }
}

t.test('a request without an answer gets one, also after its body was read', async (t) => {
  const { app, clock, lines, waiting } = await serviceWith(t)
  const requests: readonly [object, string][] = [
    [{ method: 'GET' }, 'GET'],
    [{ method: 'POST' }, 'POST'],
    [{ method: 'POST', payload: { a: 1 } }, 'POST with a body'],
  ]
  for (const [index, [request, what]] of requests.entries()) {
    const answered = app.inject({ url: '/waits', ...request })
    await waitUntil(() => waiting.length > index)
    await clock.advance(29_999)
    t.equal(lines.length, index, what)
    await clock.advance(1)
    const answer = await answered
    t.match(answer, { statusCode: 503, headers: { 'content-type': /^application\/problem\+json/ } }, what)
    t.match(answer.json(), { error: 'HOLDFAST_ERR_API_HANDLER_TIMEOUT', detail: /^this took too long/ }, what)
  }
  // Late answers reach nobody, and harm nobody.
  for (const answer of waiting) answer({ late: true })
  await new Promise(setImmediate)
  t.match(
    lines.map(({ err }) => err?.code),
    requests.map(() => 'HOLDFAST_ERR_API_HANDLER_TIMEOUT'),
  )
})

t.test('who answers in time is not watched any longer, nor who answers at once', async (t) => {
  const { app, clock, waiting } = await serviceWith(t)
  for (const url of ['/waits', '/at-once', '/probe', '/begun', '/stream']) {
    const answered = app.inject(url)
    await waitUntil(() => waiting.length > 0)
    await new Promise(setImmediate)
    if (url !== '/waits') await clock.advance(60_000)
    waiting.pop()?.({ url })
    const { statusCode, body } = await answered
    t.equal(statusCode, 200, url)
    if (['/begun', '/stream'].includes(url)) t.equal(body, 'begun and done', `${url} is whole`)
    t.equal(clock.pendingTimers, 0, url)
  }
})

t.test('connections that are too many are told once in a minute', async (t) => {
  const { app, clock, lines } = await serviceWith(t)
  t.equal(app.server.maxConnections, 7)
  for (let connection = 0; connection < 3; connection += 1) app.server.emit('drop')
  await clock.advance(60_000)
  app.server.emit('drop')
  t.match(lines, [
    { level: 40, msg: 'connections are closed, there are too many', dropped: 1 },
    { level: 40, dropped: 4 },
  ])
})
