import type { FastifyInstance, FastifyReply } from 'fastify'
import t from 'tap'
import type { PeekedLike, Refusal } from '../src/index.ts'
import { limitedApp } from './limited-app.ts'

/** Sends as `@holdfast/stale-cache` does: `Age` is left out of what is not fresh. */
function decorateSend(app: FastifyInstance): void {
  app.decorateReply('sendRepresentation', function (this: FastifyReply, answer: PeekedLike) {
    const { text } = answer.representation as { text: string }
    if (answer.source === 'fresh') this.header('age', String(Math.floor(answer.ageMs / 1000)))
    return this.header('cache-status', `holdfast; hit; detail=${answer.source}`).send(text)
  } as never)
}

const peeked = (source: string, ageMs: number): PeekedLike => ({
  representation: { text: 'cached' },
  source,
  ageMs,
})

t.test('a route over its limit answers what a cache has, with its age', async (t) => {
  const { app } = await limitedApp(t, { policies: { public: '1/minute' } }, { before: decorateSend })
  let answer = peeked('stale', 42_900)
  const config = { tenantRateLimit: { policy: 'public', onLimit: 'stale', stale: () => answer } } as const
  app.get('/', { config }, async () => 'new')
  t.match(await app.inject('/'), { statusCode: 200, body: 'new' })
  const stale = await app.inject('/')
  t.match(stale, { statusCode: 200, body: 'cached' })
  t.match(stale.headers, {
    age: '42',
    'cache-status': 'holdfast; hit; detail=stale',
    ratelimit: '"public";r=0;t=60',
    'retry-after': undefined,
  })
  answer = peeked('fresh', 1000)
  t.equal((await app.inject('/')).headers['age'], '1')
  answer = peeked('default', 0)
  t.notOk((await app.inject('/')).headers['age'], 'a default was never cached')
  t.match(app.tenantRateLimit.snapshot().requests, { servedStale: 3, refused: 0 })
})

t.test('a route may send it by itself', async (t) => {
  const { app } = await limitedApp(t, { policies: { public: '1/minute' } })
  // What is sent is on its way only after this: nothing but the returned reply says that there is an answer.
  app.addHook('onSend', async (_request, _reply, payload) => payload)
  const config = {
    tenantRateLimit: {
      policy: 'public',
      onLimit: 'stale',
      stale: (_request: unknown, reply: { send(body: string): unknown }) => reply.send('cached') as never,
    },
  } as const
  app.get('/', { config }, async () => 'new')
  await app.inject('/')
  t.match(await app.inject('/'), { statusCode: 200, body: 'cached' })
})

t.test('with nothing cached it is refused', async (t) => {
  for (const nothing of [
    undefined,
    null,
    false,
    {},
    { representation: undefined, source: 'fresh', ageMs: 1 },
  ]) {
    const { app, statuses } = await limitedApp(
      t,
      { policies: { public: '1/minute' } },
      { before: decorateSend },
    )
    const stale = () => nothing as undefined
    app.get(
      '/',
      { config: { tenantRateLimit: { policy: 'public', onLimit: 'stale', stale } } },
      async () => 'new',
    )
    t.strictSame(await statuses(2, '/'), [200, 429])
    t.match(app.tenantRateLimit.snapshot().requests, { staleMissed: 1, refused: 1, servedStale: 0 })
  }
})

t.test('a cache that fails is no failure of the request', async (t) => {
  const warnings: string[] = []
  const { app, statuses } = await limitedApp(
    t,
    { policies: { public: '1/minute' } },
    {
      before: (app) =>
        app.addHook('onRequest', async (request) => {
          request.log.warn = (_details: unknown, message?: string) => void warnings.push(String(message))
        }),
    },
  )
  const route = (path: string, stale: () => PeekedLike) =>
    app.get(
      path,
      { config: { tenantRateLimit: { policy: 'public', onLimit: 'stale', stale } } },
      async () => 'new',
    )
  route('/throws', () => {
    throw new Error('broken')
  })
  route('/undecorated', () => peeked('fresh', 1000))
  t.strictSame(await statuses(4, '/throws'), [200, 429, 429, 429])
  t.strictSame(await statuses(2, '/undecorated'), [429, 429])
  t.match(warnings, [/its function failed/, /register @holdfast\/stale-cache/])
  t.equal(warnings.length, 2, 'once for each route')
  t.match(app.tenantRateLimit.snapshot().requests, { staleMissed: 5 })
})

t.test('a promise of something cached is nothing, and may fail', async (t) => {
  const { app, statuses } = await limitedApp(t, { policies: { public: '1/minute' } })
  const stale = (() => Promise.reject(new Error('nobody waits for it'))) as unknown as () => undefined
  const config = { tenantRateLimit: { policy: 'public', onLimit: 'stale', stale } } as const
  app.get('/', { config }, async () => 'new')
  t.strictSame(await statuses(3, '/'), [200, 429, 429])
  await new Promise(setImmediate)
})

