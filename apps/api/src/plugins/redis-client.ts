// The client of Redis, through @fastify/redis: `app.redis`. It is given to the redis-guard, which everything else goes
// through; nothing but the guard uses it.

import fastifyRedis from '@fastify/redis'
import { fastifyPlugin } from 'fastify-plugin'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import type { RedisTarget } from '../redis-target.ts'

const CONNECT_TIMEOUT_MS = 1000
const LONGEST_RETRY_MS = 500

/** Which Redis. */
export interface RedisClientOptions {
  readonly target: RedisTarget
}

/** The plugin. It registers at once, and in the same way, whether Redis lives or not. */
export const redisClient = fastifyPlugin<RedisClientOptions>(
  async (app, { target }) => {
    const client = createClient(target)
    // Without a listener an error would be printed by ioredis; what is told about Redis, the guard tells.
    client.on('error', () => {})
    // @fastify/redis waits for a client that is ready, up to the time-out of plugins; ours may be without a server.
    client.status = 'ready'
    await app.register(fastifyRedis, { client })
    client.status = 'wait'
    app.addHook('onClose', async () => client.disconnect())
  },
  { fastify: '5.x', name: '@holdfast/api/redis-client' },
)

/** Makes a client that is not connected yet, and never keeps a command for later. */
export function createClient(target: RedisTarget): Redis | Cluster {
  const { mode, nodes, masterName, tls, username, password, database } = target
  const retryDelayMs = (attempt: number) => Math.min(50 * attempt, LONGEST_RETRY_MS)
  const options = {
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    retryStrategy: retryDelayMs,
    keepAlive: 10_000,
    db: database,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: password.reveal() }),
    ...(tls && { tls: {} }),
  } satisfies RedisOptions
  const sites = nodes.map(({ host, port }) => ({ host, port }))
  if (mode === 'cluster') {
    return new Cluster(sites, {
      lazyConnect: true,
      enableOfflineQueue: false,
      clusterRetryStrategy: retryDelayMs,
      slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
      redisOptions: options,
    })
  }
  if (mode === 'sentinel') {
    return new Redis({
      ...options,
      sentinels: sites,
      name: masterName,
      sentinelRetryStrategy: retryDelayMs,
      ...(tls && { sentinelTLS: {}, enableTLSForSentinelMode: true }),
    })
  }
  return new Redis({ ...options, ...sites[0] })
}
