// Errors as nobody would make them on purpose, and answers that were half made when their handler failed.

import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import { ErrorPages, errorPages } from '../src/index.ts'

t.setTimeout(60_000)

const DOCUMENT = 'application/problem+json; charset=utf-8'

async function serviceWith(t: Test, add: (app: FastifyInstance) => void, options: FastifyServerOptions = {}) {
  const pages = new ErrorPages()
  const app: FastifyInstance = Fastify({ ...pages.serverOptions, ...options })
  t.teardown(() => app.close())
  await app.register(errorPages, { pages })
  add(app)
  return app
}

const throwing = (t: Test, thrown: unknown, options?: FastifyServerOptions) =>
  serviceWith(
    t,
    (app) =>
      app.get('/', async () => {
        throw thrown
      }),
    options,
  )
const refusal = (members: object) => Object.assign(new Error('not this way'), { statusCode: 400, ...members })

t.test('what an error says is wrong with the input is told as far as it is that', async (t) => {
  const round: { itself?: object } = {}
  round.itself = round
  const real = { in: 'body', pointer: '#/a', detail: 'must be\nshort' }
  const told: readonly [unknown, unknown][] = [
    [[1n], undefined],
    [[round], undefined],
    [[null, 'text', 7], undefined],
    [[{ ...real, in: 'cookie' }], undefined],
    [[{ ...real, received: 'secret', itself: round }], [{ ...real, detail: 'must be short' }]],
    ['text', undefined],
  ]
  for (const [issues, errors] of told) {
    const answer = await (await throwing(t, refusal({ issues }))).inject('/')
    t.equal(answer.statusCode, 400)
    t.equal(answer.headers['content-type'], DOCUMENT)
    t.same(answer.json().errors, errors)
  }
  const many = await (await throwing(t, refusal({ issues: Array(50).fill(real) }))).inject('/')
  t.equal(many.json().errors.length, 20)
})

t.test('a validator that has words of its own is told as one', async (t) => {
  for (const validation of [7, [null, 'text', { instancePath: 7, message: {}, params: 'x' }]]) {
    const answer = await (await throwing(t, refusal({ validation }))).inject('/')
    t.match(answer.json(), { status: 400, detail: 'not this way' }, JSON.stringify(validation))
  }
  const app = await serviceWith(t, (app) => {
    app.setValidatorCompiler(() => () => ({ error: { details: 'of another form' } as unknown as Error }))
    app.post('/', { schema: { body: { type: 'object' } } }, async () => 'never')
  })
  t.match((await app.inject({ method: 'POST', url: '/', payload: {} })).json(), {
    status: 400,
    detail: 'the body is wrong',
  })
})

t.test('an error that throws when it is read is a fault, also for the log', async (t) => {
  const lines: string[] = []
  const logger = { level: 'debug', stream: { write: (line: string) => void lines.push(line) } }
  for (const member of ['message', 'statusCode', 'stack', 'code']) {
    const thrown = Object.defineProperty(new Error('x'), member, {
      get() {
        throw new Error('secret of the getter')
      },
    })
    const answer = await (await throwing(t, thrown, { logger })).inject('/')
    t.match(answer, { statusCode: 500, headers: { 'content-type': DOCUMENT } }, member)
    t.notMatch(answer.body, 'secret')
  }
  t.match(lines.join(''), 'secret of the getter')
})

t.test('the headers of a server that was asked are not passed on', async (t) => {
  const headers = {
    'set-cookie': 'session=of-somebody-else',
    'Content-Encoding': 'gzip',
    'transfer-encoding': 'chunked',
    'content-length': '3',
    connection: 'upgrade',
    server: 'inside',
    etag: '"1"',
    'retry-after': 5,
    'WWW-Authenticate': 'Bearer',
  }
  const answer = await (await throwing(t, refusal({ headers }))).inject('/')
  t.match(answer, { statusCode: 400, headers: { 'retry-after': '5', 'www-authenticate': 'Bearer' } })
  t.match(answer.json(), { retry_after: 5 })
  for (const name of ['set-cookie', 'content-encoding', 'transfer-encoding', 'server', 'etag']) {
    t.notOk(name in answer.headers, name)
  }
  t.equal(answer.headers['content-length'], String(answer.body.length))
})

