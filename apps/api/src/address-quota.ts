// A limit of addresses in the terms of @fastify/rate-limit, which knows a number and a window and nothing else.

import { errors, Policies } from '@holdfast/tenant-rate-limit'

/** What a limit may be off by. */
const MAX_ROUNDING = 0.02

/** So many requests in so many milliseconds. */
export interface AddressQuota {
  readonly max: number
  readonly timeWindow: number
}

/**
 * Raises `HOLDFAST_ERR_TENANT_RATE_LIMIT_POLICY` for a limit that is none, and for one that would be kept in another
 * way than it says: `shadow` would refuse people, `strict` would be lent from like any other, and a window is whole
 * milliseconds: one of none would limit nobody, and one of 1.67 ms be 1 for a route and 2 for all.
 */
export function addressQuota(limit: string): AddressQuota {
  const policy = new Policies({ policies: { address: limit } }).get('address')
  if (policy === undefined) throw new Error('there is no policy')
  const exactMs = (policy.capacity * 1000) / policy.refillPerSecond
  if (policy.shadow) throw new errors.PolicyError('address', 'there is no shadow for addresses')
  if (policy.strict) throw new errors.PolicyError('address', 'there is no strict for addresses')
  if (exactMs < 1) {
    throw new errors.PolicyError('address', 'it must not be full again within a millisecond for addresses')
  }
  const timeWindow = Math.round(exactMs)
  if (Math.abs(timeWindow - exactMs) > MAX_ROUNDING * exactMs) {
    throw new errors.PolicyError(
      'address',
      `it must take whole milliseconds from empty to full for addresses, not ${exactMs.toFixed(2)}`,
    )
  }
  return { max: policy.capacity, timeWindow }
}
