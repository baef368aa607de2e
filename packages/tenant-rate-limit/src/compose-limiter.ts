/* The limiter of an application: in memory alone, or on Redis with what makes that quick and safe to lose. */
import type { Clock } from '@holdfast/footing'
import { DenyCache } from './deny-cache.ts'
import { LocalFallback } from './fallback.ts'
import { RateLimiter } from './limiter.ts'
import { MemoryStore } from './memory-store.ts'
import { type LimitRedis, RedisStore } from './redis-store.ts'

/** What a limiter is composed of. */
export interface LimiterSettings {
  readonly redis: LimitRedis | undefined
  readonly clock: Clock
  /** Buckets that are kept in memory. */
  readonly maxKeys: number
  readonly denyFloorMs: number
}

export function composeLimiter({ redis, clock, maxKeys, denyFloorMs }: LimiterSettings): RateLimiter {
  if (redis === undefined) return new RateLimiter({ store: new MemoryStore({ clock, maxKeys }), clock })
  return new RateLimiter({
    store: new RedisStore(redis),
    clock,
    denyCache: new DenyCache({ maxKeys, floorMs: denyFloorMs }),
    fallback: new LocalFallback({ clock, maxKeys }),
  })
}
