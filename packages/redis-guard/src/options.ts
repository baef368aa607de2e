import { randomBytes } from 'node:crypto'
import { type Clock, type MetricsRegistry, OptionChecks, systemClock } from '@holdfast/footing'
import { MAX_BATCH_ROWS } from './batch.ts'
import type { ClientSource, RedisClient } from './client.ts'
import { OptionError } from './errors.ts'

/** A node of a cluster, from which the others are learnt. */
export interface ClusterNode {
  readonly host: string
  readonly port: number
}

/** Options of the plugin. One of `client`, `url`, `connection` and `cluster` says where Redis is. */
export interface RedisGuardOptions {
  /**
   * An ioredis instance, for example `app.redis` of `@fastify/redis`: a `Redis` (also of Sentinel) or a `Cluster`. It
   * is the pattern for our own connections, and otherwise left alone. Default: none.
   */
  readonly client?: RedisClient
  /** `redis://` or `rediss://` with address, credentials and database; ioredis is loaded. Default: none. */
  readonly url?: string
  /** ioredis options: `host`, `port`, `sentinels`, `name`, `tls`...; of every node with `cluster`. Default: none. */
  readonly connection?: Readonly<Record<string, unknown>>
  /** Nodes of a Redis Cluster to begin with. Default: none. */
  readonly cluster?: readonly ClusterNode[]
  /** Milliseconds that a call waits for its reply, from 1 to 60,000. Default 50. */
  readonly budgetMs?: number
  /** Milliseconds for a new connection, its handshake included; twice that with Sentinel or a cluster. Default 500. */
  readonly connectTimeoutMs?: number
  /** The longest pause between two attempts to connect, in ms. Default 500. */
  readonly maxReconnectMs?: number
  /** Milliseconds between two probes of each connection, also while it is idle. Default 1000. */
  readonly heartbeatMs?: number
  /** Milliseconds that the preparations of `beforeUp` may take together; at most 30,000. Default 2000. */
  readonly prepareMs?: number
  /** Calls that may wait for a reply of Redis, also those whose caller was answered without it. Default 4096. */
  readonly maxInFlight?: number
  /** The most calls in one batch, up to 128. Default 128. */
  readonly maxBatchRows?: number
  /** Handlers of channels. Default 1000. */
  readonly maxSubscriptions?: number
  /** The first part of every key: 1 to 32 letters, digits, `_` and `-`. Default `hf`. */
  readonly prefix?: string
  /**
   * Names this door: its breaker, the label `redis` of its metrics, and its check in `@holdfast/health`. Two doors that
   * share a registry must have two names. Default `redis`.
   */
  readonly name?: string
  /** Where time comes from. Default: `systemClock`. */
  readonly clock?: Clock
  /** Numbers in [0, 1) for pauses and choices. Default `Math.random`. */
  readonly random?: () => number
  /** Milliseconds that `register()` waits for Redis; it never fails because Redis is away. Default 500. */
  readonly startupWaitMs?: number
  /** Where the metrics are registered. Default: nowhere; prom-client is not loaded. */
  readonly registry?: MetricsRegistry
}

/** Options of a `GuardedRedis`. */
export type GuardedRedisOptions = Omit<RedisGuardOptions, 'startupWaitMs' | 'registry'>

/** The options of a `GuardedRedis` with every default filled in. */
export interface ResolvedOptions
  extends Required<Omit<GuardedRedisOptions, 'client' | 'url' | 'connection' | 'cluster'>> {
  readonly source: ClientSource
}

/** The longest budget; what takes longer does not belong on a shared connection. */
export const MAX_BUDGET_MS = 60_000

/** Refuses wrong options with `HOLDFAST_ERR_REDIS_GUARD_OPTION`. */
export const checks = new OptionChecks((...details) => new OptionError(...details))

const prefixPattern = /^[A-Za-z0-9_-]{1,32}$/
const ownNames: readonly (keyof RedisGuardOptions)[] = ['startupWaitMs', 'registry']

