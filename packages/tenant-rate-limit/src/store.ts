import type { Claim } from './claim.ts'
import type { Policy } from './policy.ts'
import { debitTicks, remainingUnits, ticksToMs, waitTicks } from './token-bucket.ts'

/** What became of one claim. */
export interface Verdict {
  readonly claim: Claim
  readonly policy: Policy
  /** Whether this bucket holds enough. */
  readonly allowed: boolean
  /** Whole units left: after the request when they were taken, else as they are. */
  readonly remaining: number
  /** Until this cost can be taken: 0 when it can at once; Infinity when it never can, being more than the capacity. */
  readonly retryAfterMs: number
  /** Until the bucket is full. */
  readonly resetMs: number
  /** What is used of the bucket, exactly, in ticks of the policy; after the request as `remaining` is. */
  readonly usedTicks: number
}

/** Who decided. */
export type DecisionSource = 'memory' | 'redis' | 'lease' | 'denied-locally' | 'fallback'

/** What became of a request. */
export interface Decision {
  readonly allowed: boolean
  /** The names of the policies that refused it; none when it was let pass, or only shadow policies were violated. */
  readonly violated: readonly string[]
  /** One for each claim that was looked at, in their order: a refusal out of memory tells of those it knows. */
  readonly verdicts: readonly Verdict[]
  /** The longest of the policies that refused it; 0 when it was let pass. */
  readonly retryAfterMs: number
  readonly source: DecisionSource
  /** Decided without the shared store: what is remaining is this process's own view. */
  readonly degraded: boolean
  /** When it was asked for, and something was taken. */
  readonly reservation?: Reservation | undefined
}

/** What a request has taken, until it is settled. */
export interface Reservation {
  /** The claims that were taken: those of shadow policies that were violated are not among them. */
  readonly claims: readonly Claim[]
  /** Who took them, and gets them back. */
  readonly store: Pick<LimitStore, 'refund'>
}

/**
 * Buckets, somewhere. The contract:
 *
 * - All or nothing: either every claim is taken, or none. A claim of a shadow policy that does not fit is left out and
 *   refuses nobody. A refusal writes nothing, but for a bucket whose state is broken.
 * - Each bucket keeps to `token-bucket.ts`, by the clock of the store. Two claims on one bucket are taken in order.
 * - Claims of several slots are decided slot by slot, in the order in which the slots first appear. A refusal gives
 *   back what the slots before it have taken.
 * - A bucket is forgotten only when it is full; or, where memory is bounded, in a way that gives nobody more.
 */
export interface LimitStore {
  /** Whether it can decide at present. Synchronous and free. */
  readonly available: boolean
  /** Requests that took from one slot, got no answer or a refusal of another, and could not give it back. Default: 0. */
  readonly refundsLost?: number
  /**
   * Decides by what this process has been lent in advance, also while the store is away; undefined when that does not
   * cover all claims. With `reserve` the decision has its reservation. Default: nothing is lent.
   */
  held?(claims: readonly Claim[], mode: 'consume' | 'peek', reserve: boolean): Decision | undefined
  /** Answers at once wherever nothing has to be asked. Rejects when it cannot decide. */
  decide(claims: readonly Claim[], mode: 'consume' | 'peek'): Decision | Promise<Decision>
  /** Gives back what was taken: no bucket gets fuller than full. */
  refund(claims: readonly Claim[]): void | Promise<void>
  /** Fills these buckets. */
  forget(claims: readonly Claim[]): void | Promise<void>
  close(): Promise<void>
}

/** The decision about claims of which `used[i]` ticks were used before. The arithmetic of every store. */
export function decisionOf(
  claims: readonly Claim[],
  used: readonly number[],
  mode: 'consume' | 'peek',
  source: DecisionSource,
  degraded = false,
): Decision {
  let retryAfterMs = 0
  let violated: string[] | undefined
  const verdicts: Verdict[] = []
  for (let at = 0; at < claims.length; at += 1) {
    const { policy, cost } = claims[at] as Claim
    const wait = waitTicks(policy, used[at] as number, cost)
    if (wait === 0 || policy.shadow) continue
    violated ??= []
    violated.push(policy.name)
    retryAfterMs = Math.max(retryAfterMs, ticksToMs(policy, wait))
  }
  const allowed = violated === undefined
  const taken = allowed && mode === 'consume'
  for (let at = 0; at < claims.length; at += 1) {
    const claim = claims[at] as Claim
    const before = used[at] as number
    const wait = waitTicks(claim.policy, before, claim.cost)
    const after = taken && wait === 0 ? before + debitTicks(claim.policy, claim.cost) : before
    verdicts.push(verdictOf(claim, wait, after))
  }
  return { allowed, violated: violated ?? none, verdicts, retryAfterMs, source, degraded }
}

/** A verdict: `wait` ticks until the cost fits, `used` ticks used now. */
export function verdictOf(claim: Claim, wait: number, used: number): Verdict {
  const { policy } = claim
  return {
    claim,
    policy,
    allowed: wait === 0,
    remaining: remainingUnits(policy, used),
    retryAfterMs: ticksToMs(policy, wait),
    resetMs: ticksToMs(policy, used),
    usedTicks: used,
  }
}

const none: readonly string[] = Object.freeze([])
