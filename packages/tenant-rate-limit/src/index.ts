export type { Clock, MetricsRegistry } from '@holdfast/footing'
export { type Claim, claim } from './claim.ts'
export { DenyCache, type DenyCacheOptions } from './deny-cache.ts'
export * as errors from './errors.ts'
export type { RefusedEvent, UpdatedEvent } from './events.ts'
export {
  type CatchingUp,
  type Fallback,
  type FallbackSnapshot,
  LocalFallback,
  type LocalFallbackParts,
} from './fallback.ts'
export {
  type FastifyRateLimitCount,
  type FastifyRateLimitStore,
  type FastifyRateLimitStoreOptions,
  fastifyRateLimitStore,
} from './fastify-rate-limit-store.ts'
export { type FleetMember, type FleetRedis, joinFleet } from './fleet-size.ts'
export type { Loan } from './lease-script.ts'
export { type LeaseOptions, type LeaseTerms, leaseExcess, withReserve } from './lease-terms.ts'
export { LeasedStore, type LeasedStoreParts, type LeaseSnapshot, type LendingStore } from './leases.ts'
export {
  type DecideOptions,
  type PolicyCounts,
  RateLimiter,
  type RateLimiterParts,
  type RateLimiterSnapshot,
} from './limiter.ts'
export { MemoryStore, type MemoryStoreOptions } from './memory-store.ts'
export type { TenantRateLimitOptions } from './options.ts'
export {
  type RequestLimit,
  type TenantRateLimit,
  type TenantRateLimitByHand,
  type TenantRateLimitPluginOptions,
  type TenantRateLimitRouteSetting,
  tenantRateLimit,
  tenantRateLimit as default,
} from './plugin.ts'
export { Policies, type PolicySet, type PolicySource } from './policies.ts'
export type { OnStoreLoss, Policy, PolicyDefinition } from './policy.ts'
export type { HeaderFamily } from './rate-limit-headers.ts'
export { type LimitRedis, RedisStore } from './redis-store.ts'
export type { Refusal } from './refusal.ts'
export type { GuardCounts } from './route-guard.ts'
export type { TenantRateLimitSnapshot } from './route-guards.ts'
export type { CountBy, Counted, OnLimit, RateLimitRule, RouteLimitOptions } from './route-options.ts'
export type { PeekedLike } from './stale-answers.ts'
export type { Decision, DecisionSource, LimitStore, Reservation, Verdict } from './store.ts'
