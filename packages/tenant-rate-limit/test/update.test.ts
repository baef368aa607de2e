import t from 'tap'
import { limitedApp } from './limited-app.ts'

t.test('new limits hold from the next request on, and what was used stays used, as a share', async (t) => {
  const { app } = await limitedApp(t, { policies: { public: '10/minute' } })
  app.get('/', { config: { tenantRateLimit: 'public' } }, async () => 'ok')
  const left = async () => Number((await app.inject('/')).headers['x-ratelimit-remaining'])
  for (let time = 0; time < 4; time += 1) await left()
  t.equal(await left(), 5)
  app.tenantRateLimit.update({ policies: { public: '100/minute' } })
  t.equal(await left(), 49)
  app.tenantRateLimit.update({ policies: { public: '100/minute' }, shadow: true })
  for (let time = 0; time < 100; time += 1) t.equal((await app.inject('/')).statusCode, 200)
  t.equal(app.tenantRateLimit.policies.version, 3)
})

t.test('without Redis there are no leases, and no burst is smaller for them', async (t) => {
  const { app } = await limitedApp(t, { policies: { public: '100/minute' }, leases: { strict: true } })
  app.get('/', { config: { tenantRateLimit: 'public' } }, async () => 'ok')
  t.equal((await app.inject('/')).headers['x-ratelimit-remaining'], '99')
  app.tenantRateLimit.update({ policies: { public: '200/minute' } })
  t.equal(app.tenantRateLimit.policies.get('public')?.capacity, 200)
})

t.test('a set with a mistake, or without a policy that a route names, changes nothing', async (t) => {
  const { app, statuses } = await limitedApp(t, {
    policies: { public: '1/minute' },
    groups: { bots: '9/minute' },
  })
  app.get('/', { config: { tenantRateLimit: { policy: 'public', group: 'bots' } } }, async () => 'ok')
  app.get('/dear', { config: { tenantRateLimit: { group: 'bots', cost: 5 } } }, async () => 'ok')
  app.get('/cheap', { config: { tenantRateLimit: { group: 'bots', cost: 2 } } }, async () => 'ok')
  const groups = { bots: '9/minute' }
  for (const [set, code] of [
    [{ policies: { public: 'often' }, groups }, 'POLICY'],
    [{ policies: { other: '1/minute' }, groups }, 'UNKNOWN_POLICY'],
    [{ policies: { public: '5/minute' } }, 'UNKNOWN_POLICY'],
    [{ policies: { public: '5/minute' }, groups: { other: '9/minute' } }, 'UNKNOWN_POLICY'],
    [{ policies: { public: '5/minute' }, groups, tenant: () => 'acme' }, 'OPTION'],
    [{ policies: { public: '5/minute' }, groups: { bots: '4/minute' } }, 'RULE'],
    [{ groups }, 'OPTION'],
    [undefined, 'OPTION'],
  ] as const) {
    const wrong: unknown = set
    for (const call of ['check', 'update'] as const) {
      t.throws(() => app.tenantRateLimit[call](wrong as never), {
        code: `HOLDFAST_ERR_TENANT_RATE_LIMIT_${code}`,
      })
    }
  }
  app.tenantRateLimit.check({ policies: { public: '5/minute' }, groups })
  t.strictSame(await statuses(2, '/'), [200, 429])
  t.match(app.tenantRateLimit.snapshot().policies, {
    version: 1,
    policies: [{ name: 'public', capacity: 1 }],
  })
})

t.test('a cost that the own policy of a tenant never holds is a mistake, too', async (t) => {
  const policies = { public: '9/minute' }
  const overrides = { globex: { public: '7/minute' }, acme: { public: '3/minute' }, initech: {} }
  const { app, statuses } = await limitedApp(t, { policies, overrides })
  const config = (cost: number) => ({ config: { tenantRateLimit: { policy: 'public', cost } } })
  const mistake = {
    code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_RULE',
    message: /it costs 5, and "public" of tenant "acme" never holds more than 3/,
  }
  t.throws(() => app.get('/dear', config(5), async () => 'ok'), mistake)
  app.get('/', config(3), async () => 'ok')
  app.tenantRateLimit.update({ policies })
  app.get('/dear', config(5), async () => 'ok')
  t.throws(() => app.tenantRateLimit.update({ policies, overrides }), mistake)
  t.equal(app.tenantRateLimit.policies.version, 2)
  t.strictSame(await statuses(2, '/dear', { tenant: 'acme' }), [200, 429])
})
