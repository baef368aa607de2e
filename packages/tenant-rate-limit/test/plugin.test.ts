import { waitUntil } from '@holdfast/test-kit'
import Fastify from 'fastify'
import t from 'tap'
import plugin, { claim, type TenantRateLimitRouteSetting, tenantRateLimit } from '../src/index.ts'

t.test('the default export is the named one', async (t) => {
  t.equal(plugin, tenantRateLimit)
})

t.test('offers its policies and a limiter that answers from memory', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(tenantRateLimit, { policies: { public: '1/minute' } })
  const policy = app.tenantRateLimit.policies.get('public')
  if (policy === undefined) throw new Error('no policy')
  t.match(app.tenantRateLimit.limiter.decide([claim(policy, 'acme', 'all')]), { allowed: true })
  t.match(app.tenantRateLimit.limiter.decide([claim(policy, 'acme', 'all')]), { violated: ['public'] })
})

t.test('the buckets of an application that closes stay for its last requests', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(tenantRateLimit, { policies: { public: '1/minute' } })
  const limit = app.tenantRateLimit.limit('public')
  const begun = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  app.get('/', { config: { tenantRateLimit: 'public' } }, async (request) => {
    begun.resolve()
    await gate.promise
    const { allowed } = await limit.peek(request)
    return { allowed }
  })
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  const answer = fetch(base, { headers: { connection: 'close' } })
  await begun.promise
  const closing = app.close()
  await waitUntil(() => !app.server.listening)
  gate.resolve()
  t.strictSame(await (await answer).json(), { allowed: false }, 'what it took is still taken')
  await closing
})

t.test('a wrong option fails at register(), with what was received', async (t) => {
  for (const [options, message] of [
    [{}, '"policies" must be an object, received undefined'],
    [{ policies: {}, policy: 5 }, '"policy" must be left out .*, received 5'],
    [{ policies: {}, groups: 5 }, '"groups" must be an object, received 5'],
    [{ policies: {}, shadow: 'no' }, '"shadow" must be true or false, received "no"'],
    [{ policies: {}, clock: {} }, '"clock" must be an object with nowMs, wallMs, schedule'],
    [{ policies: {}, redis: {} }, '"redis" must be an object with run, key, onStateChange'],
    [{ policies: {}, tenant: 'acme' }, '"tenant" must be a function, received "acme"'],
    [{ policies: {}, user: 5 }, '"user" must be a function'],
    [{ policies: {}, exempt: true }, '"exempt" must be a function, received true'],
    [{ policies: {}, exempt: async () => true }, '"exempt" must be a function that is not async'],
    [{ policies: {}, tenant: async () => 'acme' }, '"tenant" must be a function that is not async'],
    [{ policies: {}, exemptAddresses: '10.0.0.0/8' }, '"exemptAddresses" must be a list'],
    [
      { policies: {}, exemptAddresses: ['10.0.0.0/33'] },
      '"exemptAddresses" must be a list.*received "10.0.0.0/33"',
    ],
    [
      { policies: {}, ipv6PrefixBits: 0 },
      '"ipv6PrefixBits" must be a whole number from 32 to 128, received 0',
    ],
    [{ policies: {}, overrides: { acme: null } }, '"overrides.acme" must be an object, received null'],
    [{ policies: {}, onLimit: 'wait' }, '"onLimit" must be \'reject\' or \'stale\', received "wait"'],
    [{ policies: {}, page: '<p>' }, '"page" must be a function, received "<p>"'],
    [{ policies: {}, page: async () => undefined }, '"page" must be a function that is not async'],
    [{ policies: {}, staleLimit: 100 }, '"staleLimit" must be a text'],
    [{ policies: {}, headers: 'draft' }, '"headers" must be a list of families'],
    [{ policies: {}, headers: ['ietf'] }, "\"headers\" must be 'draft' or 'x-ratelimit' or 'x-rate-limit'"],
    [{ policies: {}, registry: {} }, '"registry" must be an object with registerMetric, getSingleMetric'],
    [{ policies: {}, appName: '' }, '"appName" must be a text'],
    [
      { policies: {}, defaultRoute: 5 },
      '"defaultRoute" must be the name of a policy, an object, or false, received 5',
    ],
    [{ policies: {}, notFound: {} }, '"notFound: policy" must be given where there is no group'],
  ] as const) {
    const app = Fastify()
    const wrong: object = options
    await t.rejects(async () => app.register(tenantRateLimit, wrong as never), {
      code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_OPTION',
      message: new RegExp(message),
    })
    await app.close()
  }
})

t.test('a limit that cannot be read fails at register()', async (t) => {
  for (const options of [{ policies: { public: '10 a minute' } }, { policies: {}, staleLimit: 'often' }]) {
    const app = Fastify()
    await t.rejects(async () => app.register(tenantRateLimit, options), {
      code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_POLICY',
    })
    await app.close()
  }
})

