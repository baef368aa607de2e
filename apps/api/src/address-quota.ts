// A limit of addresses in the terms of @fastify/rate-limit, which knows a number and a window and nothing else.

import { errors, Policies } from '@holdfast/tenant-rate-limit'

/** So many requests in so many milliseconds. */
export interface AddressQuota {
  readonly max: number
  readonly timeWindow: number
}

/**
 * Raises `HOLDFAST_ERR_TENANT_RATE_LIMIT_POLICY` for a limit that is none, and for one that would be kept in another
 * way than it says: `shadow` would refuse people, `strict` would be lent from like any other, and a window of no whole
 * millisecond would limit nobody.
 */
export function addressQuota(limit: string): AddressQuota {
  const policy = new Policies({ policies: { address: limit } }).get('address')
  if (policy === undefined) throw new Error('there is no policy')
  const timeWindow = (policy.capacity * 1000) / policy.refillPerSecond
  if (policy.shadow) throw new errors.PolicyError('address', 'there is no shadow for addresses')
  if (policy.strict) throw new errors.PolicyError('address', 'there is no strict for addresses')
  if (timeWindow < 1) {
    throw new errors.PolicyError('address', 'it must not be full again within a millisecond for addresses')
  }
  return { max: policy.capacity, timeWindow }
}
