import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { AlreadyRegisteredError } from './errors.ts'
import { GuardedRedis } from './guarded-redis.ts'
import { type RedisGuardOptions, resolvePluginOptions } from './options.ts'
import type { RedisHealth } from './redis-guard.ts'

declare module 'fastify' {
  interface FastifyInstance {
    redisGuard: GuardedRedis
  }
}

/** What this plugin uses of `app.health`, without needing `@holdfast/health`. */
interface HealthChecks {
  addCheck(name: string, options: { readonly check: () => RedisHealth; readonly intervalMs: number }): unknown
}

const plugin: FastifyPluginAsync<RedisGuardOptions> = async (app: FastifyInstance, options) => {
  if (app.hasDecorator('redisGuard')) throw new AlreadyRegisteredError()
  const { settings, startupWaitMs, registry } = resolvePluginOptions(options)
  const guard = new GuardedRedis(settings)
  app.decorate('redisGuard', guard)
  app.addHook('onClose', () => guard.close())
  guard.onStateChange((state, reason) => {
    if (state === 'up') app.log.info({ redis: state }, 'redis is usable')
    else if (state === 'down') app.log.warn({ redis: state, reason }, `redis is not usable: ${reason}`)
  })
  if (registry !== undefined) {
    // Loaded only here: prom-client is an optional peer.
    const { sharedMetrics } = await import('./metrics.ts')
    app.addHook(
      'onClose',
      sharedMetrics.share(registry, guard.name, () => guard.snapshot()),
    )
  }
  if (app.hasDecorator('health')) {
    const health = app.getDecorator<HealthChecks>('health')
    health.addCheck(guard.name, { check: () => guard.healthCheck(), intervalMs: 1000 })
  }
  await guard.ready(startupWaitMs)
}

/**
 * The door to Redis for Fastify: `app.redisGuard`. Registering waits a moment for Redis and succeeds without it.
 * Raises `HOLDFAST_ERR_REDIS_GUARD_OPTION` and `..._ALREADY_REGISTERED` at `register()`.
 */
export const redisGuard: FastifyPluginAsync<RedisGuardOptions> = fastifyPlugin(plugin, {
  fastify: '5.x',
  name: '@holdfast/redis-guard',
})
export default redisGuard
