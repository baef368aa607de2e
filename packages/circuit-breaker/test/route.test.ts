import { get as httpGet, type IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import t from 'tap'
import circuitBreaker, { Bulkhead } from '../src/index.ts'
import { guarded, type Handler, leaving, listening, own, survives } from './guarded-app.ts'

const timeoutMs = 40

t.test('an open breaker answers 503 with Retry-After, and the handler does not run', async (t) => {
  let runs = 0
  const { get, breaker, app } = await guarded(t, { failureThreshold: 2, openMs: 30_000 }, async () => {
    runs += 1
    throw new Error('down')
  })
  t.equal((await get()).statusCode, 500)
  t.equal((await get()).statusCode, 500)
  const refused = await get()
  t.equal(refused.statusCode, 503)
  t.equal(refused.headers['retry-after'], '30')
  t.match(refused.json(), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_OPEN' })
  t.equal(runs, 2)
  t.match(breaker(), { state: 'open', counts: { failed: 2, refused: { open: 1 } } })
  t.match(app.circuitBreaker.routes.snapshot(), { refused: 1 })
  t.match(app.circuitBreaker.errorLog.summary(own), { total: 2, recent: [{ message: 'down' }, {}] })
})

t.test('answers of 500 and more count, 4xx never does, however they are sent', async (t) => {
  const answers: Record<string, [handler: Handler, outcome: 'succeeded' | 'failed']> = {
    'an async answer': [async () => 'ok', 'succeeded'],
    'a callback answer': [(_, reply) => void reply.send('ok'), 'succeeded'],
    'an async error': [async () => Promise.reject(new Error('x')), 'failed'],
    'a thrown error': [
      () => {
        throw new Error('x')
      },
      'failed',
    ],
    'an error sent': [(_, reply) => void reply.send(new Error('x')), 'failed'],
    'a status set': [(_, reply) => void reply.code(502).send('bad gateway'), 'failed'],
    'a status set, async': [async (_, reply) => reply.code(503).send('later'), 'failed'],
    'a 404 thrown': [
      async () => Promise.reject(Object.assign(new Error('x'), { statusCode: 404 })),
      'succeeded',
    ],
    'a 404 set': [async (_, reply) => reply.code(404).send('no'), 'succeeded'],
    'not found': [(_, reply) => void reply.callNotFound(), 'succeeded'],
    'a 429': [async (_, reply) => reply.code(429).send('slow down'), 'succeeded'],
    nothing: [async () => undefined, 'succeeded'],
    null: [async () => null, 'succeeded'],
    'an object': [async () => ({ ok: true }), 'succeeded'],
    'a buffer': [async () => Buffer.from('ok'), 'succeeded'],
    'a redirect': [async (_, reply) => reply.redirect('/x'), 'succeeded'],
    'a stream': [async () => Readable.from(['a', 'b']), 'succeeded'],
    'a web stream': [async () => new Response('ok'), 'succeeded'],
    'a stream with an error status': [
      (_, reply) => void reply.code(500).send(Readable.from(['a'])),
      'failed',
    ],
    'an answer that cannot be serialised': [async () => ({ big: 1n }), 'failed'],
  }
  for (const [name, [handler, outcome]] of Object.entries(answers)) {
    const { get, counts, breaker } = await guarded(t, {}, handler)
    await get()
    t.match(counts(), { succeeded: 0, failed: 0, [outcome]: 1 }, name)
    t.equal(breaker()?.counts.ignored, 0)
  }
})

t.test('failureStatus moves the limit', async (t) => {
  const { get, counts } = await guarded(t, { failureStatus: 502 }, async (_, reply) =>
    reply.code(501).send('x'),
  )
  await get()
  t.match(counts(), { succeeded: 1, failed: 0 })
})

t.test(
  'refusals of a bulkhead or of another breaker do not count, though they are answered with 503',
  async (t) => {
    const bulkhead = new Bulkhead('b', { maxConcurrent: 1, maxWaiting: 0 })
    await bulkhead.acquire()
    for (const handler of [
      async () => bulkhead.execute(() => 1),
      (_: FastifyRequest, reply: FastifyReply) =>
        void bulkhead.execute(() => 1).catch((error) => reply.send(error)),
    ]) {
      const { get, counts } = await guarded(t, {}, handler)
      t.equal((await get()).statusCode, 503)
      t.match(counts(), { failed: 0, succeeded: 0, ignored: 1 })
    }
  },
)

t.test('two failures of three open it, in whatever order they come', async (t) => {
  let calls = 0
  const { get, breaker } = await guarded(t, { failureRate: 0.5, minimumCalls: 20 }, async () => {
    calls += 1
    if (calls % 3 !== 0) throw new Error('x')
    return 'ok'
  })
  for (let request = 0; request < 30; request += 1) await get()
  t.equal(breaker()?.state, 'open')
})

t.test('without a time-out a route may take as long as it takes', async (t) => {
  const { get } = await guarded(t, { timeoutMs: Number.POSITIVE_INFINITY }, async ({ circuitBreaker }) => {
    t.equal(circuitBreaker?.deadlineMs, Number.POSITIVE_INFINITY)
    return sleep(60, 'ok')
  })
  t.equal((await get()).body, 'ok')
})

t.test('an answer that streams is not cut off at the time-out', async (t) => {
  const { app, counts } = await guarded(t, { timeoutMs }, (_, reply) => {
    const chunks = async function* () {
      for (const chunk of ['a', 'b', 'c']) {
        yield chunk
        await sleep(30)
      }
    }
    reply.send(Readable.from(chunks()))
  })
  const answer = await fetch(`${await listening(app)}/guarded`)
  t.equal(await answer.text(), 'abc')
  t.match(counts(), { succeeded: 1, failed: 0 })
})

t.test('a stream that never brings its first byte is answered at the time-out', async (t) => {
  survives(t)
  const { app, counts } = await guarded(t, { timeoutMs }, async () => new Readable({ read() {} }))
  const answer = await fetch(`${await listening(app)}/guarded`)
  t.equal(answer.status, 503)
  t.match(counts(), { failed: 1 })
})

t.test('a stream that breaks half way counts as a failure', async (t) => {
  survives(t)
  const broken: Record<string, Handler> = {
    'a stream': async () =>
      Readable.from(
        (async function* () {
          yield 'a'
          await sleep(10)
          throw new Error('broken')
        })(),
      ),
    'a web stream': async () =>
      new ReadableStream({
        async start(controller) {
          controller.enqueue(new TextEncoder().encode('a'))
          await sleep(10)
          controller.error(new Error('broken'))
        },
      }),
  }
  for (const [name, handler] of Object.entries(broken)) {
    const { app, counts } = await guarded(t, {}, handler)
    await t.rejects(
      fetch(`${await listening(app)}/guarded`).then((answer) => answer.text()),
      name,
    )
    await waitUntil(() => counts()?.failed === 1)
    t.match(counts(), { succeeded: 0, failed: 1, ignored: 0 }, name)
  }
})

t.test('a client that leaves never counts, and the handler is told', async (t) => {
  const reasons: unknown[] = []
  let begun = 0
  const { app, counts, breaker } = await guarded(t, { timeoutMs: 60_000 }, async ({ circuitBreaker }) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    circuitBreaker?.signal.addEventListener('abort', () => resolve())
    begun += 1
    await promise
    reasons.push(circuitBreaker?.signal.reason)
    throw new Error('given up')
  })
  const base = await listening(app)
  for (let client = 0; client < 6; client += 1) {
    await leaving(`${base}/guarded`, () => begun > client)
  }
  await waitUntil(() => reasons.length === 6)
  t.match(counts(), { succeeded: 0, failed: 0, ignored: 6 })
  t.equal(breaker()?.state, 'closed')
  t.match(reasons[0], { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ABORTED', name: 'AbortError' })
  t.match(app.circuitBreaker.routes.snapshot(), { abandoned: 6 })
})

t.test('a client that leaves in the middle of a stream never counts', async (t) => {
  survives(t)
  const { app, counts } = await guarded(t, {}, (_, reply) => {
    reply.send(Readable.from(endless()))
  })
  let chunks = 0
  async function* endless() {
    for (;;) {
      yield 'more'
      chunks += 1
      await sleep(5)
    }
  }
  await leaving(`${await listening(app)}/guarded`, () => chunks > 3)
  await waitUntil(() => counts()?.ignored === 1)
  t.match(counts(), { succeeded: 0, failed: 0 })
})

t.test('the signal of a request with a body lives as long as its client', async (t) => {
  const app = Fastify({ forceCloseConnections: true })
  t.teardown(() => app.close())
  await app.register(circuitBreaker)
  app.post('/write', { config: { circuitBreaker: {} } }, async ({ circuitBreaker }) => {
    const { signal } = circuitBreaker ?? {}
    await sleep(30)
    return signal?.aborted
  })
  const answer = await fetch(`${await listening(app)}/write`, { method: 'POST', body: 'x' })
  t.equal(await answer.text(), 'false')
})

t.test('a hijacked reply belongs to its handler, and keeps no probe for itself', async (t) => {
  survives(t)
  let fail = true
  let probing: number | undefined
  const settings = { timeoutMs, failureThreshold: 1, openMs: 20, probes: 1, rampMs: 0 }
  const { app, breaker } = await guarded(t, settings, async (_, reply) => {
    if (fail) throw new Error('down')
    probing = breaker()?.probesInFlight
    reply.hijack()
    await sleep(timeoutMs + 40)
    reply.raw.writeHead(200)
    reply.raw.end('by hand')
  })
  const url = `${await listening(app)}/guarded`
  t.equal((await fetch(url)).status, 500)
  fail = false
  await sleep(25)
  const probe = fetch(url)
  await waitUntil(() => probing !== undefined && breaker()?.probesInFlight === 0)
  t.equal(probing, 1)
  t.equal(breaker()?.state, 'half-open')
  t.equal(await (await probe).text(), 'by hand')
})

t.test('a hijacked reply that is answered in time counts by its status', async (t) => {
  for (const [status, outcome] of [
    [200, 'succeeded'],
    [500, 'failed'],
  ] as const) {
    const { app, counts } = await guarded(t, {}, (_, reply) => {
      reply.hijack()
      reply.raw.writeHead(status)
      reply.raw.end()
    })
    await fetch(`${await listening(app)}/guarded`)
    await waitUntil(() => counts()?.[outcome] === 1)
  }
})

t.test('a hijacked reply that streams for ever is judged at the time-out', async (t) => {
  const { app, counts } = await guarded(t, { timeoutMs }, (_, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
    reply.raw.write('data: 1\n\n')
  })
  const answer = await new Promise<IncomingMessage>((resolve) => {
    listening(app).then((base) => httpGet(`${base}/guarded`, resolve))
  })
  await waitUntil(() => counts()?.succeeded === 1)
  t.equal(answer.complete, false)
  answer.destroy()
})

t.test('HEAD asks the breaker of the GET route it belongs to', async (t) => {
  const { app } = await guarded(t, { failureThreshold: 2 }, async () => {
    throw new Error('down')
  })
  t.equal((await app.inject({ method: 'HEAD', url: '/guarded' })).statusCode, 500)
  t.equal((await app.inject('/guarded')).statusCode, 500)
  const refused = await app.inject({ method: 'HEAD', url: '/guarded' })
  t.equal(refused.statusCode, 503)
  t.equal(refused.body, '')
  t.ok(refused.headers['retry-after'])
  t.equal(app.circuitBreaker.list().length, 1)
})

t.test(
  'HEAD has no breaker beside that of a route of several methods, or at the root of a prefix',
  async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(circuitBreaker)
    const options = { config: { circuitBreaker: {} } }
    app.route({ method: ['GET', 'POST'], url: '/several', ...options, handler: async () => 'x' })
    app.register(async (scope) => void scope.get('/', options, async () => 'x'), { prefix: '/root' })
    await app.ready()
    t.strictSame(
      app.circuitBreaker.list().map(({ name }) => name),
      ['GET,POST /several', 'GET /root'],
    )
  },
)

t.test('HEAD of a handler that hangs is answered at the time-out', async (t) => {
  const { app } = await guarded(t, { timeoutMs }, () => new Promise(() => {}))
  const answer = await fetch(`${await listening(app)}/guarded`, { method: 'HEAD' })
  t.equal(answer.status, 503)
  t.equal(await answer.text(), '')
})

t.test('errors of hooks before the handler are no business of the breaker', async (t) => {
  for (const hook of ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const) {
    const app = Fastify()
    await app.register(circuitBreaker)
    app.addHook(hook, async () => {
      throw new Error('a hook')
    })
    app.get('/guarded', { config: { circuitBreaker: {} } }, async () => 'ok')
    t.equal((await app.inject('/guarded')).statusCode, 500)
    t.match(app.circuitBreaker.get(own)?.snapshot().counts, { succeeded: 0, failed: 0, ignored: 0 }, hook)
  }
})

t.test('errors of hooks after the handler settle the permit all the same', async (t) => {
  for (const hook of ['preSerialization', 'onSend'] as const) {
    const app = Fastify()
    await app.register(circuitBreaker)
    app.addHook(hook, async (_request: FastifyRequest, reply: FastifyReply) => {
      if (reply.statusCode === 200) throw new Error('a hook')
    })
    app.get('/guarded', { config: { circuitBreaker: {} } }, async () => ({ ok: true }))
    t.equal((await app.inject('/guarded')).statusCode, 500)
    t.match(app.circuitBreaker.get(own)?.snapshot().counts, { succeeded: 0, failed: 1 }, hook)
  }
})

t.test('hooks of the route itself are kept', async (t) => {
  const app = Fastify()
  await app.register(circuitBreaker)
  const ran: string[] = []
  app.route({
    method: 'GET',
    url: '/guarded',
    config: { circuitBreaker: {} },
    onSend: async () => {
      ran.push('onSend')
    },
    onError: [
      async () => {
        ran.push('onError')
      },
    ],
    handler: async () => Promise.reject(new Error('x')),
  })
  await app.inject('/guarded')
  t.strictSame(ran, ['onError', 'onSend'])
})

t.test('a handler has its server as this, and other requests have no call', async (t) => {
  const { get, app } = await guarded(t, {}, function (request) {
    return this.circuitBreaker === app.circuitBreaker && request.circuitBreaker !== null
  })
  app.get('/other', async (request) => request.circuitBreaker)
  t.equal((await get()).body, 'true')
  t.equal((await app.inject('/other')).body, 'null')
  t.equal((await app.inject('/unknown')).statusCode, 404)
  t.match(app.circuitBreaker.get(own)?.snapshot().counts, { succeeded: 1, failed: 0 })
})

t.test('routes that name a breaker share it', async (t) => {
  const app = Fastify()
  await app.register(circuitBreaker)
  app.circuitBreaker.create('database', { failureThreshold: 2 })
  app.get('/a', { config: { circuitBreaker: 'database' } }, async () => Promise.reject(new Error('x')))
  app.get('/b', { config: { circuitBreaker: { name: 'database', timeoutMs: 50 } } }, async () => 'ok')
  await app.inject('/a')
  await app.inject('/a')
  t.equal((await app.inject('/b')).statusCode, 503)
  t.equal(app.circuitBreaker.list().length, 1)
})

t.test('a thousand routes have a thousand breakers, and none forgets its own', async (t) => {
  const app = Fastify()
  await app.register(circuitBreaker, { defaults: { failureThreshold: 3 } })
  const setting = { timeoutMs: 1000 }
  for (let route = 0; route < 1000; route += 1) {
    app.get(`/routes/${route}`, { config: { circuitBreaker: setting } }, async () => {
      if (route === 0) throw new Error('down')
      return `route ${route}`
    })
  }
  for (let route = 999; route > 0; route -= 1) {
    if ((await app.inject(`/routes/${route}`)).body !== `route ${route}`) t.fail(`route ${route}`)
  }
  for (let request = 0; request < 3; request += 1) t.equal((await app.inject('/routes/0')).statusCode, 500)
  t.equal((await app.inject('/routes/0')).statusCode, 503)
  t.equal((await app.inject('/routes/1')).statusCode, 200)
  t.equal(app.circuitBreaker.list().length, 1000)
})

t.test('routes that differ in method, version or host have breakers of their own', async (t) => {
  const app = Fastify()
  await app.register(circuitBreaker)
  const config = { circuitBreaker: {} }
  const handler = async () => 'ok'
  app.get('/x', { config }, handler)
  app.post('/x', { config }, handler)
  app.get('/x', { config, constraints: { host: 'a.example' } }, handler)
  app.route({ method: ['PUT', 'PATCH'], url: '/x', config, handler })
  app.get('/y', { config, exposeHeadRoute: false }, handler)
  app.head('/y', { config: { circuitBreaker: {} } }, handler)
  t.strictSame(
    app.circuitBreaker.list().map(({ name }) => name),
    ['GET /x', 'POST /x', 'GET /x {"host":"a.example"}', 'PUT,PATCH /x', 'GET /y', 'HEAD /y'],
  )
  t.equal((await app.inject({ method: 'POST', url: '/x' })).body, 'ok')
})
