export type { Clock } from '@holdfast/footing'
export { type Claim, claim } from './claim.ts'
export { DenyCache, type DenyCacheOptions } from './deny-cache.ts'
export * as errors from './errors.ts'
export { type Fallback, LocalFallback } from './fallback.ts'
export {
  type DecideOptions,
  type PolicyCounts,
  RateLimiter,
  type RateLimiterParts,
  type RateLimiterSnapshot,
} from './limiter.ts'
export { MemoryStore, type MemoryStoreOptions } from './memory-store.ts'
export type { TenantRateLimitOptions } from './options.ts'
export { type TenantRateLimit, tenantRateLimit, tenantRateLimit as default } from './plugin.ts'
export { Policies, type PolicySet, type PolicySource } from './policies.ts'
export type { OnStoreLoss, Policy, PolicyDefinition } from './policy.ts'
export { type LimitRedis, RedisStore } from './redis-store.ts'
export type { Decision, DecisionSource, LimitStore, Reservation, Verdict } from './store.ts'
