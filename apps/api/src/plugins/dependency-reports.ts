// What `/health/check` tells about the doors besides the verdicts of the checks: every breaker, every pool, Redis.

import type { BreakerSnapshot } from '@holdfast/circuit-breaker'
import { fastifyPlugin } from 'fastify-plugin'

/** Adds the reports `breakers`, `pools` and `redis`; the breakers of the doors are the service's from then on. */
export const dependencyReports = fastifyPlugin(
  async (app) => {
    const { breaker } = app.poolGuard
    if (breaker !== undefined) app.circuitBreaker.add(breaker)
    const main = app.hasDecorator('redisGuard') ? app.redisGuard : undefined
    const traffic = app.trafficRedis === main ? undefined : (app.trafficRedis ?? undefined)
    for (const guard of [main, traffic]) if (guard !== undefined) app.circuitBreaker.add(guard.breaker)
    app.health.addReport('check', 'breakers', () => app.circuitBreaker.snapshot().map(summary))
    app.health.addReport('check', 'pools', () => {
      const { max, maxOverflow, reserve, usage, saturated, pressure, pooler } = app.poolGuard.snapshot()
      const guard = { max, max_overflow: maxOverflow, reserve, usage, saturated, pressure, pooler }
      return app.poolGuard.showPools().map((row) => ({ ...row, ...guard }))
    })
    app.health.addReport('check', 'redis', () => main?.snapshot() ?? { state: 'not configured' })
    if (traffic !== undefined) app.health.addReport('check', 'traffic_redis', () => traffic.snapshot())
  },
  {
    fastify: '5.x',
    name: '@holdfast/api/dependency-reports',
    dependencies: [
      '@holdfast/health',
      '@holdfast/circuit-breaker',
      '@holdfast/pool-guard',
      '@holdfast/api/traffic-redis',
    ],
  },
)

function summary({ name, state, reason, stateForMs, retryAfterMs, isolated, held, counts }: BreakerSnapshot) {
  return {
    name,
    state,
    reason,
    state_for_ms: Math.round(stateForMs),
    retry_after_ms: Math.ceil(retryAfterMs),
    isolated,
    held,
    counts,
  }
}
