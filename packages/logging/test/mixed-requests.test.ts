// 10,000 requests of every kind at once, with secrets planted in all of them: then the log is read line by line.

import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { RawClient, seededRandom, waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyRequest } from 'fastify'
import t from 'tap'
import { Logs, logging, serverOptions } from '../src/index.ts'
import { LineReader } from './line-reader.ts'

t.setTimeout(240_000)

const REQUESTS = 10_000
const CONNECTIONS = 40
const canary = `canary-${randomBytes(12).toString('hex')}`
const SECRETS = `cookie: sid=${canary}\r\nauthorization: Bearer ${canary}\r\nx-api-key: ${canary}\r\n`
const BODY = JSON.stringify({
  password: canary,
  nested: [{ token: canary }],
  level: 60,
  msg: 'spoof',
  order: 7,
})
const POSTED = `content-type: application/json\r\ncontent-length: ${BODY.length}\r\n`

/** How a request looks, and what becomes of it. */
interface Kind {
  readonly head: string
  readonly body?: string
  /** Undefined: the connection is cut instead of waiting for an answer. */
  readonly status: number | undefined
  /** Whether the connection is over with the answer. */
  readonly ends?: true
}

const KINDS: readonly Kind[] = [
  { head: `GET /fine?token=${canary} HTTP/1.1\r\nhost: a\r\n`, status: 200 },
  { head: `HEAD /fine HTTP/1.1\r\nhost: a\r\n`, status: 200 },
  { head: `GET /nowhere?code=${canary} HTTP/1.1\r\nhost: a\r\n`, status: 404 },
  { head: `GET /thrown HTTP/1.1\r\nhost: a\r\n`, status: 500 },
  { head: `GET /refused HTTP/1.1\r\nhost: a\r\n`, status: 409 },
  { head: `POST /orders HTTP/1.1\r\nhost: a\r\n${POSTED}`, body: BODY, status: 200 },
  { head: `POST /invalid HTTP/1.1\r\nhost: a\r\n${POSTED}`, body: BODY, status: 400 },
  { head: `GET /stream HTTP/1.1\r\nhost: a\r\n`, status: 200 },
  { head: `GET /hijacked HTTP/1.1\r\nhost: a\r\n`, status: 200 },
  { head: `GET /%zz?${canary} HTTP/1.1\r\nhost: a\r\n`, status: 400 },
  { head: `GET /fine HTTP/1.1\r\nhost: a\r\nexpect: ${canary}\r\n`, status: 417 },
  { head: `GET /fine HTTP/1.1\r\n`, status: 400, ends: true },
  { head: `GET /never HTTP/1.1\r\nhost: a\r\n`, status: undefined },
  { head: `GET /half HTTP/1.1\r\nhost: a\r\n`, status: undefined },
  { head: `POST /orders HTTP/1.1\r\nhost: a\r\n${POSTED}`, body: BODY.slice(0, 20), status: undefined },
]

