// What Node's parser cannot read: its answer has ids, and a line, and no flood of it is a flood of lines.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { HandClock, waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { Logs, type LogsOptions, logging, serverOptions } from '../src/index.ts'
import { LineBudget } from '../src/line-budget.ts'
import { LineReader } from './line-reader.ts'

t.setTimeout(60_000)

const CANARY = 'canary-of-what-cannot-be-read'

async function serviceWith(t: Test, options: LogsOptions<FastifyRequest> = {}) {
  const reader = new LineReader()
  const logs = new Logs<FastifyRequest>({ destination: reader, ...options })
  const app = Fastify({
    ...serverOptions(logs),
    forceCloseConnections: true,
    requestTimeout: 200,
    http: { ...serverOptions(logs).http, headersTimeout: 200, connectionsCheckingInterval: 50 },
  })
  t.teardown(() => app.close())
  await app.register(logging, { logs })
  app.post('/orders', async () => 'ok')
  app.get('/never', () => new Promise(() => {}))
  app.get('/stream', (_request, reply) => {
    reply.hijack()
    reply.raw.write('begun')
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as { readonly port: number }
  return { app, logs, reader, port }
}

/** All that is answered to a text until the connection ends. */
async function answerTo(
  port: number,
  text: string,
  then?: (socket: Socket) => Promise<void>,
): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let heard = ''
  socket.on('data', (chunk) => {
    heard += chunk
  })
  socket.on('error', () => {})
  const closed = once(socket, 'close')
  await once(socket, 'connect')
  socket.write(text)
  await then?.(socket)
  await closed
  return heard
}

const headerOf = (answer: string, name: string) => new RegExp(`^${name}: (\\S+)\\r$`, 'im').exec(answer)?.[1]

t.test('what cannot be read is answered with both ids, and has one line by them', async (t) => {
  const { port, reader, logs } = await serviceWith(t)
  const kinds: readonly (readonly [string, number, string])[] = [
    [`BREW /${CANARY} HTTP/1.1\r\nhost: a\r\n\r\n`, 400, 'HPE_INVALID_METHOD'],
    [`GET / HTTP/1.1\r\n${CANARY}\r\n\r\n`, 400, 'HPE_INVALID_HEADER_TOKEN'],
    [`GET / HTTP/1.1\r\nhost: a\r\ncookie: ${CANARY.repeat(1000)}\r\n\r\n`, 431, 'HPE_HEADER_OVERFLOW'],
    [`GET /half HTTP/1.1\r\nauthorization: ${CANARY}`, 408, 'ERR_HTTP_REQUEST_TIMEOUT'],
  ]
  for (const [text, status, unread] of kinds) {
    const answer = await answerTo(port, text)
    t.match(answer, `HTTP/1.1 ${status} `)
    const id = headerOf(answer, 'x-correlation-id')
    t.match(id, /^[0-9a-f-]{36}$/)
    t.equal(headerOf(answer, 'x-request-id'), id, 'the chain begins here')
    t.match(JSON.parse(answer.split('\r\n\r\n')[1] ?? ''), { statusCode: status })
    const lines = reader.completions.filter(({ correlation_id }) => correlation_id === id)
    t.match(lines, [{ level: 40, request_id: id, status, unread }], unread)
  }
  t.equal(reader.completions.length, kinds.length)
  t.notOk(reader.texts.join('').includes(CANARY))
  t.equal(logs.snapshot().unreadLeftOut, 0)
})

t.test(
  'an answer in the place of one that a request waits for has its ids, and is told in its line',
  async (t) => {
    const { port, reader } = await serviceWith(t)
    const head =
      'POST /orders HTTP/1.1\r\nhost: a\r\nx-correlation-id: shop-000042\r\ncontent-type: application/json\r\n'
    for (const [text, status] of [
      [`${head}transfer-encoding: chunked\r\n\r\nzz\r\n`, 400],
      [`${head}content-length: 10\r\n\r\n{`, 408],
      [`GET /never HTTP/1.1\r\nhost: a\r\nx-correlation-id: shop-000042\r\n\r\njunk ${CANARY}\r\n\r\n`, 400],
    ] as const) {
      const before = reader.completions.length
      const answer = await answerTo(port, text)
      t.match(answer, `HTTP/1.1 ${status} `)
      t.equal(headerOf(answer, 'x-correlation-id'), 'shop-000042')
      await waitUntil(() => reader.completions.length > before)
      const [line, ...more] = reader.completions.slice(before)
      t.match(line, { correlation_id: 'shop-000042', status, level: 40 })
      t.equal(line?.['request_id'], headerOf(answer, 'x-request-id'))
      t.notOk('aborted' in (line ?? {}))
      t.same(more, [], 'there is no other')
    }
  },
)

t.test('nothing is written into an answer that is under way, and to nobody', async (t) => {
  const { port, reader } = await serviceWith(t)
  const answer = await answerTo(port, 'GET /stream HTTP/1.1\r\nhost: a\r\n\r\n', async (socket) => {
    await once(socket, 'data')
    socket.write('junk\r\n\r\n')
  })
  t.equal(answer.match(/HTTP\/1\.1/g)?.length, 1)
  await waitUntil(() => reader.completions.length > 0)
  t.match(reader.completions, [{ route: '/stream', status: 200, aborted: true }])
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write('GET / HTTP/1.1\r\n')
  socket.resetAndDestroy()
  await answerTo(port, 'junk\r\n\r\n')
  await waitUntil(() => reader.completions.length > 1)
  t.equal(reader.completions.length, 2)
})

t.test('of a flood so many lines are written, and one says how many there were besides', async (t) => {
  const clock = new HandClock()
  const reader = new LineReader()
  const logs = new Logs({ destination: reader, clock })
  const junk = (code?: string) => logs.unread({}).written({ status: 400, code })
  for (let each = 0; each < 1500; each++) junk(each === 0 ? `<${CANARY}>` : 'HPE_INVALID_METHOD')
  t.equal(reader.lines.length, 1000)
  t.match(reader.lines[0], { unread: 'other' }, 'only what looks like a code is one')
  t.equal(logs.snapshot().unreadLeftOut, 500)
  await clock.advance(60_000)
  t.match(reader.lines.at(-1), { level: 40, left_out: 500, msg: /has no lines/ })
  t.equal(reader.lines.length, 1001)
  // Ten in a second by now.
  for (let each = 0; each < 700; each++) junk()
  t.equal(reader.lines.length, 1601)
  await logs.close()
  t.match(reader.lines.at(-1), { left_out: 100 }, 'and at the end, what was not told yet')
  t.equal(reader.lines.length, 1602)
  const silent = new LineReader()
  const mute = new Logs({ destination: silent, level: 'error' })
  mute.unread({}).written({ status: 400 })
  t.same(silent.lines, [], 'a warning, as a refusal is')
})

t.test('a budget has so much at once, and grows back with time', async (t) => {
  const budget = new LineBudget({ burst: 2, perSecond: 1 })
  const taken = [0, 0, 0, 999, 1000, 1000, 60_000, 60_000, 60_000].map((nowMs) => budget.take(nowMs))
  t.same(taken, [true, true, false, false, true, false, true, true, false])
  t.equal(budget.refused, 4)
})
