import { Registry } from 'prom-client'
import t from 'tap'
import { limitedApp } from './limited-app.ts'

t.test('a scrape shows what became of requests, by policy and by outcome', async (t) => {
  const registry = new Registry()
  const { app, statuses } = await limitedApp(t, {
    policies: { public: '5/minute', trial: '1/minute shadow', login: '9/minute' },
    exempt: ({ headers }) => headers['role'] === 'admin',
    registry,
  })
  app.get('/', { config: { tenantRateLimit: { policy: ['public', 'trial'] } } }, async () => 'ok')
  const config = { tenantRateLimit: { policy: 'login', count: 'failures', onLimit: () => 'mine' } } as const
  app.get('/login', { config }, async () => 'ok')
  await statuses(7, '/')
  await statuses(2, '/', { role: 'admin' })
  await statuses(1, '/login')
  const text = await registry.metrics()
  t.equal(await registry.metrics(), text, 'a second scrape does not count twice')
  for (const line of [
    'holdfast_tenant_rate_limit_decisions_total{source="memory"} 8',
    'holdfast_tenant_rate_limit_decisions_total{source="redis"} 0',
    'holdfast_tenant_rate_limit_policy_total{policy="public",outcome="allowed"} 5',
    'holdfast_tenant_rate_limit_policy_total{policy="public",outcome="denied"} 2',
    'holdfast_tenant_rate_limit_policy_total{policy="public",outcome="near_limit"} 1',
    'holdfast_tenant_rate_limit_policy_total{policy="trial",outcome="allowed"} 1',
    'holdfast_tenant_rate_limit_policy_total{policy="trial",outcome="shadow_denied"} 6',
    'holdfast_tenant_rate_limit_requests_total{outcome="exempt"} 2',
    'holdfast_tenant_rate_limit_requests_total{outcome="refused"} 2',
    'holdfast_tenant_rate_limit_requests_total{outcome="refunded"} 1',
    'holdfast_tenant_rate_limit_requests_total{outcome="served_stale"} 0',
    'holdfast_tenant_rate_limit_requests_total{outcome="stale_limited"} 0',
    'holdfast_tenant_rate_limit_requests_total{outcome="stale_missed"} 0',
    'holdfast_tenant_rate_limit_requests_total{outcome="handled"} 0',
    'holdfast_tenant_rate_limit_store_failures_total 0',
    'holdfast_tenant_rate_limit_refunds_lost_total 0',
    'holdfast_tenant_rate_limit_store_up 1',
    'holdfast_tenant_rate_limit_deny_cache_keys 0',
    'holdfast_tenant_rate_limit_processes 1',
  ]) {
    t.ok(text.includes(`${line}\n`), line)
  }
})

t.test('these metrics are registered, and only these', async (t) => {
  const registry = new Registry()
  await limitedApp(t, { policies: {}, registry })
  t.strictSame(
    registry.getMetricsAsArray().map(({ name }) => name),
    [
      'holdfast_tenant_rate_limit_decisions_total',
      'holdfast_tenant_rate_limit_policy_total',
      'holdfast_tenant_rate_limit_requests_total',
      'holdfast_tenant_rate_limit_store_failures_total',
      'holdfast_tenant_rate_limit_refunds_lost_total',
      'holdfast_tenant_rate_limit_lease_units_total',
      'holdfast_tenant_rate_limit_lease_requests_total',
      'holdfast_tenant_rate_limit_reconciled_total',
      'holdfast_tenant_rate_limit_store_up',
      'holdfast_tenant_rate_limit_deny_cache_keys',
      'holdfast_tenant_rate_limit_processes',
      'holdfast_tenant_rate_limit_leases',
    ],
  )
})

t.test('applications that share a registry are told apart, and leave when they are closed', async (t) => {
  const registry = new Registry()
  await limitedApp(t, { policies: {}, registry })
  const { app: other } = await limitedApp(t, { policies: {}, registry, appName: 'other' })
  const rows = async () => (await registry.metrics()).match(/^holdfast_tenant_rate_limit_store_up.*$/gm)
  t.strictSame(await rows(), [
    'holdfast_tenant_rate_limit_store_up 1',
    'holdfast_tenant_rate_limit_store_up{app="other"} 1',
  ])
  await t.rejects(limitedApp(t, { policies: {}, registry }), {
    code: 'HOLDFAST_ERR_TENANT_RATE_LIMIT_OPTION',
    message: /"appName"/,
  })
  await other.close()
  t.strictSame(await rows(), ['holdfast_tenant_rate_limit_store_up 1'])
})
