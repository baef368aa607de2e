import Fastify from 'fastify'
import { Registry } from 'prom-client'
import t from 'tap'
import singleflight from '../src/index.ts'

t.test('a scrape shows the snapshots, and a second one does not count twice', async (t) => {
  const registry = new Registry()
  const app = Fastify()
  await app.register(singleflight, { registry })
  app.get('/prices', { config: { singleflight: { key: () => ['x'] } } }, async () => 'ok')
  await Promise.all([1, 2, 3].map(() => app.singleflight.run(['a'], () => 1)))
  await app.inject('/prices')
  await app.inject({ url: '/prices', headers: { cookie: 'a=b' } })
  await registry.metrics()
  const text = await registry.metrics()
  for (const line of [
    'holdfast_singleflight_executions_total{scope="run"} 1',
    'holdfast_singleflight_joined_total{scope="run"} 2',
    'holdfast_singleflight_executions_total{scope="responses"} 1',
    'holdfast_singleflight_in_flight{scope="run"} 0',
    'holdfast_singleflight_responses_total{outcome="bypassed"} 1',
    'holdfast_singleflight_responses_total{outcome="replayed"} 0',
  ]) {
    t.ok(text.includes(`${line}\n`), line)
  }
})

t.test('labels have a fixed set of values however many keys fly', async (t) => {
  const registry = new Registry()
  const app = Fastify()
  await app.register(singleflight, { registry })
  const lines = async () => (await registry.metrics()).split('\n').length
  const before = await lines()
  await Promise.all(Array.from({ length: 1000 }, (_, key) => app.singleflight.run([key], () => key)))
  t.equal(await lines(), before)
})

t.test('a scrape shows what flights across processes came to', async (t) => {
  const registry = new Registry()
  const app = Fastify()
  await app.register(singleflight, { registry })
  await app.singleflight.run(['a'], () => 1, { fleet: true })
  const text = await registry.metrics()
  for (const line of [
    'holdfast_singleflight_fleet_total{role="led"} 0',
    'holdfast_singleflight_fleet_total{role="took_over"} 0',
    'holdfast_singleflight_fleet_flights{role="following"} 0',
  ]) {
    t.ok(text.includes(`${line}\n`), line)
  }
})

t.test('ages are in seconds', async (t) => {
  const registry = new Registry()
  const app = Fastify()
  let nowMs = 0
  const clock = { nowMs: () => nowMs, wallMs: () => 0, schedule: () => () => undefined }
  await app.register(singleflight, { registry, clock })
  const { promise, resolve } = Promise.withResolvers<void>()
  const call = app.singleflight.run(['a'], () => promise)
  nowMs = 1500
  t.match(await registry.metrics(), /holdfast_singleflight_oldest_flight_seconds\{scope="run"\} 1.5\n/)
  resolve()
  await call
})

t.test('these metrics are registered, and only these', async (t) => {
  const registry = new Registry()
  await Fastify().register(singleflight, { registry })
  t.strictSame(
    registry.getMetricsAsArray().map(({ name }) => name),
    [
      'holdfast_singleflight_executions_total',
      'holdfast_singleflight_joined_total',
      'holdfast_singleflight_failed_total',
      'holdfast_singleflight_abandoned_total',
      'holdfast_singleflight_forgotten_total',
      'holdfast_singleflight_timed_out_total',
      'holdfast_singleflight_given_up_total',
      'holdfast_singleflight_rejected_full_total',
      'holdfast_singleflight_answered_from_error_total',
      'holdfast_singleflight_in_flight',
      'holdfast_singleflight_waiters',
      'holdfast_singleflight_oldest_flight_seconds',
      'holdfast_singleflight_responses_total',
      'holdfast_singleflight_fleet_total',
      'holdfast_singleflight_fleet_flights',
    ],
  )
})

t.test('scopes and applications that share a registry are told apart, until one is closed', async (t) => {
  const registry = new Registry()
  const app = Fastify()
  const other = Fastify()
  t.teardown(() => Promise.all([app.close(), other.close()]))
  for (const own of [{}, { appName: 'admin' }]) {
    await app.register(async (scope) => {
      await scope.register(singleflight, { registry, ...own })
      await scope.singleflight.run(['a'], () => 1)
    })
  }
  await other.register(singleflight, { registry, appName: 'other' })
  const executions = async () =>
    (await registry.metrics()).match(/^holdfast_singleflight_executions_total\{.*scope="run"\} \d$/gm)
  t.strictSame(await executions(), [
    'holdfast_singleflight_executions_total{scope="run"} 1',
    'holdfast_singleflight_executions_total{app="admin",scope="run"} 1',
    'holdfast_singleflight_executions_total{app="other",scope="run"} 0',
  ])
  await t.rejects(async () => Fastify().register(singleflight, { registry, appName: 'other' }), {
    code: 'HOLDFAST_ERR_SINGLEFLIGHT_INVALID_OPTION',
    message: /option "appName" must be another one/,
  })
  await t.rejects(async () => Fastify().register(singleflight, { appName: '' }), {
    code: 'HOLDFAST_ERR_SINGLEFLIGHT_INVALID_OPTION',
  })
  await t.rejects(async () => Fastify().register(singleflight, { registry: {} as Registry }), {
    code: 'HOLDFAST_ERR_SINGLEFLIGHT_INVALID_OPTION',
  })
  await other.close()
  t.equal((await executions())?.length, 2)
})
