import Fastify from 'fastify'
import t from 'tap'
import { tenantRateLimit } from '../src/index.ts'
import { limitedApp } from './limited-app.ts'

t.test('each tenant has a bucket of its own, which is refilled as time passes', async (t) => {
  const { app, clock, statuses } = await limitedApp(t, { policies: { public: '2/minute' } })
  app.get('/', { config: { tenantRateLimit: 'public' } }, async () => 'ok')
  t.strictSame(await statuses(3, '/', { tenant: 'acme' }), [200, 200, 429])
  t.strictSame(await statuses(3, '/', { tenant: 'globex' }), [200, 200, 429])
  t.strictSame(await statuses(3, '/'), [200, 200, 429], 'no tenant is a tenant, too')
  await clock.advance(30_000)
  t.strictSame(await statuses(2, '/', { tenant: 'acme' }), [200, 429])
})

t.test('a refusal says what is violated, when to come back, and reaches no later hook', async (t) => {
  const { app } = await limitedApp(t, { policies: { public: '1/minute' }, headers: ['draft'] })
  let handled = 0
  app.post('/', { config: { tenantRateLimit: 'public' } }, async () => {
    handled += 1
  })
  await app.inject({ method: 'POST', url: '/', body: { a: 1 } })
  const refused = await app.inject({ method: 'POST', url: '/', body: { a: 1 } })
  t.equal(refused.statusCode, 429)
  t.match(refused.headers, {
    'content-type': 'application/problem+json; charset=utf-8',
    'cache-control': 'no-store',
    'retry-after': '60',
    ratelimit: '"public";r=0;t=60',
    'ratelimit-policy': '"public";q=1;w=60',
  })
  t.match(refused.json(), { error: 'too_many_requests', retry_after: 60, 'violated-policies': ['public'] })
  t.equal(handled, 1)
})

t.test(
  'several policies are all or nothing: who is refused by one takes nothing of the others',
  async (t) => {
    const { app, clock } = await limitedApp(t, { policies: { tenant: '10/minute', user: '1/minute' } })
    const policy = ['tenant', { policy: 'user', by: 'user' }] as const
    app.get('/', { config: { tenantRateLimit: { policy } } }, async (request) => request.tenantRateLimit)
    const ask = (user: string) => app.inject({ url: '/', headers: { tenant: 'acme', user } })
    t.equal((await ask('ann')).headers['x-ratelimit-remaining'], '0')
    for (let time = 0; time < 20; time += 1) {
      t.match((await ask('ann')).json(), { 'violated-policies': ['user'] })
    }
    const ben = await ask('ben')
    t.equal(ben.headers['ratelimit'], '"tenant";r=8;t=48, "user";r=0;t=60')
    t.match(ben.json(), { allowed: true, source: 'memory', degraded: false })
    await clock.advance(60_000)
    t.equal((await ask('ann')).statusCode, 200)
  },
)

t.test('routes that name a group share its ceiling, whatever else they keep to', async (t) => {
  const { app, statuses } = await limitedApp(t, {
    policies: { start: '10/minute', stop: '10/minute' },
    groups: { bots: '3/minute' },
  })
  app.get('/start', { config: { tenantRateLimit: { policy: 'start', group: 'bots' } } }, async () => 'ok')
  app.get('/stop', { config: { tenantRateLimit: { policy: 'stop', group: 'bots' } } }, async () => 'ok')
  app.get('/status', { config: { tenantRateLimit: { group: 'bots' } } }, async () => 'ok')
  t.strictSame(await statuses(1, '/start', { tenant: 'acme' }), [200])
  t.strictSame(await statuses(1, '/stop', { tenant: 'globex' }), [200])
  t.strictSame(await statuses(2, '/status'), [200, 429])
  const refused = await app.inject({ url: '/start', headers: { tenant: 'acme' } })
  t.strictSame(refused.json()['violated-policies'], ['group/bots'])
})

t.test('users are told apart within their tenant; who is not signed in is counted by address', async (t) => {
  const { app, statuses } = await limitedApp(
    t,
    { policies: { start: '1/minute' } },
    { server: { trustProxy: true } },
  )
  app.get('/', { config: { tenantRateLimit: { policy: 'start', by: 'user' } } }, async () => 'ok')
  t.strictSame(await statuses(2, '/', { tenant: 'acme', user: '7' }), [200, 429])
  t.strictSame(await statuses(1, '/', { tenant: 'globex', user: '7' }), [200])
  t.strictSame(await statuses(2, '/', { tenant: 'acme', 'x-forwarded-for': '192.0.2.1' }), [200, 429])
  t.strictSame(await statuses(1, '/', { tenant: 'acme', 'x-forwarded-for': '192.0.2.2' }), [200])
  t.strictSame(
    await statuses(1, '/', { tenant: 'acme', user: '192.0.2.1' }),
    [200],
    'a user may be named like that',
  )
})

