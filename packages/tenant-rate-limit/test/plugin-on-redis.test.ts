import { GuardedRedis } from '@holdfast/redis-guard'
import { startRedis, waitUntil } from '@holdfast/test-kit'
import Fastify from 'fastify'
import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { type TenantRateLimitPluginOptions, tenantRateLimit } from '../src/index.ts'
import { identities } from './limited-app.ts'

/** So many applications, as if in processes of their own, on one Redis. */
async function fleet(t: Test, count: number, options: TenantRateLimitPluginOptions) {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const redis = new GuardedRedis({ url: server.url, budgetMs: 5000 })
  t.teardown(() => redis.close())
  await redis.ready(10_000)
  const apps = await Promise.all(
    Array.from({ length: count }, async () => {
      const app = Fastify()
      t.teardown(() => app.close())
      await app.register(tenantRateLimit, { redis, ...identities, ...options })
      return app
    }),
  )
  return { server, redis, apps }
}

t.test('processes share their buckets, and each hook answers once', async (t) => {
  const { apps } = await fleet(t, 3, {
    policies: { public: '9/day', closed: '9/day' },
    groups: { bots: '5/day' },
  })
  const statuses: number[] = []
  for (const app of apps) {
    app.get(
      '/',
      { config: { tenantRateLimit: 'public' } },
      async (request) => request.tenantRateLimit?.source,
    )
    app.get('/bots', { config: { tenantRateLimit: { policy: 'closed', group: 'bots' } } }, async () => 'ok')
  }
  for (let time = 0; time < 4; time += 1) {
    for (const app of apps) {
      const { statusCode } = await app.inject({ url: '/', headers: { tenant: 'acme' } })
      statuses.push(statusCode)
    }
  }
  t.strictSame(statuses, [...Array(9).fill(200), ...Array(3).fill(429)])
  const bots = await Promise.all(
    apps.flatMap((app) => [1, 2, 3].map(() => app.inject({ url: '/bots', headers: { tenant: 'acme' } }))),
  )
  t.strictSame(bots.map(({ statusCode }) => statusCode).sort(), [
    ...Array(5).fill(200),
    ...Array(4).fill(429),
  ])
  const [first] = apps
  const answer = await first?.inject({ url: '/bots', headers: { tenant: 'globex' } })
  t.match(answer?.json(), { 'violated-policies': ['group/bots'] })
})

t.test('what is given back is there for every process', async (t) => {
  const { apps } = await fleet(t, 2, { policies: { login: '1/day' } })
  for (const app of apps) {
    const config = { tenantRateLimit: { policy: 'login', count: 'failures' } } as const
    app.get('/', { config }, async (request, reply) => reply.code(Number(request.headers['answer'])).send())
  }
  const [first, second] = apps
  const ask = async (app: typeof first, answer: string) =>
    (await app?.inject({ url: '/', headers: { answer } }))?.statusCode
  t.equal(await ask(first, '200'), 200)
  const limit = second?.tenantRateLimit.limit('login')
  // Nobody waits for what is given back: it takes as long as a message does.
  await waitUntil(async () => (await limit?.peek({ headers: {} } as never))?.allowed === true)
  t.equal(await ask(second, '401'), 401)
  t.equal(await ask(first, '200'), 429)
})

t.test('without Redis each policy does as it says, and answers promise nothing', async (t) => {
  const { server, redis, apps } = await fleet(t, 1, {
    policies: {
      local: '1000/day',
      open: { limit: '1/day', onStoreLoss: 'open' },
      closed: { limit: '1000/day', onStoreLoss: 'closed' },
    },
  })
  const [app] = apps
  if (app === undefined) throw new Error('no application')
  for (const name of ['local', 'open', 'closed']) {
    app.get(`/${name}`, { config: { tenantRateLimit: name } }, async () => 'ok')
  }
  t.ok((await app.inject('/local')).headers['ratelimit'])
  server.blackhole()
  await waitUntil(() => !redis.available)
  const local = await app.inject('/local')
  t.match(local, { statusCode: 200, headers: { 'ratelimit-policy': '"local";q=1000;w=86400' } })
  t.notOk(local.headers['ratelimit'])
  t.notOk(local.headers['x-ratelimit-remaining'])
  for (const _ of [1, 2, 3]) t.equal((await app.inject('/open')).statusCode, 200)
  const closed = await app.inject('/closed')
  t.match(closed, { statusCode: 503, headers: { 'content-type': /problem/, 'retry-after': '5' } })
  t.match(closed.json(), { error: 'service_unavailable', 'violated-policies': ['closed'] })
  t.match(app.tenantRateLimit.snapshot().limiter, { storeAvailable: false })
})

t.test('an error on the way to Redis is decided by the fallback', async (t) => {
  const redis = {
    available: true,
    key: (...parts: string[]) => parts.join(':'),
    run: () => Promise.reject(new Error('no script')),
    onStateChange: () => () => {},
  }
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(tenantRateLimit, { policies: { public: '1/day' }, redis: redis as never })
  app.get('/', { config: { tenantRateLimit: 'public' } }, async () => 'ok')
  t.equal((await app.inject('/')).statusCode, 200)
  t.match(app.tenantRateLimit.snapshot().limiter, { storeFailures: 1 })
})

t.test('what a function throws after the answer of Redis is an error of the request', async (t) => {
  const { apps } = await fleet(t, 1, { policies: { public: '1/day' } })
  const [app] = apps
  if (app === undefined) throw new Error('no application')
  const onLimit = () => {
    throw new Error('broken')
  }
  app.get('/', { config: { tenantRateLimit: { policy: 'public', onLimit } } }, async () => 'ok')
  t.equal((await app.inject('/')).statusCode, 200)
  t.match((await app.inject('/')).json(), { message: 'broken' })
  t.match((await app.inject('/')).json(), { message: 'broken' }, 'refused locally: the same')
})

t.test('a scrape shows leases, processes and what Redis was told', async (t) => {
  const registry = new Registry()
  const { apps } = await fleet(t, 1, {
    policies: { public: '100000/s' },
    leases: { minPerSecond: 0, share: 1 },
    registry,
  })
  const [app] = apps
  if (app === undefined) throw new Error('no application')
  app.get('/', { config: { tenantRateLimit: 'public' } }, async (request) => request.tenantRateLimit?.source)
  await waitUntil(async () => (await app.inject('/')).body === 'lease')
  const text = await registry.metrics()
  for (const line of [
    /^holdfast_tenant_rate_limit_lease_units_total\{state="lent"\} [1-9]/m,
    /^holdfast_tenant_rate_limit_lease_units_total\{state="spent"\} [1-9]/m,
    /^holdfast_tenant_rate_limit_lease_requests_total\{outcome="granted"\} [1-9]/m,
    /^holdfast_tenant_rate_limit_reconciled_total\{outcome="told"\} 0$/m,
    /^holdfast_tenant_rate_limit_processes 1$/m,
    /^holdfast_tenant_rate_limit_leases [01]$/m,
    /^holdfast_tenant_rate_limit_decisions_total\{source="lease"\} [1-9]/m,
  ]) {
    t.match(text, line)
  }
})
