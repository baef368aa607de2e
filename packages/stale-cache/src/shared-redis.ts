import type { RedisGuard } from '@holdfast/redis-guard'

/** What the second level needs of a `RedisGuard`. */
export type SharedRedis = Pick<
  RedisGuard,
  'available' | 'run' | 'call' | 'key' | 'subscribe' | 'listening' | 'onStateChange'
>
