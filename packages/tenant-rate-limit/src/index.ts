export type { Clock, MetricsRegistry } from '@holdfast/footing'
export { type Claim, claim } from './claim.ts'
export * as errors from './errors.ts'
export type { RefusedEvent, UpdatedEvent } from './events.ts'
export {
  type FastifyRateLimitCount,
  type FastifyRateLimitStore,
  type FastifyRateLimitStoreOptions,
  fastifyRateLimitStore,
} from './fastify-rate-limit-store.ts'
export type { LeaseOptions } from './lease-terms.ts'
export type { DecideOptions, RateLimiter, RateLimiterSnapshot } from './limiter.ts'
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
export type { Refusal } from './refusal.ts'
export type { TenantRateLimitSnapshot } from './route-guards.ts'
export type { CountBy, Counted, OnLimit, RateLimitRule, RouteLimitOptions } from './route-options.ts'
export type { PeekedLike } from './stale-answers.ts'
export type { Decision, DecisionSource, Reservation, Verdict } from './store.ts'
