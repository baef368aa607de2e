import { startRedis } from '@holdfast/test-kit'
import Fastify from 'fastify'
import { Registry } from 'prom-client'
import t from 'tap'
import { redisGuard } from '../src/index.ts'

const names = [
  'holdfast_redis_guard_calls_total',
  'holdfast_redis_guard_commands_total',
  'holdfast_redis_guard_batches_total',
  'holdfast_redis_guard_batched_calls_total',
  'holdfast_redis_guard_script_loads_total',
  'holdfast_redis_guard_round_trip_seconds_total',
  'holdfast_redis_guard_round_trips_total',
  'holdfast_redis_guard_connections_total',
  'holdfast_redis_guard_failed_probes_total',
  'holdfast_redis_guard_messages_total',
  'holdfast_redis_guard_gaps_total',
  'holdfast_redis_guard_handler_errors_total',
  'holdfast_redis_guard_breaker_state',
  'holdfast_redis_guard_up',
  'holdfast_redis_guard_in_flight',
  'holdfast_redis_guard_last_round_trip_seconds',
  'holdfast_redis_guard_subscriber_up',
  'holdfast_redis_guard_channels',
]

t.test('the metrics tell what the snapshot tells, and nothing is labelled by what users send', async (t) => {
  const server = await startRedis()
  const registry = new Registry()
  const app = Fastify()
  t.teardown(() => server.stop())
  t.teardown(() => app.close())
  await app.register(redisGuard, { url: server.url, registry, startupWaitMs: 10_000, budgetMs: 10_000 })
  await app.redisGuard.call('SET', 'a', '1')
  await t.rejects(app.redisGuard.call('INCR'), { code: 'HOLDFAST_ERR_REDIS_GUARD_COMMAND' })
  const text = await registry.metrics()
  t.strictSame(
    registry.getMetricsAsArray().map(({ name }) => name),
    names,
  )
  for (const line of [
    'holdfast_redis_guard_up{redis="redis"} 1',
    'holdfast_redis_guard_breaker_state{redis="redis",state="closed"} 1',
    'holdfast_redis_guard_breaker_state{redis="redis",state="open"} 0',
    'holdfast_redis_guard_calls_total{redis="redis",outcome="ok"} 1',
    'holdfast_redis_guard_calls_total{redis="redis",outcome="failed"} 1',
    'holdfast_redis_guard_commands_total{redis="redis"} 2',
    'holdfast_redis_guard_in_flight{redis="redis"} 0',
  ]) {
    t.ok(text.includes(`${line}\n`), line)
  }
})

t.test('doors that share a registry are told apart by their names, until one is closed', async (t) => {
  const server = await startRedis()
  t.teardown(() => server.stop())
  const registry = new Registry()
  const app = Fastify()
  const other = Fastify()
  t.teardown(() => Promise.all([app.close(), other.close()]))
  for (const own of [{}, { name: 'sessions' }]) {
    await app.register(async (scope) => {
      await scope.register(redisGuard, {
        url: server.url,
        registry,
        startupWaitMs: 10_000,
        budgetMs: 10_000,
        ...own,
      })
      t.equal(scope.redisGuard.breaker.name, own.name ?? 'redis')
    })
  }
  await other.register(redisGuard, {
    url: 'redis://127.0.0.1:1',
    registry,
    name: 'away',
    startupWaitMs: 0,
  })
  const up = async () => (await registry.metrics()).match(/^holdfast_redis_guard_up\b.*$/gm)
  t.strictSame(await up(), [
    'holdfast_redis_guard_up{redis="redis"} 1',
    'holdfast_redis_guard_up{redis="sessions"} 1',
    'holdfast_redis_guard_up{redis="away"} 0',
  ])
  await other.close()
  t.equal((await up())?.length, 2)
  const third = Fastify()
  t.teardown(() => third.close())
  await t.rejects(async () => third.register(redisGuard, { url: server.url, registry }), {
    code: 'HOLDFAST_ERR_REDIS_GUARD_OPTION',
    message: /option "name" must be another one/,
  })
})
