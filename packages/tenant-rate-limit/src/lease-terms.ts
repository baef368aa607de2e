/*
 * Prepaid leases: a process takes units of a bucket in advance, and lets requests pass with them without asking. The
 * arithmetic of lending and giving back, which the Lua twin in `lease-script.ts` follows operation for operation.
 *
 * Guarantee. Let B be the capacity, R the refill, N the number of processes, L the life of a lease from the moment it
 * was asked for, g the most units of a bucket that one process holds, and s the share that all may hold together. In
 * any time t at most B + R * t + E units are taken, where
 *
 *     E = min(N * g, R * L, s * B)
 *
 * Units only come out of the bucket, so all that can pass from any moment on is what the bucket holds then, what comes
 * back, and what is lent at that moment. The bucket holds B at most, hence E is at most what is lent: N * g; and s * B
 * as long as no process believes in fewer of them than there are. It is also at most R * L: what is spent was lent at
 * most L ago, and since then the bucket has got back R * L at most.
 *
 * The last is true only because what is given back is less by what the bucket has got back meanwhile. Who gave back
 * all of it could lend, let the bucket fill, give back and lend again, until N * g were lent beside a full bucket,
 * without anybody having been let pass.
 *
 * In the long run no more than R passes, because every unit is paid before it is spent; a process that ends without
 * giving back loses units, and lets nobody pass with them.
 */
import type { OptionChecks } from '@holdfast/footing'
import type { Policy } from './policy.ts'
import { type BucketTerms, bucketTerms, remainingUnits } from './token-bucket.ts'

/** How units are lent. */
export interface LeaseOptions {
  /** Milliseconds for which units may be spent, from the moment they were asked for: 10 to 10,000. Default 100. */
  readonly leaseMs?: number
  /** The most units of one bucket that one process holds. Default 10,000. */
  readonly maxUnits?: number
  /** The part of what a bucket holds that may be lent, to all processes together: above 0, at most 1. Default 0.1. */
  readonly share?: number
  /** Requests a second for one bucket from which on a process asks for a lease. Default 20. */
  readonly minPerSecond?: number
  /**
   * Lends without any excess: every bucket holds less, by `share`, which is what leases could make too much. Policies
   * that are strict themselves are always lent like that. Default false.
   */
  readonly strict?: boolean
}

/** The same with every default filled in. */
export type LeaseTerms = Required<LeaseOptions>

/** The terms; undefined when nothing is lent. Raises what `checks` raise. */
export function resolveLeases(options: boolean | LeaseOptions, checks: OptionChecks): LeaseTerms | undefined {
  if (options === false) return undefined
  const given = options === true ? {} : checks.object('leases', options)
  const terms = {
    leaseMs: checks.duration('leases.leaseMs', given.leaseMs ?? 100, 10, 10_000),
    maxUnits: checks.count('leases.maxUnits', given.maxUnits ?? 10_000, LEAST_LOAN),
    share: checks.number('leases.share', given.share ?? 0.1, Number.MIN_VALUE, 1),
    minPerSecond: checks.number('leases.minPerSecond', given.minPerSecond ?? 20, 0, Number.MAX_SAFE_INTEGER),
    strict: checks.flag('leases.strict', given.strict ?? false),
  }
  checks.onlyKnown('leases.', given, Object.keys(terms))
  return terms
}

/** For fewer it is not worth to ask. */
export const LEAST_LOAN = 2

/**
 * Units that are lent of a bucket of which `used` ticks are used, to a process that wants `want` and holds `held`.
 * `portion` is the part of what is available that one process may hold.
 */
export function loanUnits(
  terms: BucketTerms,
  used: number,
  want: number,
  held: number,
  portion: number,
): number {
  const room = Math.floor(remainingUnits(terms, used) * portion) - held
  const loan = Math.min(want, room)
  return loan < LEAST_LOAN ? 0 : loan
}

/** Ticks that come back to the bucket when `unused` ticks are given back that were lent `ageUs` ago. */
export function returnedTicks(terms: BucketTerms, unused: number, ageUs: number): number {
  return Math.max(0, unused - ageUs * terms.ticksPerUs)
}

/** Whether this policy must never be exceeded, not even by what is lent. */
export function lendsExactly(policy: Policy, terms: LeaseTerms): boolean {
  return policy.strict || terms.strict
}

/**
 * The policy with a smaller capacity, when leases must not exceed it: what is kept back is the most that they could
 * make too much. It holds at least one unit less than stated, or is not lent at all.
 */
export function withReserve(policy: Policy, terms: LeaseTerms): Policy {
  if (!lendsExactly(policy, terms)) return policy
  const reserve = Math.floor(policy.capacity * terms.share)
  const capacity = policy.capacity - reserve
  if (reserve < 1 || capacity < 1) return policy
  const refill = { units: policy.ticksPerUs, us: policy.emissionTicks }
  const smaller = bucketTerms(capacity, refill)
  return smaller === undefined ? policy : { ...policy, ...smaller, leaseReserve: reserve }
}

/** Milliseconds for which units of this policy may be spent; 0 when it is not lent. */
export function leaseMsOf(policy: Policy, terms: LeaseTerms): number {
  if (!lendsExactly(policy, terms)) return terms.leaseMs
  // In this time no more comes back than was kept back.
  return Math.min(terms.leaseMs, ((policy.leaseReserve ?? 0) * policy.emissionUs) / 1000)
}

/**
 * By how many units at most leases exceed a policy in any time; with `processes` not known, the bound that does not
 * depend on it.
 */
export function leaseExcess(policy: Policy, terms: LeaseTerms, processes = Number.POSITIVE_INFINITY): number {
  if (lendsExactly(policy, terms)) return 0
  const lent = Math.min(processes * terms.maxUnits, terms.share * policy.capacity)
  return Math.min(lent, (terms.leaseMs * 1000) / policy.emissionUs)
}