t.test(
  'each of 10,000 requests has one line, which names it as its answer did, and holds no secret',
  async (t) => {
    const random = seededRandom()
    random.announce(t)
    const reader = new LineReader()
    const logs = new Logs<FastifyRequest>({ destination: reader, level: 'debug' })
    const app = Fastify({ ...serverOptions(logs), forceCloseConnections: true })
    t.teardown(() => app.close())
    await app.register(logging, { logs })

    /** By correlation id, who has come to a handler or, for bodies, to the door. */
    const arrived = new Set<string>()
    app.addHook('onRequest', async ({ id }) => void arrived.add(id))
    app.get('/fine', async (request) => {
      request.log.info({ headers: request.headers, query: request.query }, `asked with token=${canary}`)
      return { a: 1 }
    })
    app.get('/thrown', async () => {
      throw Object.assign(new Error(`connect redis://app:${canary}@db failed`), {
        config: { password: canary },
      })
    })
    app.get('/refused', async () => {
      throw Object.assign(new Error(`no: Bearer ${canary}`), { statusCode: 409 })
    })
    app.post('/orders', async (request) => {
      await setImmediate()
      request.log.warn(request.body as object, 'an order')
      app.logging.event('USER_ACTION', 'order', request.body as object)
      return 'ok'
    })
    const schema = { body: { type: 'object', properties: { order: { type: 'string', maxLength: 0 } } } }
    app.post('/invalid', { schema }, async () => 'ok')
    app.get('/stream', async () => Readable.from(['a', 'b', 'c']))
    app.get('/hijacked', (_request, reply) => {
      reply.hijack()
      reply.raw.end('mine')
    })
    app.get('/never', () => new Promise(() => {}))
    app.get('/half', async () => {
      const endless = new Readable({ read() {} })
      endless.push('x')
      return endless
    })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as { readonly port: number }

    /** What the answer of each request said of its ids; undefined where there was none. */
    const asked = new Map<string, { readonly kind: Kind; readonly requestId: string | undefined }>()
    const wrong: string[] = []
    let next = 0
    await Promise.all(
      Array.from({ length: CONNECTIONS }, async () => {
        const client = new RawClient(port)
        while (next < REQUESTS) {
          const number = next++
          const kind = random.pick(KINDS)
          // Each third brings an id that is no good, and gets one.
          const given = number % 3 === 0 ? '"no id' : `mixed-${String(number).padStart(8, '0')}`
          const text = `${kind.head}${SECRETS}x-correlation-id: ${given}\r\n\r\n${kind.body ?? ''}`
          if (kind.status === undefined) {
            // Found again by its id, so it needs a good one.
            const id = `mixed-${String(number).padStart(8, '0')}`
            await client.cut(text.replace(`x-correlation-id: ${given}`, `x-correlation-id: ${id}`), () =>
              arrived.has(id),
            )
            asked.set(id, { kind, requestId: undefined })
            continue
          }
          const answer = await client.ask(text, kind.ends === true)
          const status = Number(answer.slice(9, 12))
          const id = /^x-correlation-id: (\S+)\r$/im.exec(answer)?.[1]
          const requestId = /^x-request-id: (\S+)\r$/im.exec(answer)?.[1]
          if (status !== kind.status || id === undefined || requestId === undefined || asked.has(id)) {
            wrong.push(`${kind.head.split('\r')[0]} -> ${answer.slice(0, 60)}`)
            continue
          }
          if ((id === given) === (number % 3 === 0)) wrong.push(`${given} -> ${id}`)
          asked.set(id, { kind, requestId })
        }
        client.close()
      }),
    )
    t.same(wrong.slice(0, 5), [])
    t.equal(asked.size, REQUESTS)
    await waitUntil(() => reader.completions.length >= REQUESTS, { timeoutMs: 30_000 })
    await setImmediate()

    const lines = reader.completions
    t.equal(lines.length, REQUESTS, 'one line each')
    const named = new Map(lines.map((line) => [line['correlation_id'] as string, line]))
    t.equal(named.size, REQUESTS, 'each its own')
    const different: unknown[] = []
    for (const [id, { kind, requestId }] of asked) {
      const line = named.get(id)
      const isCut = kind.status === undefined
      const fits =
        line !== undefined &&
        (isCut
          ? line['aborted'] === true
          : line['status'] === kind.status && line['aborted'] === undefined) &&
        (isCut || line['request_id'] === requestId)
      if (!fits) different.push({ kind: kind.head.split('\r')[0], line })
    }
    t.same(different.slice(0, 3), [])
    t.equal(different.length, 0)
    t.equal(new Set(lines.map((line) => line['request_id'])).size, REQUESTS)

    const text = reader.texts.join('')
    t.notOk(text.includes(canary.slice(7, 19)), 'nothing that was planted is in the log')
    t.ok(reader.lines.length > REQUESTS, `${reader.lines.length} lines, ${Math.round(text.length / 1024)} KB`)
    t.comment(`${reader.lines.length} lines, ${Math.round(text.length / 1024)} KB`)
    // What was said in a handler has the ids of its request, and keeps the names of the line.
    for (const line of reader.lines.filter(({ msg }) => msg === 'an order')) {
      if (line['level'] !== 40 || !asked.has(String(line['correlation_id']))) t.fail(JSON.stringify(line))
    }
    t.match(reader.named('an order'), { order: 7, given: { level: 60, msg: 'spoof' }, password: '[masked]' })
  },
)
