import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { startPostgres, waitUntil } from '@holdfast/test-kit'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { Registry } from 'prom-client'
import t from 'tap'
import plugin, {
  currentScope,
  type FallbackContext,
  type PoolGuardPluginOptions,
  poolGuard,
} from '../src/index.ts'

const postgres = await startPostgres()
t.teardown(() => postgres.stop())

async function appWith(options: PoolGuardPluginOptions = {}, server: FastifyServerOptions = {}) {
  const app = Fastify(server)
  t.teardown(() => app.close())
  // What a busy machine needs for a moment is no pressure, and a cancelled statement ends when it can.
  const patient = { cancelTimeoutMs: 10_000, pressure: { sustainMs: 60_000 } }
  await app.register(poolGuard, { connectionString: postgres.url, ...patient, ...options })
  return app
}

/** Holds every slot that work which is not critical may have. */
function fill(app: FastifyInstance, count = 17) {
  return Promise.all(Array.from({ length: count }, () => app.poolGuard.acquire()))
}

t.test('the default export is the named one, and a second registration is refused', async (t) => {
  t.equal(plugin, poolGuard)
  const app = await appWith()
  await t.rejects(async () => app.register(poolGuard), {
    code: 'HOLDFAST_ERR_POOL_GUARD_ALREADY_REGISTERED',
    statusCode: 500,
  })
})

