import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { disposeOf, isTakenOver, type ReplyLike, takeOver } from '../src/index.ts'

/** A reply with what `takeOver` needs of one; those of Fastify are tested where routes are guarded. */
class Reply implements ReplyLike {
  raw: ServerResponse
  readonly request: { readonly raw: object }
  readonly log: object
  decorated = 'by a hook'
  hijacked = false
  readonly #headers: Record<string, unknown> = {}

  constructor(raw: ServerResponse, request: { readonly raw: object }, log: object) {
    this.raw = raw
    this.request = request
    this.log = log
  }

  get sent(): boolean {
    return this.hijacked || this.raw.writableEnded
  }

  get statusCode(): number {
    return this.raw.statusCode
  }

  header(name: string, value: unknown): this {
    this.#headers[name] = value
    return this
  }

  getHeaders(): Record<string, unknown> {
    return { ...this.raw.getHeaders(), ...this.#headers }
  }

  hijack(): this {
    this.hijacked = true
    return this
  }

  send(payload?: unknown): this {
    for (const [name, value] of Object.entries(this.#headers)) this.raw.setHeader(name, String(value))
    this.raw.end(String(payload))
    return this
  }
}

/** Answers one request with what `late` does after the reply was taken over. */
async function answer(t: Test, late: (reply: Reply, successor: Reply) => void) {
  const server = createServer((request, response) => {
    const reply = new Reply(response, { raw: request }, {})
    reply
      .header('x-correlation-id', '7')
      .header('content-type', 'text/html')
      .header('content-security-policy', "default-src 'none'")
      .header('etag', '"1"')
    response.setHeader('content-length', '1')
    const successor = takeOver(reply)
    successor.header('retry-after', '1')
    late(reply, successor)
  })
  t.teardown(() => server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const response = await fetch(`http://127.0.0.1:${port}`)
  return { response, body: await response.text() }
}

t.test(
  'the successor answers, with what hooks have set and without what was said of the content',
  async (t) => {
    const { response, body } = await answer(t, (reply, successor) => {
      t.equal(isTakenOver(reply), true)
      t.equal(isTakenOver(successor), false)
      t.equal(successor.decorated, 'by a hook')
      t.equal(reply.sent, true)
      successor.send('too late')
    })
    t.equal(body, 'too late')
    t.equal(response.headers.get('x-correlation-id'), '7')
    t.equal(response.headers.get('retry-after'), '1')
    t.equal(response.headers.get('etag'), null)
    t.equal(response.headers.get('content-security-policy'), "default-src 'none'", 'what protects it stays')
    t.not(response.headers.get('content-type'), 'text/html')
  },
)

t.test('whatever is done to the old reply reaches nobody, before the answer and after it', async (t) => {
  const called: string[] = []
  const meddle = (reply: Reply) => {
    const { raw } = reply
    reply.send('late')
    raw.statusCode = 201
    raw.statusMessage = 'late'
    t.type(raw.statusMessage, raw.statusMessage === undefined ? 'undefined' : 'string')
    t.equal(raw.statusCode, 200)
    raw.setHeader('x-late', '1')
    t.equal(raw.write('late'), true)
    raw.end('late', () => called.push('ended'))
    raw.destroy()
  }
  const { response, body } = await answer(t, (reply, successor) => {
    const { raw } = successor
    meddle(reply)
    raw.on('finish', () => raw.end('after the answer'))
    successor.send('the answer')
  })
  t.equal(body, 'the answer')
  t.equal(response.status, 200)
  t.equal(response.headers.get('x-late'), null)
  t.strictSame(called, ['ended'])
})

t.test('a late answer that is a stream is let go', async (t) => {
  const closed: string[] = []
  const stream = new Readable({
    read() {},
    destroy(_error, callback) {
      closed.push('stream')
      callback(new Error('of nobody'))
    },
  })
  const web = () => new ReadableStream({ cancel: () => void closed.push('web') })
  disposeOf(stream)
  disposeOf(web())
  disposeOf(new Response(web()))
  for (const nothing of ['text', null, undefined, {}, { body: 'text' }]) disposeOf(nothing)
  await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(closed, ['stream', 'web', 'web'])
})
