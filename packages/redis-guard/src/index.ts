export type { Clock, MetricsRegistry } from '@holdfast/footing'
export type { RedisClient } from './client.ts'
export * as errors from './errors.ts'
export type { StateEvent } from './events.ts'
export { GuardedRedis } from './guarded-redis.ts'
export {
  FencedLeases,
  type HeldByOther,
  Lease,
  type LeaseContext,
  type LeasedResult,
  type LeaseName,
  type LeaseRedis,
  type LeaseTerms,
} from './lease.ts'
export { Heartbeat, type HeartbeatPlan, type LeaseLoss } from './lease-heartbeat.ts'
export { leaseLua, renewScript as renewLeaseScript } from './lease-scripts.ts'
export {
  type ClusterNode,
  type GuardedRedisOptions,
  newOwnerName,
  type RedisGuardOptions,
} from './options.ts'
export { default, redisGuard } from './plugin.ts'
export type {
  CallCounts,
  CallOptions,
  ChannelHandlers,
  RedisArgument,
  RedisCalls,
  RedisGuard,
  RedisGuardSnapshot,
  RedisHealth,
  RedisScript,
  RedisState,
} from './redis-guard.ts'
