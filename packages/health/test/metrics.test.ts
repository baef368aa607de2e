import { HandClock } from '@holdfast/test-kit'
import { Registry } from 'prom-client'
import t from 'tap'
import { appWithHealth } from './app-with-health.ts'

t.test('metrics are read from the registry when they are scraped', async (t) => {
  const registry = new Registry()
  const clock = new HandClock()
  let answer: () => Promise<undefined> = async () => undefined
  const app = await appWithHealth(t, {
    registry,
    clock,
    jitter: 0,
    checks: {
      database: { check: () => answer(), severity: 'critical' },
      cache: { check: () => ({ status: 'degraded' }) },
      slow: {
        check: () => new Promise<undefined>((resolve) => clock.schedule(250, () => resolve(undefined))),
      },
      queue: { check: () => new Promise<undefined>(() => {}), timeoutMs: 900 },
    },
  })
  app.health.degrade('theme', 'away')
  t.notMatch(await registry.metrics(), /response_seconds\{check="queue"\}/)
  await clock.advance(250)
  const lines = (await registry.metrics()).split('\n')
  const has = (line: string) => t.ok(lines.includes(line), line)
  has('health_check_status{check="database"} 1')
  has('health_check_status{check="cache"} 0.5')
  has('health_check_status{check="queue"} 0')
  has('health_check_response_seconds{check="slow"} 0.25')
  has('health_check_executions_total{check="database"} 1')
  has('health_check_changes_total{check="database"} 1')
  has('health_ready 0.5')
  has('health_phase{phase="serving"} 1')
  has('health_phase{phase="starting"} 0')
  has('feature_degraded{feature="theme"} 1')
  app.health.recover('theme')
  answer = () => Promise.reject(Object.assign(new Error('down'), { code: 'ECONNREFUSED' }))
  await clock.advance(5000)
  const later = (await registry.metrics()).split('\n')
  t.ok(later.includes('health_ready 0'))
  t.ok(later.includes('health_check_executions_total{check="database"} 2'))
  t.notMatch(later.join('\n'), 'feature_degraded{', 'a recovered feature has no series')
})

t.test('the number of series is bounded by the options', async (t) => {
  const registry = new Registry()
  const app = await appWithHealth(t, { registry, maxFeatures: 5 })
  for (let index = 0; index < 1000; index += 1) app.health.degrade(`feature-${index}`, 'x')
  t.equal((await registry.metrics()).match(/^feature_degraded\{/gm)?.length, 5)
})

t.test('applications that share a registry are told apart, until one is closed', async (t) => {
  const registry = new Registry()
  await appWithHealth(t, { registry, checks: { database: { check: async () => {} } } })
  const other = await appWithHealth(t, {
    registry,
    appName: 'admin',
    checks: { database: { check: async () => {} } },
  })
  const rows = async () => (await registry.metrics()).match(/^health_(ready|check_executions_total)[ {].*$/gm)
  t.strictSame(await rows(), [
    'health_check_executions_total{check="database"} 1',
    'health_check_executions_total{app="admin",check="database"} 1',
    'health_ready 1',
    'health_ready{app="admin"} 1',
  ])
  await t.rejects(appWithHealth(t, { registry }), {
    code: 'HOLDFAST_ERR_HEALTH_OPTION',
    message: /option "appName" must be another one/,
  })
  await t.rejects(appWithHealth(t, { appName: '' }), { code: 'HOLDFAST_ERR_HEALTH_OPTION' })
  await other.close()
  t.strictSame(await rows(), ['health_check_executions_total{check="database"} 1', 'health_ready 1'])
})
