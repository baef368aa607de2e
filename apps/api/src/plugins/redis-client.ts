// The client of Redis, through @fastify/redis: `app.redis`. It is the pattern after which the redis-guard makes its own
// hardened connections, and never connects itself.

import fastifyRedis from '@fastify/redis'
import { fastifyPlugin } from 'fastify-plugin'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import type { RedisTarget } from '../redis-target.ts'

/** Which Redis. */
export interface RedisClientOptions {
  readonly target: RedisTarget
}

/** The plugin. It registers at once, and in the same way, whether Redis lives or not. */
export const redisClient = fastifyPlugin<RedisClientOptions>(
  async (app, { target }) => {
    const client = createClient(target)
    // An error without a listener would be printed by ioredis, whoever used the client by mistake.
    client.on('error', () => {})
    // @fastify/redis waits for a client that is ready, up to the time-out of plugins; ours stays without a server.
    client.status = 'ready'
    await app.register(fastifyRedis, { client })
    client.status = 'wait'
    app.addHook('onClose', async () => client.disconnect())
  },
  { fastify: '5.x', name: '@holdfast/api/redis-client' },
)

/** Makes a client that is not connected, and would keep no command for later. `INFO` is asked first unless told not to. */
export function createClient(
  target: RedisTarget,
  { enableReadyCheck = true }: Pick<RedisOptions, 'enableReadyCheck'> = {},
): Redis | Cluster {
  const { mode, nodes, masterName, tls, username, password, database } = target
  const options = {
    lazyConnect: true,
    enableOfflineQueue: false,
    enableReadyCheck,
    maxRetriesPerRequest: 0,
    db: database,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: password.reveal() }),
    ...(tls && { tls: {} }),
  } satisfies RedisOptions
  const sites = nodes.map(({ host, port }) => ({ host, port }))
  if (mode === 'cluster') {
    return new Cluster(sites, { lazyConnect: true, enableOfflineQueue: false, redisOptions: options })
  }
  if (mode === 'sentinel') {
    const secured = tls && { sentinelTLS: {}, enableTLSForSentinelMode: true }
    return new Redis({ ...options, sentinels: sites, name: masterName, ...secured })
  }
  return new Redis({ ...options, ...sites[0] })
}