t.test('an address is one client in whatever notation, and an IPv6 network of 64 bits is one', async (t) => {
  const { app, statuses } = await limitedApp(
    t,
    { policies: { public: '1/minute' } },
    { server: { trustProxy: true } },
  )
  app.get('/', { config: { tenantRateLimit: { policy: 'public', by: 'address' } } }, async () => 'ok')
  const from = (address: string) => statuses(1, '/', { 'x-forwarded-for': address })
  t.strictSame(await from('192.0.2.1'), [200])
  t.strictSame(await from('::ffff:192.0.2.1'), [429])
  t.strictSame(await from('2001:db8:1:2::1'), [200])
  t.strictSame(await from('2001:db8:1:2:ffff::2'), [429])
  t.strictSame(await from('2001:db8:1:3::1'), [200])
  t.strictSame(await from('not an address'), [200])
  t.strictSame(await from('neither'), [429], 'what cannot be read is one client')
})

t.test('a wider network can be one client', async (t) => {
  const { app, statuses } = await limitedApp(
    t,
    { policies: { public: '1/minute' }, ipv6PrefixBits: 48 },
    { server: { trustProxy: true } },
  )
  app.get('/', { config: { tenantRateLimit: { policy: 'public', by: 'address' } } }, async () => 'ok')
  t.strictSame(await statuses(1, '/', { 'x-forwarded-for': '2001:db8:1:2::1' }), [200])
  t.strictSame(await statuses(1, '/', { 'x-forwarded-for': '2001:db8:1:3::1' }), [429])
})

t.test('a key of a function is no user, and no way into the bucket of another tenant', async (t) => {
  const { app, statuses } = await limitedApp(t, { policies: { public: '1/minute' } })
  const by = ({ headers }: { headers: Record<string, unknown> }) => headers['key'] as string
  app.get('/key', { config: { tenantRateLimit: { policy: 'public', by } } }, async () => 'ok')
  app.get('/user', { config: { tenantRateLimit: { policy: 'public', by: 'user' } } }, async () => 'ok')
  t.strictSame(await statuses(2, '/key', { tenant: 'acme', key: 'x' }), [200, 429])
  t.strictSame(await statuses(1, '/user', { tenant: 'acme', user: 'x' }), [200])
  t.strictSame(await statuses(1, '/key', { tenant: 'acm', key: 'ek:x' }), [200])
  t.strictSame(await statuses(1, '/key', { tenant: 'acme' }), [200], 'no key: by address')
  t.strictSame(await statuses(1, '/key', { tenant: 'acme', key: 'x'.repeat(5000) }), [200])
  t.strictSame(await statuses(1, '/key', { tenant: 'acme', key: 'x'.repeat(5000) }), [429])
})

