import { setTimeout as sleep } from 'node:timers/promises'
import { HandClock, waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import plugin, { type ConcurrencyGuardRouteOptions, type Conflict, concurrencyGuard } from '../src/index.ts'
import { guardedApp, SlowStore } from './guarded-app.ts'
import { MemoryLeases } from './memory-leases.ts'

/** An app whose handler works until it is told. */
async function workingApp(
  t: Parameters<typeof guardedApp>[0],
  options: Parameters<typeof guardedApp>[2] = {},
) {
  const gates: (() => void)[] = []
  const handler = () => new Promise<string>((resolve) => gates.push(() => resolve('done')))
  return { gates, ...(await guardedApp(t, handler, options)) }
}

t.test('the plugin is exported by default and by name, and is registered once', async (t) => {
  t.equal(plugin, concurrencyGuard)
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(concurrencyGuard)
  t.equal(await app.concurrencyGuard.run('a', {}, () => 1), 1)
  await t.rejects(async () => app.register(concurrencyGuard), {
    code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_ALREADY_REGISTERED',
  })
})

t.test('a second request is refused at once with what is promised; other keys do not wait', async (t) => {
  const { post, gates, guard } = await workingApp(t)
  const first = post('a')
  await waitUntil(() => gates.length === 1)
  const refused = await post('a')
  t.equal(refused.status, 429)
  t.equal(refused.headers.get('retry-after'), '30')
  t.equal(refused.headers.get('content-type'), 'application/json; charset=utf-8')
  t.equal(refused.headers.get('cache-control'), 'no-store')
  t.strictSame(await refused.json(), {
    success: false,
    message: 'Another operation is in progress. Please try again later.',
    retry_after: 30,
  })
  const other = post('b')
  await waitUntil(() => gates.length === 2)
  for (const open of gates) open()
  t.equal((await first).status, 200)
  t.equal((await other).status, 200)
  const again = post('a')
  await waitUntil(() => gates.length === 3)
  gates[2]?.()
  t.equal((await again).status, 200)
  t.match(guard.snapshot().refused, { 'held-here': 1 })
})

t.test('fifty requests at once: one works, and the others are told while it does', async (t) => {
  const { post, gates, guard } = await workingApp(t, { plugin: { redis: new SlowStore(1) } })
  const answers = Array.from({ length: 50 }, () => post('a'))
  const statuses: number[] = []
  for (const answer of answers) answer.then(({ status }) => statuses.push(status))
  await waitUntil(() => statuses.length === 49)
  t.strictSame(new Set(statuses), new Set([429]))
  gates[0]?.()
  await Promise.all(answers)
  t.equal(statuses.at(-1), 200)
  t.equal(gates.length, 1)
  t.equal(guard.snapshot().begun.fenced, 1)
})

t.test('a route may say what a conflict is told, and answer it itself', async (t) => {
  const told: Conflict[] = []
  const answers: Record<
    string,
    { route: Partial<ConcurrencyGuardRouteOptions>; status: number; body: unknown }
  > = {
    'its own words': {
      route: { message: 'Busy.', retryAfterMs: 1500 },
      status: 429,
      body: { success: false, message: 'Busy.', retry_after: 2 },
    },
    'a value': {
      route: {
        retryAfterMs: 0,
        onConflict: (_request, reply, conflict) => {
          told.push(conflict)
          reply.code(409)
          return { busy: true }
        },
      },
      status: 409,
      body: { busy: true },
    },
    'a promise': {
      route: { onConflict: async () => ({ busy: 'later' }) },
      status: 200,
      body: { busy: 'later' },
    },
    'its reply': {
      route: { onConflict: (_request, reply) => reply.code(423).send({ locked: true }) },
      status: 423,
      body: { locked: true },
    },
    'an error': {
      route: {
        onConflict: () => {
          throw Object.assign(new Error('busy'), { statusCode: 418 })
        },
      },
      status: 418,
      body: undefined,
    },
    'a promise of nothing': {
      route: { message: 'Busy.', onConflict: async () => undefined },
      status: 429,
      body: { success: false, message: 'Busy.', retry_after: 30 },
    },
    'nothing that is thrown': {
      route: {
        onConflict: () => {
          throw undefined
        },
      },
      status: 500,
      body: undefined,
    },
    'nothing, later': { route: { onConflict: () => Promise.reject() }, status: 500, body: undefined },
    'what cannot be sent': {
      route: { onConflict: async () => ({ count: 1n }) },
      status: 500,
      body: undefined,
    },
    'an error later': {
      route: { onConflict: () => Promise.reject(Object.assign(new Error('busy'), { statusCode: 418 })) },
      status: 418,
      body: undefined,
    },
  }
  for (const [name, { route, status, body }] of Object.entries(answers)) {
    const { post, gates, held } = await workingApp(t, { route })
    const first = post('a')
    await waitUntil(() => gates.length === 1)
    const refused = await post('a')
    t.equal(refused.status, status, name)
    if (body !== undefined) t.strictSame(await refused.json(), body, name)
    t.equal(held(), 1, name)
    t.equal(gates.length, 1, `${name}: no second handler runs`)
    gates[0]?.()
    await first
    t.equal(held(), 0, name)
  }
  t.match(told, [{ reason: 'held-here', retryAfterMs: 0, retryAfterSeconds: 1 }])
})

t.test('a person gets a page in place of the body of a conflict', async (t) => {
  const { base, gates, post } = await workingApp(t, {
    plugin: {
      page: ({ headers }, { statusCode, message, retryAfterSeconds }) =>
        headers.accept === 'text/html'
          ? {
              headers: { 'content-type': 'text/html' },
              body: `${statusCode} ${message} ${retryAfterSeconds}`,
            }
          : undefined,
    },
    route: { message: 'Busy.' },
  })
  const first = post('a')
  await waitUntil(() => gates.length === 1)
  const page = await fetch(`${base}/work/a`, { headers: { accept: 'text/html' } })
  t.equal(page.status, 429)
  t.equal(page.headers.get('content-type'), 'text/html')
  t.equal(page.headers.get('retry-after'), '30')
  t.equal(await page.text(), '429 Busy. 30')
  t.match(await (await post('a')).json(), { success: false })
  gates[0]?.()
  await first
})

t.test('a key function that throws nothing lets nobody in without a guard', async (t) => {
  const key = () => {
    throw undefined
  }
  const { post, gates } = await workingApp(t, { route: { key } })
  const answer = await post('a')
  t.equal(answer.status, 500)
  t.match(await answer.json(), { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_NOT_GUARDED' })
  t.equal(gates.length, 0)
})

t.test('routes with one key keep each other out, whatever they are called', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(concurrencyGuard)
  const gate = Promise.withResolvers<void>()
  const config = { concurrencyGuard: { key: () => 'bot' } }
  let started = 0
  for (const path of ['/start', '/stop']) {
    app.post(path, { config }, async () => {
      started += 1
      await gate.promise
      return path
    })
  }
  const start = app.inject({ method: 'POST', url: '/start' })
  await waitUntil(() => started === 1)
  t.equal((await app.inject({ method: 'POST', url: '/stop' })).statusCode, 429)
  gate.resolve()
  t.equal((await start).statusCode, 200)
  t.equal((await app.inject({ method: 'POST', url: '/stop' })).statusCode, 200)
})

t.test('the handler has its fence and its signal; a handler without a guard is told so', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const clock = new HandClock()
  const leases = new MemoryLeases(clock)
  await app.register(concurrencyGuard, { redis: leases.store(), clock })
  const config = { concurrencyGuard: { key: () => 'bot' } }
  app.get('/guarded', { config }, async (request) => {
    const { fence, degraded, signal } = request.concurrencyGuard
    return { fence, degraded, aborted: signal.aborted }
  })
  app.get('/bare', async (request) => request.concurrencyGuard)
  app.get('/off', { config: { concurrencyGuard: false } }, async (request) => request.concurrencyGuard)
  t.strictSame((await app.inject('/guarded')).json(), { fence: 1001, degraded: false, aborted: false })
  t.strictSame((await app.inject('/guarded')).json(), { fence: 1002, degraded: false, aborted: false })
  for (const path of ['/bare', '/off']) {
    t.match((await app.inject(path)).json(), { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_NOT_GUARDED' })
  }
})

t.test('a key of false lets a request pass beside the others, with a signal for its client', async (t) => {
  const seen: AbortSignal[] = []
  const gate = Promise.withResolvers<void>()
  const { post, leaving, guard, held } = await guardedApp(
    t,
    async (request) => {
      const context = request.concurrencyGuard
      t.match(context, { fence: undefined, degraded: false })
      t.equal(context.signal, context.signal)
      seen.push(context.signal)
      await gate.promise
      return 'done'
    },
    { route: { key: () => false } },
  )
  const client = leaving('a')
  const other = post('a')
  await waitUntil(() => seen.length === 2)
  t.equal(held(), 0)
  client.destroy()
  await waitUntil(() => seen.some(({ aborted }) => aborted))
  gate.resolve()
  t.equal((await other).status, 200)
  t.equal(seen.filter(({ aborted }) => aborted).length, 1)
  t.strictSame(guard.snapshot().begun, { fenced: 0, local: 0, degraded: 0 })
})

t.test('a key that cannot be used is an error of the server, and nothing runs', async (t) => {
  const keys: [() => unknown, string][] = [
    [() => undefined, 'HOLDFAST_ERR_CONCURRENCY_GUARD_KEY'],
    [() => ['user', ''], 'HOLDFAST_ERR_CONCURRENCY_GUARD_KEY'],
    [async () => 'a', 'HOLDFAST_ERR_CONCURRENCY_GUARD_KEY'],
    [() => Promise.reject(new Error('no')), 'HOLDFAST_ERR_CONCURRENCY_GUARD_KEY'],
    [
      () => {
        throw Object.assign(new Error('who are you'), { statusCode: 401, code: 'WHO' })
      },
      'WHO',
    ],
  ]
  let ran = 0
  for (const [key, code] of keys) {
    const { post, held } = await guardedApp(
      t,
      () => {
        ran += 1
        return 'done'
      },
      { route: { key: key as never } },
    )
    const answer = await post('a')
    t.equal(answer.status, code === 'WHO' ? 401 : 500)
    t.match(await answer.json(), { code })
    t.equal(held(), 0)
  }
  t.equal(ran, 0)
})

t.test('a refusal that is no conflict goes through the error handler, with Retry-After', async (t) => {
  const { post, gates } = await workingApp(t, { plugin: { maxOperations: 1 } })
  const first = post('a')
  await waitUntil(() => gates.length === 1)
  const full = await post('b')
  t.equal(full.status, 503)
  t.equal(full.headers.get('retry-after'), '1')
  t.match(await full.json(), { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_FULL' })
  gates[0]?.()
  await first
})

t.test(
  'who waits is served in order, and one who waits too long gets the answer of a conflict',
  async (t) => {
    const { post, gates, guard } = await workingApp(t, { route: { maxWaiting: 2, maxWaitMs: 60_000 } })
    const order: string[] = []
    const note = (name: string) => post('a').then(() => order.push(name))
    const all = [note('first')]
    await waitUntil(() => gates.length === 1)
    for (const [place, name] of ['second', 'third'].entries()) {
      all.push(note(name))
      await waitUntil(() => guard.snapshot().waiting === place + 1)
    }
    t.equal((await post('a')).status, 429)
    for (let place = 0; place < 3; place += 1) {
      await waitUntil(() => gates.length === place + 1)
      gates[place]?.()
      await waitUntil(() => order.length === place + 1)
    }
    t.strictSame(order, ['first', 'second', 'third'])
    await Promise.all(all)

    const impatient = await workingApp(t, { route: { maxWaiting: 1, maxWaitMs: 20 } })
    const first = impatient.post('a')
    await waitUntil(() => impatient.gates.length === 1)
    t.equal((await impatient.post('a')).status, 429)
    impatient.gates[0]?.()
    await first
  },
)

t.test('closing the app waits for what runs, and answers who waits', async (t) => {
  const { post, gates, app, guard } = await workingApp(t, {
    plugin: { closeTimeoutMs: 10_000, redis: new SlowStore(20) },
    route: { maxWaiting: 1 },
  })
  const first = post('a')
  await waitUntil(() => gates.length === 1)
  let closed = false
  // The connections stay open until they have been answered.
  const closing = guard.close().then(() => {
    closed = true
  })
  t.equal((await post('b')).status, 503)
  await sleep(5)
  t.equal(closed, false)
  gates[0]?.()
  t.equal((await first).status, 200)
  await closing
  t.equal(guard.snapshot().held, 0)
  await app.close()
})

t.test('a wrong option fails at register() and at the route, with what was received', async (t) => {
  const register = async (options: object) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(concurrencyGuard, options)
    return app
  }
  for (const [options, message] of [
    [{ leaseMs: 99 }, /"leaseMs" must be a whole number from 100 to 3600000, received 99/],
    [{ registry: {} }, /"registry" must be an object with registerMetric, getSingleMetric/],
    [{ registry: undefined, appName: '' }, /"appName" must be a text/],
    [{ leasems: 5000 }, /"leasems" must be left out/],
  ] as const) {
    await t.rejects(register(options), { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_OPTION', message })
  }
  const route = async (setting: object) => {
    const app: FastifyInstance = await register({})
    app.post('/a', { config: { concurrencyGuard: setting as never } }, () => 'done')
  }
  for (const [setting, message] of [
    [{}, /config.concurrencyGuard of POST \/a: key" must be a function, received undefined/],
    [{ key: 'a' }, /key" must be a function, received "a"/],
    [{ key: () => 'a', onConflict: 5 }, /onConflict" must be a function, received 5/],
    [
      { key: () => 'a', maxWaiting: 1001 },
      /maxWaiting" must be a whole number from 0 to 1000, received 1001/,
    ],
    [{ key: () => 'a', redis: {} }, /redis" must be left out/],
    [true, /config.concurrencyGuard of POST \/a" must be an object, received true/],
  ] as const) {
    await t.rejects(route(setting as object), { code: 'HOLDFAST_ERR_CONCURRENCY_GUARD_OPTION', message })
  }
})