t.test('a function that fails without an error, or has what cannot be sent, lets nobody pass', async (t) => {
  const { app } = await limitedApp(t, { policies: { public: '1/minute' } })
  let handled = 0
  const functions: Record<string, () => unknown> = {
    throws: () => {
      throw undefined
    },
    rejects: () => Promise.reject(),
    unsendable: async () => ({ count: 1n }),
  }
  for (const [name, onLimit] of Object.entries(functions)) {
    app.get(`/${name}`, { config: { tenantRateLimit: { policy: 'public', onLimit } } }, async () => {
      handled += 1
      return 'new'
    })
  }
  await app.inject('/throws')
  for (const name of Object.keys(functions)) {
    t.match(await app.inject(`/${name}`), { statusCode: 429, headers: { 'retry-after': '60' } }, name)
  }
  t.equal(handled, 1)
})

t.test('what is served stale is bounded, for each tenant', async (t) => {
  const { app, clock, statuses } = await limitedApp(
    t,
    { policies: { public: '1/hour' }, staleLimit: '2 per 10s' },
    { before: decorateSend },
  )
  const stale = () => peeked('stale', 1000)
  app.get(
    '/',
    { config: { tenantRateLimit: { policy: 'public', onLimit: 'stale', stale } } },
    async () => 'new',
  )
  t.strictSame(await statuses(5, '/', { tenant: 'acme' }), [200, 200, 200, 429, 429])
  t.strictSame(await statuses(3, '/', { tenant: 'globex' }), [200, 200, 200])
  await clock.advance(5000)
  t.strictSame(await statuses(2, '/', { tenant: 'acme' }), [200, 429])
  t.match(app.tenantRateLimit.snapshot().requests, { servedStale: 5, staleLimited: 3, refused: 3 })
})

t.test('it is bounded for each tenant also where all of them share the limit', async (t) => {
  const { app, statuses } = await limitedApp(
    t,
    { policies: {}, groups: { all: '1/hour' }, staleLimit: '2/hour' },
    { before: decorateSend },
  )
  const stale = () => peeked('stale', 1000)
  app.get('/', { config: { tenantRateLimit: { group: 'all', onLimit: 'stale', stale } } }, async () => 'new')
  t.strictSame(await statuses(4, '/', { tenant: 'acme' }), [200, 200, 200, 429])
  t.strictSame(await statuses(3, '/', { tenant: 'globex' }), [200, 200, 429])
})

t.test('said for all routes, it holds where a route has something, and never for a write', async (t) => {
  const { app, statuses } = await limitedApp(
    t,
    { policies: { public: '1/minute' }, onLimit: 'stale' },
    { before: decorateSend },
  )
  const stale = () => peeked('stale', 1000)
  app.get('/with', { config: { tenantRateLimit: { policy: 'public', stale } } }, async () => 'new')
  app.get('/without', { config: { tenantRateLimit: 'public' } }, async () => 'new')
  app.post('/with', { config: { tenantRateLimit: { policy: 'public', stale } } }, async () => 'new')
  t.strictSame(await statuses(2, '/with'), [200, 200])
  t.strictSame(await statuses(1, '/without'), [429])
  t.equal((await app.inject({ method: 'POST', url: '/with' })).statusCode, 429)
})

t.test(
  'a function answers in the way of a handler, with the status and headers of the refusal',
  async (t) => {
    const { app } = await limitedApp(t, { policies: { public: '1/minute' } })
    const refusals: Refusal[] = []
    const route = (path: string, onLimit: (request: unknown, reply: never, refusal: Refusal) => unknown) =>
      app.get(
        path,
        { config: { tenantRateLimit: { policy: 'public', onLimit: onLimit as never } } },
        async () => 'new',
      )
    route('/value', (_request, _reply, refusal) => {
      refusals.push(refusal)
      return { success: false, retry_after: refusal.retryAfterSeconds }
    })
    route('/promise', async () => 'later')
    route('/send', (_request, reply: { code(status: number): { send(body: string): unknown } }) =>
      reply.code(503).send('mine'),
    )
    route('/forgets', async () => {})
    route('/rejects', async () => {
      throw new Error('broken')
    })
    t.equal((await app.inject('/value')).body, 'new')
    const value = await app.inject('/value')
    t.match(value, { statusCode: 429, headers: { 'retry-after': '60', ratelimit: '"public";r=0;t=60' } })
    t.strictSame(value.json(), { success: false, retry_after: 60 })
    t.match(refusals, [{ violated: ['public'], retryAfterMs: 60_000, decision: { allowed: false } }])
    t.match(await app.inject('/promise'), { statusCode: 429, body: 'later' })
    t.match(await app.inject('/send'), { statusCode: 503, body: 'mine' })
    t.match((await app.inject('/rejects')).json(), { message: 'broken' })
    t.match(app.tenantRateLimit.snapshot().requests, { handled: 4, refused: 0 })
    t.match((await app.inject('/forgets')).json(), { error: 'too_many_requests' }, 'nobody waits for ever')
  },
)