t.test('a wrong option fails at register(), and a wrong route setting when the route is added', async (t) => {
  for (const wrong of [{ max: 0 }, { maxi: 5 }, { tenant: 'acme' }, { registry: {} }]) {
    const app = Fastify()
    t.teardown(() => app.close())
    await t.rejects(async () => app.register(poolGuard, wrong as never), {
      code: 'HOLDFAST_ERR_POOL_GUARD_OPTION',
    })
  }
  const app = await appWith()
  const cases: readonly [method: string, config: object, message: RegExp][] = [
    ['GET', { criticality: 'high' }, /config.poolGuard of GET \/1: criticality" must be 'critical' or/],
    ['GET', { critical: true }, /config.poolGuard of GET \/2: critical" must be left out/],
    ['POST', { fallback: () => 1 }, /fallback" must be left out: it is for GET and HEAD/],
    ['GET', { criticality: 'critical', fallback: () => 1 }, /fallback" must be left out/],
    ['GET', { onSaturated: 'fallback' }, /onSaturated" must be 'wait' without a fallback/],
    ['GET', { budgetMs: 0 }, /budgetMs" must be milliseconds from 1/],
    ['GET', 5 as never, /must be an object, received 5/],
  ]
  for (const [index, [method, setting, message]] of cases.entries()) {
    t.throws(
      () =>
        app.route({
          method,
          url: `/${index + 1}`,
          config: { poolGuard: setting as never },
          handler: async () => 1,
        }),
      { code: 'HOLDFAST_ERR_POOL_GUARD_OPTION', message },
    )
  }
})

t.test(
  'work inside a request carries the criticality, tenant, route and deadline of its route',
  async (t) => {
    const app = await appWith({ tenant: (request) => request.headers['x-tenant']?.toString() })
    const seen: unknown[] = []
    const note = async () => {
      await app.poolGuard.query('select 1')
      const { criticality, tenant, route, deadlineMs } = currentScope() ?? {}
      seen.push({
        criticality,
        tenant,
        route,
        leftMs: Math.round((deadlineMs ?? 0) - app.poolGuard.clock.nowMs()) > 0,
      })
      return 'ok'
    }
    app.get('/read', { config: { poolGuard: { budgetMs: 5000 } } }, note)
    app.post('/write', { config: { poolGuard: { criticality: 'critical' } }, handlerTimeout: 5000 }, note)
    app.get('/off', { config: { poolGuard: false } }, note)
    app.get('/plain', note)
    const headers = { 'x-tenant': 'acme' }
    await app.inject({ url: '/read', headers })
    await app.inject({ method: 'POST', url: '/write', headers, payload: { a: 1 } })
    await app.inject('/off')
    await app.inject('/plain')
    const nothing = { criticality: undefined, tenant: undefined, route: undefined, leftMs: false }
    t.same(seen, [
      { criticality: 'normal', tenant: 'acme', route: 'GET /read', leftMs: true },
      { criticality: 'critical', tenant: 'acme', route: 'POST /write', leftMs: true },
      nothing,
      nothing,
    ])
    t.match(app.poolGuard.snapshot().counts.granted, { critical: 1, normal: 3 })
  },
)

t.test('the handlerTimeout of the server is a deadline, too', async (t) => {
  const app = await appWith({}, { handlerTimeout: 4000 })
  app.get('/', { config: { poolGuard: {} } }, async () => {
    const leftMs = (currentScope()?.deadlineMs ?? 0) - app.poolGuard.clock.nowMs()
    return { ok: leftMs > 0 && leftMs <= 4000 }
  })
  t.same((await app.inject('/')).json(), { ok: true })
})

for (const method of ['GET', 'POST'] as const) {
  t.test(`${method}: a client that leaves ends its statement; one that stays is not disturbed`, async (t) => {
    const app = await appWith()
    const ends: string[] = []
    app.route({
      method,
      url: '/',
      config: { poolGuard: { criticality: 'critical' } },
      handler: async (request) => {
        const { seconds } = request.query as { seconds: string }
        const code = await app.poolGuard.query('select pg_sleep($1)', [Number(seconds)]).then(
          () => 'done',
          (error: { code: string }) => error.code,
        )
        ends.push(code)
        return { code }
      },
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const address = app.server.address() as AddressInfo
    const send = (seconds: number) => {
      const options = { port: address.port, host: '127.0.0.1', method, path: `/?seconds=${seconds}` }
      const sent = request({ ...options, headers: { 'content-type': 'application/json' } })
      sent.on('error', () => {})
      sent.end(method === 'POST' ? '{"a":1}' : undefined)
      return sent
    }
    const [answer] = await once(send(0.1), 'response')
    answer.resume()
    await once(answer, 'end')
    t.same(ends, ['done'], 'the body has been read, and the statement went on')
    const leaving = send(20)
    await waitUntil(() => app.poolGuard.snapshot().inUse === 1)
    leaving.destroy()
    await waitUntil(() => ends.length === 2)
    t.equal(ends[1], 'HOLDFAST_ERR_POOL_GUARD_ABORTED')
    await waitUntil(() => app.poolGuard.snapshot().inUse === 0)
  })
}

t.test(
  'a read falls back, with a warning, when the pool has no place; a critical write passes',
  async (t) => {
    const app = await appWith()
    const contexts: FallbackContext[] = []
    let runs = 0
    app.get(
      '/history',
      {
        config: {
          poolGuard: {
            fallback: async (_request, _reply, context) => {
              contexts.push(context)
              return { cached: true }
            },
          },
        },
      },
      async () => {
        runs += 1
        const { rows } = await app.poolGuard.query('select 1 as one')
        return rows[0]
      },
    )
    app.post('/events', { config: { poolGuard: { criticality: 'critical' } } }, async () => {
      await app.poolGuard.query('select 1')
      return 'stored'
    })
    const fresh = await app.inject('/history')
    t.same(fresh.json(), { one: 1 })
    t.equal(fresh.headers.warning, undefined)
    const held = await fill(app)
    const waited = await app.inject('/history')
    t.equal(waited.statusCode, 200)
    t.same(waited.json(), { cached: true })
    t.equal(waited.headers.warning, '110 - "Response is Stale"')
    t.equal(runs, 2, 'it tried, and waited its 40 ms')
    t.match(contexts[0], { error: { code: 'HOLDFAST_ERR_POOL_GUARD_ACQUIRE_TIMEOUT' } })
    t.equal((await app.inject({ method: 'POST', url: '/events', payload: {} })).body, 'stored')
    for (const client of held) client.release()

    const end = app.poolGuard.breaker?.isolate('maintenance')
    const open = await app.inject('/history')
    t.same(open.json(), { cached: true })
    t.match(contexts[1], { reason: 'open', error: undefined, retryAfterMs: 1000 })
    t.equal(runs, 2, 'nothing was tried')
    const write = await app.inject({ method: 'POST', url: '/events', payload: {} })
    t.match(write.json(), { statusCode: 503, code: 'HOLDFAST_ERR_POOL_GUARD_OPEN' })
    end?.()
  },
)

t.test('a route that can do without never tries a saturated pool', async (t) => {
  const app = await appWith()
  let runs = 0
  const config = { poolGuard: { onSaturated: 'fallback', fallback: () => 'default' } } as const
  app.get('/public', { config }, async () => {
    runs += 1
    return 'from the database'
  })
  t.equal((await app.inject('/public')).body, 'from the database')
  const held = await fill(app)
  t.equal((await app.inject('/public')).body, 'default')
  t.equal(runs, 1)
  for (const client of held) client.release()
})

t.test(
  'a fallback is for trouble with the database, not for mistakes, and keeps a warning of its own',
  async (t) => {
    const app = await appWith()
    const ask = (url: string, handler: () => Promise<unknown>) => {
      const fallback = (_request: unknown, reply: { header(name: string, value: string): unknown }) => {
        reply.header('warning', '110 cache "stale since noon"')
        return 'old'
      }
      app.get(url, { config: { poolGuard: { fallback } } }, handler)
      return () => app.inject(url)
    }
    const mistake = ask('/mistake', () => app.poolGuard.query('select nonsense'))
    const bug = ask('/bug', async () => Promise.reject(new Error('bug')))
    const slow = ask('/slow', () => app.poolGuard.query('select pg_sleep(5)', [], { timeoutMs: 50 }))
    t.equal((await mistake()).statusCode, 500)
    t.equal((await bug()).statusCode, 500)
    const answer = await slow()
    t.equal(answer.body, 'old')
    t.equal(answer.headers.warning, '110 cache "stale since noon"')
  },
)

t.test('a handler that answers later by reply.send() keeps its answer, fallback or not', async (t) => {
  const app = await appWith()
  const config = { poolGuard: { fallback: () => 'old' } }
  app.get('/later', { config }, (_request, reply) => {
    setImmediate(() => reply.send('sent later'))
  })
  app.get('/returned', { config }, (_request, reply) => reply.send('sent and returned'))
  app.get('/hijacked', { config }, (_request, reply) => {
    reply.hijack()
    setImmediate(() => reply.raw.end('hijacked'))
  })
  app.get('/streamed', { config }, async () =>
    Readable.from(
      (async function* () {
        for (const part of ['a', 'b']) {
          const { rows } = await app.poolGuard.query('select $1 as part', [part])
          yield rows[0]?.['part']
        }
      })(),
    ),
  )
  for (const [url, body] of [
    ['/later', 'sent later'],
    ['/returned', 'sent and returned'],
    ['/hijacked', 'hijacked'],
    ['/streamed', 'ab'],
  ] as const) {
    const answer = await app.inject(url)
    t.equal(answer.body, body, url)
    t.equal(answer.headers.warning, undefined)
  }
})

t.test('a fallback that sends by itself has the warning, one that fails has not', async (t) => {
  const app = await appWith()
  const end = app.poolGuard.breaker?.isolate('maintenance')
  app.get(
    '/sends',
    { config: { poolGuard: { fallback: (_request, reply) => reply.send('sent') } } },
    async () => 'fresh',
  )
  const fails = () => {
    throw new Error('nothing cached')
  }
  app.get('/fails', { config: { poolGuard: { fallback: fails } } }, async () => 'fresh')
  const sent = await app.inject('/sends')
  t.equal(sent.body, 'sent')
  t.equal(sent.headers.warning, '110 - "Response is Stale"')
  const failed = await app.inject('/fails')
  t.match(failed.json(), { statusCode: 500, message: 'nothing cached' })
  t.equal(failed.headers.warning, undefined)
  const head = await app.inject({ method: 'HEAD', url: '/sends' })
  t.equal(head.headers.warning, '110 - "Response is Stale"', 'HEAD is guarded as its GET')
  end?.()
})

t.test('what fails in a handler and is not the database of this pool does not fall back', async (t) => {
  const app = await appWith()
  app.get('/', { config: { poolGuard: { fallback: () => 'old' } } }, async () => {
    throw Object.assign(new Error('another service is down'), { code: 'ECONNREFUSED' })
  })
  t.equal((await app.inject('/')).statusCode, 500)
})

t.test('a budget is never longer than the handlerTimeout', async (t) => {
  const app = await appWith()
  app.get('/', { config: { poolGuard: { budgetMs: 9000 } }, handlerTimeout: 4000 }, async () => {
    const leftMs = (currentScope()?.deadlineMs ?? 0) - app.poolGuard.clock.nowMs()
    return { ok: leftMs > 0 && leftMs <= 4000 }
  })
  t.same((await app.inject('/')).json(), { ok: true })
})

t.test('over HTTP/2 what goes on after the answer is not cancelled by it', async (t) => {
  const app = Fastify({ http2: true })
  t.teardown(() => app.close())
  await app.register(poolGuard, { connectionString: postgres.url })
  const ends: string[] = []
  app.get('/', { config: { poolGuard: {} } }, async (_request, reply) => {
    const { signal } = currentScope() ?? {}
    reply.raw.once('close', () => ends.push(signal?.aborted === false ? 'goes on' : 'cancelled'))
    return 'answered'
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const session = connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  const stream = session.request({ ':path': '/' })
  stream.resume()
  await once(stream, 'close')
  session.close()
  await waitUntil(() => ends.length === 1)
  t.same(ends, ['goes on'])
})

t.test('the scope of one request never shows in another', async (t) => {
  const app = await appWith({ max: 4, tenant: (request) => request.headers['x-tenant']?.toString() })
  app.get('/', { config: { poolGuard: { criticality: 'critical' } } }, async () => {
    const before = currentScope()?.tenant
    await app.poolGuard.query('select 1')
    await new Promise((resolve) => setImmediate(resolve))
    return { before, after: currentScope()?.tenant }
  })
  app.get('/plain', async () => {
    await app.poolGuard.query('select 1', [], { criticality: 'critical' })
    return { scope: currentScope() ?? 'none' }
  })
  await Promise.all(
    Array.from({ length: 30 }, async (_, number) => {
      const tenant = `t${number}`
      const answer = await app.inject({ url: '/', headers: { 'x-tenant': tenant } })
      t.same(answer.json(), { before: tenant, after: tenant })
      t.same((await app.inject('/plain')).json(), { scope: 'none' })
    }),
  )
  t.equal(currentScope(), undefined)
})

t.test('adds its check to app.health, one for every pool', async (t) => {
  const checks = new Map<string, { check: (context: { signal: AbortSignal }) => Promise<unknown> }>()
  const app = Fastify()
  t.teardown(() => app.close())
  app.decorate('health', { addCheck: (name: string, options: never) => checks.set(name, options) } as never)
  await app.register(poolGuard, { connectionString: postgres.url })
  const other = Fastify()
  t.teardown(() => other.close())
  other.decorate('health', { addCheck: (name: string, options: never) => checks.set(name, options) } as never)
  await other.register(poolGuard, { connectionString: postgres.url, name: 'reports', max: 2 })
  t.same([...checks.keys()], ['database', 'database-reports'])
  t.match(checks.get('database'), { intervalMs: 2000, degradedAboveMs: 100 })
  const answer = await checks.get('database')?.check({ signal: new AbortController().signal })
  t.match(answer, { status: 'healthy', data: { max: 20, breaker: 'closed', pressure: 'normal' } })
})

t.test('pools in scopes beside each other share a registry, until one is closed', async (t) => {
  const registry = new Registry()
  const app = Fastify()
  t.teardown(() => app.close())
  for (const name of ['main', 'reports']) {
    await app.register(async (scope) => {
      await scope.register(poolGuard, { connectionString: postgres.url, name, registry })
    })
  }
  const other = await appWith({ name: 'other', registry })
  const shown = async () =>
    [...(await registry.metrics()).matchAll(/^db_active_connections\{.*pool="(\w+)"\} 0$/gm)].map(
      ([, pool]) => pool,
    )
  t.same(await shown(), ['main', 'reports', 'other'])
  await t.rejects(appWith({ name: 'reports', registry }), {
    code: 'HOLDFAST_ERR_POOL_GUARD_OPTION',
    message: /option "name" must be another one/,
  })
  await other.close()
  t.same(await shown(), ['main', 'reports'])
})

t.test('a scrape shows the pool', async (t) => {
  const registry = new Registry()
  // However long the scrape takes on a busy machine, it is no pressure yet.
  const app = await appWith({ registry, pressure: { sustainMs: 60_000 } })
  const held = await fill(app)
  // Five wait in vain, and one finds no place to wait.
  await Promise.allSettled(Array.from({ length: 6 }, () => app.poolGuard.acquire()))
  await registry.metrics()
  const text = await registry.metrics()
  const labels = 'process_type="web",pool="main"'
  for (const line of [
    `db_pool_usage_percent{${labels}} 85`,
    `db_pool_usage_ratio{${labels}} 0.85`,
    `db_pool_waiting_connections{${labels}} 0`,
    `db_active_connections{${labels}} 17`,
    `holdfast_pool_guard_idle_connections{${labels}} 0`,
    `holdfast_pool_guard_saturated{${labels}} 1`,
    `holdfast_pool_guard_pressure{${labels}} 0`,
    `holdfast_pool_guard_open{${labels}} 0`,
    `holdfast_pool_guard_pooler_waiting{${labels}} 0`,
    `holdfast_pool_guard_leaks_total{${labels}} 0`,
    `holdfast_pool_guard_reclaimed_total{${labels}} 0`,
    `holdfast_pool_guard_dirty_releases_total{${labels}} 0`,
    `holdfast_pool_guard_opened_total{${labels}} 17`,
    `holdfast_pool_guard_connect_failures_total{${labels}} 0`,
    `holdfast_pool_guard_lost_total{${labels}} 0`,
    `holdfast_pool_guard_pressure_transitions_total{${labels}} 0`,
    `holdfast_pool_guard_cancels_total{${labels},result="cancelled"} 0`,
    `holdfast_pool_guard_granted_total{${labels},criticality="normal"} 17`,
    `holdfast_pool_guard_shed_total{${labels},criticality="normal",reason="queue_full"} 1`,
    `holdfast_pool_guard_shed_total{${labels},criticality="normal",reason="timeout"} 5`,
    `holdfast_pool_guard_acquire_wait_seconds_bucket{le="+Inf",${labels},criticality="normal"} 17`,
    `holdfast_pool_guard_acquire_wait_seconds_count{${labels},criticality="normal"} 17`,
  ]) {
    t.ok(text.includes(`${line}\n`), line)
  }
  for (const client of held) client.release()
})
