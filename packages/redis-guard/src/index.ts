export type { Clock, MetricsRegistry } from '@holdfast/footing'
export type { RedisClient } from './client.ts'
export * as errors from './errors.ts'
export { GuardedRedis } from './guarded-redis.ts'
export type { ClusterNode, GuardedRedisOptions, RedisGuardOptions } from './options.ts'
export { default, redisGuard } from './plugin.ts'
export type {
  CallCounts,
  CallOptions,
  ChannelHandlers,
  RedisArgument,
  RedisGuard,
  RedisGuardSnapshot,
  RedisHealth,
  RedisScript,
  RedisState,
} from './redis-guard.ts'
