/*
 * What an answer says about the limits of its request.
 *
 * `draft`: `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers-11. There `q` per `w` is what a
 * client can keep up forever: the capacity, and the seconds in which an empty bucket gets full. `r` is what it can use
 * now, and `t` the time for which it lasts at that pace: whoever spreads `r` requests over `t` seconds, or over any
 * longer time, is not refused. With nothing left, `t` is the time until there is something.
 *
 * `x-ratelimit` and `x-rate-limit`: the headers of older clients. They speak of one bucket only, the one with least
 * left; `Reset` is the seconds until it is full.
 *
 * Guarantees: no number is larger than what the bucket holds; seconds are rounded up. A decision that was made without
 * the shared store says what the limits are, and nothing about what is left. Shadow policies are never shown; the
 * ceilings of groups only where they refuse, because what is left of them tells about other clients.
 */
import { wholeSeconds } from '@holdfast/footing'
import { groupOf } from './group-name.ts'
import type { Policy } from './policy.ts'
import type { Decision, Verdict } from './store.ts'

/** Which headers an answer carries. */
export type HeaderFamily = 'draft' | 'x-ratelimit' | 'x-rate-limit'

/** Every family there is. */
export const HEADER_FAMILIES: readonly HeaderFamily[] = ['draft', 'x-ratelimit', 'x-rate-limit']

/** Receives the headers; a Fastify reply does. */
export interface HeaderSink {
  header(name: string, value: string): unknown
}

export class RateLimitHeaders {
  readonly #draft: boolean
  readonly #xRatelimit: boolean
  readonly #xRateLimit: boolean
  readonly #policyItems = new WeakMap<Policy, string>()

  constructor(families: readonly HeaderFamily[]) {
    this.#draft = families.includes('draft')
    this.#xRatelimit = families.includes('x-ratelimit')
    this.#xRateLimit = families.includes('x-rate-limit')
  }

  /** Sets the headers for a decision. */
  write(sink: HeaderSink, decision: Decision): void {
    const { verdicts, allowed, degraded } = decision
    const refused = !allowed
    let tightest: Verdict | undefined
    let limits = ''
    let policies = ''
    for (let at = 0; at < verdicts.length; at += 1) {
      const verdict = verdicts[at] as Verdict
      if (!isShown(verdict, refused)) continue
      if (tightest === undefined || isTighter(verdict, tightest)) tightest = verdict
      if (!this.#draft) continue
      if (policies !== '') {
        limits += ', '
        policies += ', '
      }
      if (!degraded) limits += limitItem(verdict)
      policies += this.#policyItem(verdict.policy)
    }
    if (tightest === undefined) return
    if (this.#draft) {
      if (!degraded) sink.header('ratelimit', limits)
      sink.header('ratelimit-policy', policies)
    }
    if (this.#xRatelimit) sink.header('x-ratelimit-limit', String(tightest.policy.capacity))
    if (degraded) return
    const remaining = String(tightest.remaining)
    const reset = String(wholeSeconds(tightest.resetMs, 0))
    if (this.#xRatelimit) {
      sink.header('x-ratelimit-remaining', remaining)
      sink.header('x-ratelimit-reset', reset)
    }
    if (this.#xRateLimit) {
      sink.header('x-rate-limit-remaining', remaining)
      sink.header('x-rate-limit-reset', reset)
    }
  }

  #policyItem(policy: Policy): string {
    let item = this.#policyItems.get(policy)
    if (item === undefined) {
      item = policyItem(policy)
      this.#policyItems.set(policy, item)
    }
    return item
  }
}

/** A member of `RateLimit-Policy`. */
export function policyItem({ name, capacity, emissionUs }: Policy): string {
  // A name is a token of letters, digits, '_', '-' and '/': nothing in it needs an escape.
  return `"${name}";q=${capacity};w=${wholeSeconds((capacity * emissionUs) / 1000)}`
}

/** A member of `RateLimit`. */
export function limitItem(verdict: Verdict): string {
  return `"${verdict.policy.name}";r=${verdict.remaining};t=${effectiveWindowSeconds(verdict)}`
}

/**
 * The value of `Retry-After` for a refusal: whole seconds, rounded up and at least 1, so that a retry does not come too
 * early. Undefined when no retry can succeed.
 */
export function retryAfterSeconds({ retryAfterMs }: Pick<Decision, 'retryAfterMs'>): number | undefined {
  return Number.isFinite(retryAfterMs) ? wholeSeconds(retryAfterMs) : undefined
}

function effectiveWindowSeconds({ policy, allowed, remaining, retryAfterMs, resetMs }: Verdict): number {
  if (!allowed && Number.isFinite(retryAfterMs)) return wholeSeconds(retryAfterMs)
  if (remaining > 0) return wholeSeconds((remaining * policy.emissionUs) / 1000)
  // Empty but for a fraction of a unit: it is full without the units that come after the next one.
  return wholeSeconds(resetMs - ((policy.capacity - 1) * policy.emissionUs) / 1000)
}

function isShown({ policy, allowed }: Verdict, refused: boolean): boolean {
  if (policy.shadow) return false
  return refused ? !allowed : !isCeiling(policy)
}

/** Whether it is the ceiling of a group. */
function isCeiling({ name }: Policy): boolean {
  return groupOf(name) !== undefined
}

function isTighter(verdict: Verdict, other: Verdict): boolean {
  if (verdict.remaining !== other.remaining) return verdict.remaining < other.remaining
  return verdict.resetMs > other.resetMs
}