t.test('a cost may depend on the request; 0 looks only', async (t) => {
  const { app } = await limitedApp(t, { policies: { public: '10/minute' } })
  const cost = ({ headers }: { headers: Record<string, unknown> }) => Number(headers['cost'])
  app.get('/', { config: { tenantRateLimit: { policy: 'public', cost } } }, async () => 'ok')
  const ask = (units: number) => app.inject({ url: '/', headers: { cost: String(units) } })
  t.equal((await ask(7)).headers['x-ratelimit-remaining'], '3')
  t.match(await ask(4), { statusCode: 429, headers: { 'x-ratelimit-remaining': '3', 'retry-after': '6' } })
  t.equal((await ask(0)).headers['x-ratelimit-remaining'], '3')
  t.match(await ask(11), { statusCode: 429, headers: { 'retry-after': undefined } }, 'never')
  t.match((await ask(0.5)).json(), { code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_COST' })
})

t.test('paths that do not exist are limited, whoever answers them', async (t) => {
  const { app, statuses } = await limitedApp(t, {
    policies: { public: '100/minute', scan: '2/minute' },
    defaultRoute: 'public',
    notFound: { policy: 'scan', by: 'address' },
  })
  app.get('/', async () => 'ok')
  await app.register(
    async (scope) => {
      scope.setNotFoundHandler((_request, reply) => reply.code(404).send('nothing'))
    },
    { prefix: '/scope' },
  )
  t.strictSame(await statuses(1, '/a'), [404])
  t.strictSame(await statuses(2, '/scope/b'), [404, 429])
  t.equal(
    (await app.inject({ method: 'DELETE', url: '/' })).statusCode,
    429,
    'a method that is not there, too',
  )
  t.strictSame(await statuses(1, '/'), [200])
})

t.test('they are decided in the phase of their setting, when who asks is known', async (t) => {
  const { app } = await limitedApp(t, {
    policies: { public: '1/minute' },
    defaultRoute: {
      policy: 'public',
      phase: 'preHandler',
      by: (request) => (request.body as { user: string }).user,
    },
  })
  const ask = async (user: string) =>
    (await app.inject({ method: 'POST', url: '/nothing', body: { user } })).statusCode
  t.strictSame([await ask('ann'), await ask('ann'), await ask('ben')], [404, 429, 404])
})

t.test('without a setting of their own they keep to that of all routes, or to none', async (t) => {
  const all = await limitedApp(t, { policies: { public: '1/minute' }, defaultRoute: 'public' })
  t.strictSame(await all.statuses(2, '/nothing'), [404, 429])
  const none = await limitedApp(t, {
    policies: { public: '1/minute' },
    defaultRoute: 'public',
    notFound: false,
  })
  t.strictSame(await none.statuses(2, '/nothing'), [404, 404])
})

t.test(
  'a route may keep to something else than all others, or to nothing; probes keep to nothing',
  async (t) => {
    const { app, statuses } = await limitedApp(t, {
      policies: { public: '1/minute', more: '2/minute' },
      defaultRoute: 'public',
    })
    app.get('/usual', async () => 'ok')
    app.get('/more', { config: { tenantRateLimit: 'more' } }, async () => 'ok')
    app.get('/free', { config: { tenantRateLimit: false } }, async () => 'ok')
    app.get('/livez', { config: { health: 'probe' } as object }, async () => 'ok')
    t.strictSame(await statuses(2, '/usual'), [200, 429])
    t.strictSame(await statuses(3, '/more'), [200, 200, 429])
    t.strictSame(await statuses(3, '/free'), [200, 200, 200])
    t.strictSame(await statuses(3, '/livez'), [200, 200, 200])
    t.notOk((await app.inject('/free')).headers['ratelimit'])
  },
)

t.test('HEAD draws on the bucket of GET, once, and a refusal of it has no body', async (t) => {
  const { app } = await limitedApp(t, { policies: { public: '3/minute' } })
  const seen: string[] = []
  app.get(
    '/',
    { config: { tenantRateLimit: 'public' }, onRequest: async () => void seen.push('hook') },
    async () => 'ok',
  )
  const head = () => app.inject({ method: 'HEAD', url: '/' })
  t.equal((await head()).headers['x-ratelimit-remaining'], '2')
  t.equal((await app.inject('/')).headers['x-ratelimit-remaining'], '1')
  t.equal((await head()).headers['x-ratelimit-remaining'], '0')
  t.match(await head(), { statusCode: 429, body: '' })
  t.strictSame(seen, ['hook', 'hook', 'hook'])
})

t.test('verified roles and listed networks are exempt, and are not counted', async (t) => {
  const { app, statuses } = await limitedApp(
    t,
    {
      policies: { public: '1/minute' },
      defaultRoute: { policy: 'public', by: 'address' },
      exempt: ({ headers }) => headers['role'] === 'admin',
      exemptAddresses: ['192.0.2.0/24', '2001:db8::/32'],
    },
    { server: { trustProxy: true } },
  )
  app.get('/', async (request) => request.tenantRateLimit ?? 'exempt')
  const from = (address: string, count: number) => statuses(count, '/', { 'x-forwarded-for': address })
  t.strictSame(await from('192.0.2.77', 3), [200, 200, 200])
  t.strictSame(await from('::ffff:192.0.2.77', 2), [200, 200])
  t.strictSame(await from('2001:db8::1', 2), [200, 200])
  t.strictSame(await from('192.0.3.1', 2), [200, 429])
  const admin = await app.inject({ url: '/', headers: { role: 'admin', 'x-forwarded-for': '192.0.3.1' } })
  t.match(admin, { statusCode: 200, body: 'exempt' })
  t.notOk(admin.headers['ratelimit'])
  t.equal(app.tenantRateLimit.snapshot().requests.exempt, 8)
})

t.test('an exemption must be true, not merely something', async (t) => {
  const exempt = (() => Promise.resolve(true)) as unknown as () => boolean
  const { app, statuses } = await limitedApp(t, { policies: { public: '1/minute' }, exempt })
  app.get('/', { config: { tenantRateLimit: 'public' } }, async () => 'ok')
  t.strictSame(await statuses(2, '/'), [200, 429])
})

t.test('what is known only after authentication is decided before the handler', async (t) => {
  const { app, statuses } = await limitedApp(
    t,
    {
      policies: { start: '1/minute' },
      user: (request) => (request as { principal?: unknown }).principal as string | undefined,
    },
    { before: (app) => void app.decorateRequest('principal') },
  )
  app.get(
    '/',
    {
      config: { tenantRateLimit: { policy: 'start', by: 'user', phase: 'preHandler' } },
      preHandler: async (request) => {
        Object.assign(request, { principal: request.headers['user'] })
      },
    },
    async () => 'ok',
  )
  t.strictSame(await statuses(2, '/', { user: 'ann' }), [200, 429])
  t.strictSame(await statuses(2, '/', { user: 'ben' }), [200, 429])
})

t.test(
  'what a function of the application throws, or answers wrongly, is an error of the request',
  async (t) => {
    const { app } = await limitedApp(t, {
      policies: { public: '1/minute' },
      tenant: (request) => {
        if (request.headers['tenant'] === 'throw') throw new Error('no tenant')
        return 7 as unknown as string
      },
    })
    app.get('/', { config: { tenantRateLimit: 'public' } }, async () => 'ok')
    t.match((await app.inject({ url: '/', headers: { tenant: 'throw' } })).json(), { message: 'no tenant' })
    t.match((await app.inject('/')).json(), { code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_KEY' })
  },
)

t.test('shadow decides and tells nobody but those who measure', async (t) => {
  const { app, statuses } = await limitedApp(t, {
    policies: { public: '1/minute shadow', other: '1/minute' },
  })
  app.get('/', { config: { tenantRateLimit: 'public' } }, async () => 'ok')
  t.strictSame(await statuses(3, '/'), [200, 200, 200])
  t.notOk((await app.inject('/')).headers['ratelimit'])
  t.match(app.tenantRateLimit.snapshot().limiter.policies, {
    public: { allowed: 1, shadowDenied: 3, denied: 0 },
  })
  const whole = await limitedApp(t, {
    policies: { public: '1/minute' },
    shadow: true,
    defaultRoute: 'public',
  })
  whole.app.get('/', async () => 'ok')
  t.strictSame(await whole.statuses(3, '/'), [200, 200, 200])
})

t.test('a limit can be asked by hand, and looked at without taking', async (t) => {
  const { app } = await limitedApp(t, { policies: { export: '2/minute' } })
  const limit = app.tenantRateLimit.limit({ policy: 'export', by: 'user' })
  app.get('/', async (request) => {
    const left = await limit.peek(request)
    const { allowed } = await limit.take(request)
    return { left: left.verdicts[0]?.remaining, allowed }
  })
  const ask = async () => (await app.inject({ url: '/', headers: { user: 'ann' } })).json()
  t.strictSame(await ask(), { left: 2, allowed: true })
  t.strictSame(await ask(), { left: 1, allowed: true })
  t.strictSame(await ask(), { left: 0, allowed: false })
  t.equal((await app.inject('/')).headers['ratelimit'], undefined)
})

t.test('a limit by hand answers nobody, and refuses what would be about answers', async (t) => {
  const { app } = await limitedApp(t, { policies: { export: '2/minute' } })
  for (const wrong of [
    { policy: 'export', count: 'failures' },
    { policy: 'export', onLimit: 'stale' },
    { policy: 'export', phase: 'preHandler' },
  ]) {
    t.throws(() => app.tenantRateLimit.limit(wrong), {
      code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_OPTION',
      message: /"limit\(\): (count|onLimit|phase)" must be left out/,
    })
  }
  for (const wrong of [5, null, ['export']]) {
    const limit: (setting: never) => unknown = app.tenantRateLimit.limit
    t.throws(() => limit(wrong as never), { code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_OPTION' })
  }
})

t.test('one tenant may have more, or less', async (t) => {
  const { app, statuses } = await limitedApp(t, {
    policies: { public: '1/minute' },
    overrides: { acme: { public: '3/minute' } },
  })
  app.get('/', { config: { tenantRateLimit: 'public' } }, async () => 'ok')
  t.strictSame(await statuses(4, '/', { tenant: 'acme' }), [200, 200, 200, 429])
  t.strictSame(await statuses(2, '/', { tenant: 'globex' }), [200, 429])
})

t.test('a second registration in one scope is refused, one beside it is not', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const policies = { public: '1/minute' }
  await app.register(async (scope) => void (await scope.register(tenantRateLimit, { policies })))
  await app.register(tenantRateLimit, { policies })
  await t.rejects(async () => app.register(tenantRateLimit, { policies }), {
    code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_ALREADY_REGISTERED',
  })
})
