/* The limiter of an application: in memory alone, or on Redis with what makes that quick and safe to lose. */
import type { Clock } from '@holdfast/footing'
import { DenyCache } from './deny-cache.ts'
import { LocalFallback } from './fallback.ts'
import { type FleetRedis, joinFleet } from './fleet-size.ts'
import type { LeaseTerms } from './lease-terms.ts'
import { LeasedStore } from './leases.ts'
import { RateLimiter } from './limiter.ts'
import { MemoryStore } from './memory-store.ts'
import { RedisStore } from './redis-store.ts'

/** What a limiter is composed of. */
export interface LimiterSettings {
  readonly redis: FleetRedis | undefined
  readonly clock: Clock
  /** Buckets that are kept in memory. */
  readonly maxKeys: number
  readonly denyFloorMs: number
  /** Processes that share the buckets, at least. Default 1. */
  readonly processes?: number
  /** Default: nothing is lent. */
  readonly leases?: LeaseTerms | undefined
}

export function composeLimiter(settings: LimiterSettings): RateLimiter {
  const { redis, clock, maxKeys, denyFloorMs, leases, processes: least } = settings
  if (redis === undefined) return new RateLimiter({ store: new MemoryStore({ clock, maxKeys }), clock })
  const fleet = joinFleet(redis, clock, least)
  const processes = () => fleet.size
  const store = new RedisStore(redis)
  const fallback = new LocalFallback({
    clock,
    maxKeys,
    store,
    processes,
    onRecovery: (listener) =>
      redis.onStateChange((state) => {
        if (state === 'up') listener()
      }),
  })
  const leased =
    leases &&
    new LeasedStore({
      store,
      clock,
      terms: leases,
      processes,
      onLearned: (verdict) => fallback.observe({ verdicts: [verdict] }),
    })
  return new RateLimiter({
    store: leased ?? store,
    clock,
    denyCache: new DenyCache({ maxKeys, floorMs: denyFloorMs }),
    fallback,
    leases: leased,
    fleet,
  })
}
