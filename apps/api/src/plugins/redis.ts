// Redis: the client of @fastify/redis, and the guard that everything else goes through. Without REDIS_URL there is
// neither, and what would be shared between processes stays in the memory of each.

import { redisGuard } from '@holdfast/redis-guard'
import { fastifyPlugin } from 'fastify-plugin'
import type { Registry } from 'prom-client'
import { describeRedis, type RedisTarget } from '../redis-target.ts'
import { redisClient } from './redis-client.ts'

/** Which Redis, if any. */
export interface RedisOptions {
  readonly target: RedisTarget | undefined
  readonly registry?: Registry
}

/** `app.redis` and `app.redisGuard`, when there is a Redis; whether it lives does not matter. */
export const redis = fastifyPlugin<RedisOptions>(
  async (app, { target, registry }) => {
    if (target === undefined) {
      app.log.info('REDIS_URL is unset: nothing is shared with other processes')
      return
    }
    await app.register(redisClient, { target })
    await app.register(redisGuard, { client: app.redis, ...(registry !== undefined && { registry }) })
    app.log.info({ redis: describeRedis(target), state: app.redisGuard.state }, 'Redis is guarded')
  },
  { fastify: '5.x', name: '@holdfast/api/redis' },
)
