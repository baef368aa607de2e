// The Redis of limits, blocks and leases: one of its own, when there is RATE_LIMIT_REDIS_URL, else that of everything.

import { type GuardedRedis, redisGuard } from '@holdfast/redis-guard'
import { fastifyPlugin } from 'fastify-plugin'
import type { Registry } from 'prom-client'
import { describeRedis, type RedisTarget } from '../redis-target.ts'
import { createClient } from './redis-client.ts'

/** Which Redis, if any of its own. */
export interface TrafficRedisOptions {
  readonly target: RedisTarget | undefined
  readonly registry?: Registry
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Null: each process counts for itself. */
    trafficRedis: GuardedRedis | null
  }
}

/** `app.trafficRedis`. It comes before `app.redisGuard`, for no scope below that one can have another. */
export const trafficRedis = fastifyPlugin<TrafficRedisOptions>(
  async (app, { target, registry }) => {
    if (target === undefined) {
      app.decorate('trafficRedis', {
        getter: () => (app.hasDecorator('redisGuard') ? app.redisGuard : null),
      })
      return
    }
    const client = createClient(target)
    client.on('error', () => {})
    app.addHook('onClose', async () => client.disconnect())
    await app.register(async (scope) => {
      const shared = registry === undefined ? {} : { registry }
      await scope.register(redisGuard, { client, name: 'traffic-redis', ...shared })
      app.decorate('trafficRedis', scope.redisGuard)
    })
    app.log.info(
      { redis: describeRedis(target), state: app.trafficRedis?.state },
      'the Redis of limits is guarded',
    )
  },
  { fastify: '5.x', name: '@holdfast/api/traffic-redis' },
)
