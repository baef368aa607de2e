import { type Clock, OptionChecks, systemClock } from '@holdfast/footing'
import { OptionError } from './errors.ts'
import type { PolicySet } from './policies.ts'
import type { LimitRedis } from './redis-store.ts'

/** The options of the plugin. */
export interface TenantRateLimitOptions extends PolicySet {
  /** `app.redisGuard`: buckets are shared by all processes. Default: none; each process counts for itself. */
  readonly redis?: LimitRedis
  /** Where time comes from. Default: `systemClock`. */
  readonly clock?: Clock
}

/** The options with every default filled in. */
export type ResolvedOptions = PolicySet & {
  readonly redis: LimitRedis | undefined
  readonly clock: Clock
}

/** Refuses wrong options with `HOLDFAST_ERR_TENANT_RATE_LIMIT_OPTION`. */
export const checks = new OptionChecks((...details) => new OptionError(...details))

/** Fills in the defaults; raises `HOLDFAST_ERR_TENANT_RATE_LIMIT_OPTION` for a wrong value and for an unknown name. */
export function resolveOptions(options: TenantRateLimitOptions): ResolvedOptions {
  checks.object('options', options)
  const { redis, clock, ...set } = options
  checks.object('policies', set.policies)
  checks.onlyKnown('', set, ['policies', 'groups', 'overrides', 'shadow', 'onStoreLoss', 'redis', 'clock'])
  return {
    ...set,
    redis: checks.having('redis', redis, ['run', 'key']),
    clock: checks.having('clock', clock ?? systemClock, ['nowMs', 'wallMs', 'schedule']),
  }
}