const OPTION = 'HOLDFAST_ERR_TENANT_RATE_LIMIT_OPTION'
const UNKNOWN_POLICY = 'HOLDFAST_ERR_TENANT_RATE_LIMIT_UNKNOWN_POLICY'
const RULE = 'HOLDFAST_ERR_TENANT_RATE_LIMIT_RULE'

t.test('a wrong setting of a route fails when the route is registered, and names it', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const policies = { public: '10/minute' }
  await app.register(tenantRateLimit, { policies, groups: { bots: '5/minute' } })
  const stale = () => undefined
  const tooMany = Array.from({ length: 17 }, (_, at) => ({ policy: 'public', by: () => `${at}` }))
  for (const [setting, code, message] of [
    [true, OPTION, 'must be the name of a policy, an object, or false, received true'],
    [['public'], OPTION, 'must be the name of a policy, an object, or false, received an array'],
    [{ policy: 'public', class: 'x' }, OPTION, 'class" must be left out'],
    [{}, OPTION, 'policy" must be given where there is no group'],
    [{ policy: [] }, OPTION, 'policy" must be given where there is no group'],
    [{ policy: 5 }, OPTION, 'policy" must be an object, received 5'],
    [{ policy: { policy: 'public', per: 'x' } }, OPTION, 'policy.per" must be left out'],
    [{ policy: 'public', by: 'ip' }, OPTION, 'by" must be .*received "ip"'],
    [{ policy: 'public', count: 'some' }, OPTION, 'count" must be .*received "some"'],
    [{ policy: 'public', cost: -1 }, OPTION, 'cost" must be a whole number of at least 0, received -1'],
    [{ policy: 'public', phase: 'onSend' }, OPTION, 'phase" must be'],
    [{ policy: 'public', onLimit: 'wait' }, OPTION, 'onLimit" must be'],
    [{ policy: 'public', onLimit: 'stale' }, OPTION, 'stale" must be a function'],
    [{ policy: 'public', cost: async () => 1 }, OPTION, 'cost" must be a function that is not async'],
    [{ policy: 'public', by: async () => 'x' }, OPTION, 'by" must be a function that is not async'],
    [{ policy: 'public', stale: 'yes' }, OPTION, 'stale" must be a function, received "yes"'],
    ['nothing', UNKNOWN_POLICY, 'names the policy "nothing", which does not exist'],
    [{ group: 'public' }, UNKNOWN_POLICY, 'names the policy "group/public", which does not exist'],
    [{ policy: 'public', by: 'user' }, RULE, 'it counts by user, and the plugin has no option "user"'],
    [{ policy: 'public', cost: 11 }, RULE, 'it costs 11, and "public" never holds more than 10'],
    [{ group: 'bots', cost: 6 }, RULE, 'it costs 6, and "group/bots" never holds more than 5'],
    [null, OPTION, 'must be the name of a policy, an object, or false, received null'],
    [{ policy: ['public', 'public'] }, RULE, 'it names "public" twice for the same bucket'],
    [{ policy: tooMany }, RULE, 'it keeps to more than 16 policies'],
    [{ policy: 'public', onLimit: 'stale', stale }, RULE, 'a write is never answered from a cache'],
  ] as const) {
    const wrong: unknown = setting
    const config = { tenantRateLimit: wrong as TenantRateLimitRouteSetting }
    t.throws(
      () => app.post('/orders', { config }, async () => 'ok'),
      { code, message: new RegExp(`POST /orders.*${message}`) },
      String(message),
    )
  }
})

t.test(
  'people get a page in place of the document, whatever refuses them, and programs the document',
  async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(tenantRateLimit, {
      policies: { public: '1/minute' },
      page: ({ headers }, { statusCode, retryAfterSeconds }) =>
        headers.accept === 'text/html'
          ? {
              headers: { 'content-type': 'text/html; charset=utf-8', 'x-page': 'yes' },
              body: `<p>${statusCode} ${retryAfterSeconds}</p>`,
            }
          : undefined,
    })
    const stale = () => undefined
    const routes: Record<string, TenantRateLimitRouteSetting> = {
      '/reject': 'public',
      '/stale': { policy: 'public', onLimit: 'stale', stale },
      '/promise': { policy: 'public', onLimit: async () => undefined },
    }
    for (const [url, setting] of Object.entries(routes)) {
      app.get(url, { config: { tenantRateLimit: setting } }, async () => 'ok')
    }
    await app.inject('/reject')
    for (const url of Object.keys(routes)) {
      const page = await app.inject({ url, headers: { accept: 'text/html' } })
      t.match(page, {
        statusCode: 429,
        headers: { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store', 'x-page': 'yes' },
        body: '<p>429 60</p>',
      })
      t.equal(page.headers['retry-after'], '60')
      const document = await app.inject({ url, headers: { accept: 'application/json' } })
      t.match(document, { statusCode: 429, headers: { 'content-type': /^application\/problem\+json/ } })
      t.match(document.json(), { retry_after: 60 })
    }
    t.match(app.tenantRateLimit.snapshot().requests, { refused: 6, handled: 2, staleMissed: 2 })
  },
)