/** Fills in the defaults; raises `HOLDFAST_ERR_REDIS_GUARD_OPTION` for a wrong value and for an unknown name. */
export function resolveOptions(options: GuardedRedisOptions): ResolvedOptions {
  checks.object('options', options)
  const { client, url, connection, cluster } = options
  const settings = {
    budgetMs: checks.count('budgetMs', options.budgetMs ?? 50, 1, MAX_BUDGET_MS),
    connectTimeoutMs: checks.duration('connectTimeoutMs', options.connectTimeoutMs ?? 500, 1),
    maxReconnectMs: checks.duration('maxReconnectMs', options.maxReconnectMs ?? 500, 1),
    heartbeatMs: checks.duration('heartbeatMs', options.heartbeatMs ?? 1000, 1),
    prepareMs: checks.duration('prepareMs', options.prepareMs ?? 2000, 1, 30_000),
    maxInFlight: checks.count('maxInFlight', options.maxInFlight ?? 4096),
    maxBatchRows: checks.count('maxBatchRows', options.maxBatchRows ?? MAX_BATCH_ROWS, 1, MAX_BATCH_ROWS),
    maxSubscriptions: checks.count('maxSubscriptions', options.maxSubscriptions ?? 1000, 0),
    prefix: prefixOf(options.prefix ?? 'hf'),
    name: checks.text('name', options.name ?? 'redis', 63),
    clock: checks.having('clock', options.clock ?? systemClock, ['nowMs', 'wallMs', 'schedule']),
    random: checks.callable('random', options.random ?? Math.random),
  }
  const sources = Object.keys({ client, url, connection, cluster })
  checks.onlyKnown('', options, [...sources, ...Object.keys(settings)])
  return { ...settings, source: sourceOf(options) }
}

/** The options of the plugin alone; the others are checked by `resolveOptions`. */
export function resolvePluginOptions(options: RedisGuardOptions) {
  checks.object('options', options)
  const registry = checks.having('registry', options.registry, ['registerMetric', 'getSingleMetric'])
  return {
    startupWaitMs: checks.duration('startupWaitMs', options.startupWaitMs ?? 500),
    registry,
    settings: Object.fromEntries(
      Object.entries(options).filter(([name]) => !ownNames.some((own) => own === name)),
    ) as GuardedRedisOptions,
  }
}

/** Differs in every process and at every call: what makes the tokens of its leases its own. */
export function newOwnerName(): string {
  return randomBytes(12).toString('base64url')
}

function prefixOf(value: string): string {
  if (typeof value !== 'string' || !prefixPattern.test(value)) {
    checks.refuse('prefix', '1 to 32 letters, digits, _ and -', value)
  }
  return value
}

function sourceOf({ client, url, connection, cluster }: GuardedRedisOptions): ClientSource {
  const given = [client, url, cluster].filter((source) => source !== undefined).length
  if (given > 1) checks.refuse('client', 'the only one of client, url and cluster', 'several of them')
  if (connection !== undefined) checks.object('connection', connection)
  if (client !== undefined) {
    if (connection !== undefined) checks.refuse('connection', 'left out with client', connection)
    const isClient = typeof client === 'object' && client !== null && typeof client.duplicate === 'function'
    if (!isClient) checks.refuse('client', 'an ioredis Redis or Cluster', client)
    return { client }
  }
  if (cluster !== undefined) {
    if (!Array.isArray(cluster) || cluster.length === 0) {
      checks.refuse('cluster', 'a list of at least one node', cluster)
    }
    for (const node of cluster) {
      checks.object('cluster', node)
      checks.text('cluster.host', node.host)
      checks.count('cluster.port', node.port, 1, 65_535)
    }
    return { cluster, connection: connection ?? {} }
  }
  if (url !== undefined) {
    if (typeof url !== 'string' || !/^rediss?:\/\//.test(url)) {
      // Its text is not shown: it may carry a password.
      checks.refuse('url', "a text that begins with 'redis://' or 'rediss://'", typeof url)
    }
    return { url, connection: connection ?? {} }
  }
  if (connection === undefined) {
    return checks.refuse('client', 'given, or one of url, connection and cluster', client)
  }
  return { url: undefined, connection }
}