t.test('what a handler has said about its own answer is not said about the fault', async (t) => {
  const half = (reply: FastifyReply) =>
    reply
      .header('content-encoding', 'br')
      .header('content-disposition', 'attachment; filename="report.csv"')
      .header('etag', '"7"')
      .header('last-modified', 'Sat, 01 Aug 2026 00:00:00 GMT')
      .header('location', '/elsewhere')
      .header('content-security-policy', "default-src 'self'")
      .header('set-cookie', 'a=1')
      .header('vary', ['origin', 'cookie'])
      .serializer((payload: unknown) => JSON.stringify({ payload }))
  const app = await serviceWith(t, (app) => {
    app.get('/fails', async (_request, reply) => {
      half(reply)
      throw new Error('secret')
    })
    app.get('/gone', (_request, reply) => half(reply).callNotFound())
    app.get('/stream', async (_request, reply) => {
      const file = new Readable({
        read() {
          this.destroy(new Error('secret'))
        },
      })
      return half(reply).header('content-length', '500').type('video/mp4').send(file)
    })
  })
  for (const [url, status] of [
    ['/fails', 500],
    ['/gone', 404],
    ['/stream', 500],
  ] as const) {
    const answer = await app.inject(url)
    t.match(answer, {
      statusCode: status,
      headers: {
        'content-type': DOCUMENT,
        'content-security-policy': "default-src 'self'",
        'set-cookie': 'a=1',
        vary: 'origin, cookie, accept',
      },
    })
    t.match(answer.json(), { status }, `${url} is a document, and can be read`)
    for (const name of ['content-encoding', 'content-disposition', 'etag', 'last-modified', 'location']) {
      t.notOk(name in answer.headers, `${url}: ${name}`)
    }
  }
})

t.test('a hook that fails at every answer is told in general words, past it', async (t) => {
  const secret = (members: object = {}) => Object.assign(new Error('secret of the hook'), members)
  const failing: readonly [string, () => never][] = [
    [
      'fault',
      () => {
        throw secret()
      },
    ],
    [
      'refusal for now',
      () => {
        throw secret({ statusCode: 503, retryAfterSeconds: 7 })
      },
    ],
  ]
  for (const [what, fail] of failing) {
    const app = await serviceWith(t, (app) => {
      app.addHook('onSend', async (_request, reply) => {
        reply.header('x-hook', 'was here')
        await turn()
        fail()
      })
      app.get('/', async () => 'fine')
      app.get('/fails', async () => {
        throw secret()
      })
    })
    for (const url of ['/', '/fails', '/nothing']) {
      const { statusCode, headers, body } = await app.inject(url)
      t.match(headers, { 'content-type': DOCUMENT, 'cache-control': 'no-store', 'x-hook': 'was here' }, what)
      t.equal(headers['retry-after'], what === 'fault' ? undefined : '7')
      t.match(JSON.parse(body), { status: statusCode, correlation_id: headers['x-correlation-id'] })
      t.equal(statusCode, what === 'fault' ? 500 : 503)
      t.notMatch(body, 'secret', `${what} at ${url}`)
    }
  }
})

t.test('a header that cannot be sent is a fault, and all others are sent', async (t) => {
  for (const value of ['a\r\nset-cookie: evil=1', 'a\0b', undefined, ['fine', 'a\nb']]) {
    const app = await serviceWith(t, (app) => {
      app.get('/', async (_request, reply) =>
        reply
          .header('x-told', value as string)
          .header('x-fine', ['one', 'two'])
          .send('fine'),
      )
    })
    const answer = await fetch(await app.listen({ host: '127.0.0.1', port: 0 }))
    t.equal(answer.headers.get('x-fine'), 'one, two', String(value))
    if (value === undefined) continue
    t.equal(answer.status, 500)
    t.equal(answer.headers.get('content-type'), DOCUMENT)
    for (const name of ['x-told', 'set-cookie']) t.equal(answer.headers.get(name), null)
  }
})

t.test('two answers to one request, of which the hooks of the first are not done yet', async (t) => {
  const { promise: held, resolve: release } = Promise.withResolvers<void>()
  const app = await serviceWith(t, (app) => {
    app.addHook('onSend', async () => held)
    app.get('/', async (_request, reply) => {
      reply.send(new Error('secret: the first'))
      throw new Error('secret: the second')
    })
  })
  const answer = await app.inject('/')
  t.match(answer, { statusCode: 500, headers: { 'content-type': DOCUMENT } })
  t.notMatch(answer.body, 'secret')
  release()
  await turn()
  await turn()
})

t.test('an answer whose headers are on the wire is ended, and nothing is written into it', async (t) => {
  const app = await serviceWith(t, (app) => {
    app.addHook('onSend', async (_request, reply) => {
      if (!reply.raw.headersSent) reply.raw.writeHead(200).write('begun')
      throw new Error('secret')
    })
    app.get('/', async () => 'fine')
  })
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  for (let again = 0; again < 2; again += 1) await t.rejects(fetch(base).then((answer) => answer.text()))
})

t.test('works with a server that somebody else has made', async (t) => {
  const app = await serviceWith(t, () => {}, { serverFactory: (handler) => createServer(handler) })
  t.equal((await app.inject('/nothing')).statusCode, 404)
})
