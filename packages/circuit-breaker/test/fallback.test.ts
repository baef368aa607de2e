import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import t from 'tap'
import type { CircuitBreakerRouteOptions } from '../src/index.ts'
import { guarded, type Handler, leaving, listening, survives } from './guarded-app.ts'

const timeoutMs = 150

const fallbacks: Record<string, NonNullable<CircuitBreakerRouteOptions['fallback']>> = {
  'returned at once': () => 'cached',
  'of a promise': async () => sleep(5, 'cached'),
  'sent at once': (_request, reply) => void reply.send('cached'),
  'sent later': (_request, reply) => void setTimeout(() => reply.send('cached'), 5),
  'sent by an async function': async (_request, reply) => reply.send('cached'),
}
const troubles: Record<string, Handler> = {
  'a handler that hangs': () => new Promise(() => {}),
  'a callback that never comes': () => {},
  'a rejection': async () => Promise.reject(new Error('down')),
  'a throw': () => {
    throw new Error('down')
  },
}
for (const [trouble, handler] of Object.entries(troubles)) {
  for (const [kind, fallback] of Object.entries(fallbacks)) {
    t.test(`a fallback ${kind} answers in place of ${trouble}, and then of an open breaker`, async (t) => {
      survives(t)
      const settings = { timeoutMs, failureThreshold: 1, fallback }
      const { get, counts, breaker, app } = await guarded(t, settings, handler)
      const failed = await get()
      t.strictSame([failed.statusCode, failed.body], [200, 'cached'])
      t.match(counts(), { failed: 1 })
      t.equal(breaker()?.state, 'open')
      const refused = await get()
      t.strictSame([refused.statusCode, refused.body], [200, 'cached'])
      t.match(app.circuitBreaker.routes.snapshot(), { fellBack: 2, refused: 1, fallbackFailed: 0 })
    })
  }
}

t.test('a fallback may answer with nothing', async (t) => {
  const { get } = await guarded(t, { fallback: () => null }, async () => Promise.reject(new Error('down')))
  t.equal((await get()).body, 'null')
})

t.test('a fallback is told why, and may set status and headers', async (t) => {
  const { get } = await guarded(
    t,
    {
      fallback: (_request, reply, reason) =>
        reply
          .code(203)
          .header('warning', '110 - "stale"')
          .send((reason as Error).message),
    },
    async () => Promise.reject(new Error('down')),
  )
  const answer = await get()
  t.strictSame([answer.statusCode, answer.headers['warning'], answer.body], [203, '110 - "stale"', 'down'])
})

t.test("a fallback is not asked about the caller's mistakes, nor after the answer was sent", async (t) => {
  let asked = 0
  const fallback = () => {
    asked += 1
    return 'cached'
  }
  const refusing = await guarded(t, { fallback }, async () =>
    Promise.reject(Object.assign(new Error('no'), { statusCode: 403 })),
  )
  t.equal((await refusing.get()).statusCode, 403)
  const answered = await guarded(t, { fallback }, async (_, reply) => {
    reply.send('answered')
    throw new Error('afterwards')
  })
  t.equal((await answered.get()).body, 'answered')
  t.equal(asked, 0)
})

t.test('a fallback that fails leaves the answer to the error it was to replace', async (t) => {
  survives(t)
  for (const fallback of [
    () => {
      throw new Error('no cache')
    },
    async () => Promise.reject(new Error('no cache')),
  ]) {
    const { get, app } = await guarded(
      t,
      { timeoutMs, failureThreshold: 1, fallback },
      () => new Promise(() => {}),
    )
    const late = await get()
    t.equal(late.statusCode, 503)
    t.match(late.json(), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ROUTE_TIMEOUT' })
    t.ok(late.headers['retry-after'])
    const refused = await get()
    t.match(refused.json(), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_OPEN' })
    t.equal(refused.headers['retry-after'], '60')
    t.match(app.circuitBreaker.routes.snapshot(), { fellBack: 2, fallbackFailed: 2 })
  }
})

t.test('a fallback that hangs is answered for when its time is up', async (t) => {
  survives(t)
  for (const fallback of [
    async () => sleep(200, Readable.from(['late'])),
    (_request: FastifyRequest, reply: FastifyReply) => void setTimeout(() => reply.send('late'), 200),
  ]) {
    const { get, app } = await guarded(
      t,
      { timeoutMs, failureThreshold: 1, fallback },
      () => new Promise(() => {}),
    )
    const late = await get()
    t.match(late.json(), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_ROUTE_TIMEOUT' })
    const refused = await get()
    t.match(refused.json(), { code: 'HOLDFAST_ERR_CIRCUIT_BREAKER_OPEN' })
    t.match(app.circuitBreaker.routes.snapshot(), { fellBack: 2, fallbackFailed: 2 })
    await sleep(200)
  }
})

t.test('a fallback whose answer cannot be sent ends nothing', async (t) => {
  survives(t)
  for (const fallback of [async () => ({ big: 1n }), () => ({ big: 1n })]) {
    const { get } = await guarded(t, { timeoutMs, fallback }, () => new Promise(() => {}))
    t.equal((await get()).statusCode, 500)
  }
})

t.test('a fallback whose answer Fastify refuses ends nothing', async (t) => {
  survives(t)
  const { get } = await guarded(
    t,
    {
      timeoutMs,
      fallback: (_request, reply) => {
        reply.type('text/plain')
        return { no: 'text' }
      },
    },
    () => new Promise(() => {}),
  )
  t.equal((await get()).statusCode, 500)
})

t.test('a client that leaves while the fallback works is forgotten', async (t) => {
  survives(t)
  let asked = false
  const fallback = () => {
    asked = true
    return new Promise(() => {})
  }
  const { app, counts } = await guarded(t, { timeoutMs, fallback }, async () =>
    Promise.reject(new Error('down')),
  )
  await leaving(`${await listening(app)}/guarded`, () => asked)
  // Beyond the time of the fallback.
  await sleep(timeoutMs + 10)
  t.match(counts(), { failed: 1 })
  t.match(app.circuitBreaker.routes.snapshot(), { fallbackFailed: 0 })
})
