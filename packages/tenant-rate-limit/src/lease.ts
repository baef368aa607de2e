/*
 * What one process holds of one bucket: units lent to it in advance, and how many it needs.
 *
 * Guarantees: a unit is spent once, and never later than its loan lasts, counted from the moment it was asked for; no
 * more than `maxUnits` are held or asked for. Demand is a decayed count of what was let pass, so that a bucket nobody
 * draws on is not lent, and a loan is what this process needs until the next. It is more when the last one was spent
 * before its time: a demand that has just begun is met after a few loans, and not only when the count has caught up.
 */
import type { Claim } from './claim.ts'
import type { Loan } from './lease-script.ts'
import { LEAST_LOAN, type LeaseTerms, leaseMsOf } from './lease-terms.ts'
import { microseconds, remainingUnits, usedTicks } from './token-bucket.ts'

/** Units that were lent at once. */
export interface Grant {
  /** Those not spent yet. */
  units: number
  /** When they were lent, in microseconds of the store's clock. */
  readonly atUs: number
  /** On this process's clock. */
  readonly askedAtMs: number
  readonly endsAtMs: number
}

/** What a process asks for. */
export interface LoanRequest {
  readonly want: number
  readonly held: number
}

/** The demand is a mean over so many lives of a lease. */
const MEMORY_LIVES = 5
/** In this last part of its life a lease is renewed. */
const RENEWAL_PART = 0.2
/** A loan is at most so many times what was held after the one before it, when that was spent before its time. */
const GROWTH = 4
/** After a loan of nothing this process waits for the life of a lease, then twice that, up to 16 times. */
const LONGEST_PAUSE = 16

export class Lease {
  /** The bucket. */
  readonly claim: Claim
  /** Where its owner keeps it. */
  readonly place: number
  readonly leaseMs: number
  readonly #terms: LeaseTerms
  /** What one counted request is worth, a second. */
  readonly #perCount: number
  /** The older one first; two at most. */
  #grants: Grant[] = []
  /** What ended with units left. */
  #ended: Grant[] = []
  #asking = false
  #pause = 1
  #pauseUntilMs = Number.NEGATIVE_INFINITY
  /** Above this many units, and before this time, it need not be renewed. */
  #renewBelow = 0
  #renewAfterMs = Number.NEGATIVE_INFINITY
  /** What was held after the last loan, and since when. */
  #lent = 0
  #lentAtMs = Number.NEGATIVE_INFINITY
  #requests = 0
  #units = 0
  #countedAtMs: number
  #usedTicks = 0
  #knownAtUs: number

  constructor(claim: Claim, terms: LeaseTerms, nowMs: number, place = 0) {
    this.claim = claim
    this.place = place
    this.leaseMs = leaseMsOf(claim.policy, terms)
    this.#perCount = 1000 / (this.leaseMs * MEMORY_LIVES)
    this.#terms = terms
    this.#countedAtMs = nowMs
    this.#knownAtUs = microseconds(nowMs)
  }

  /** Whether units are held or on their way. */
  get busy(): boolean {
    return this.#asking || this.#grants.length > 0 || this.#ended.length > 0
  }

  /** Units that can be spent. */
  unitsAt(nowMs: number): number {
    let units = 0
    for (const grant of this.#grants) if (nowMs < grant.endsAtMs) units += grant.units
    return units
  }

  /** The loan that pays for so much, if there is one. */
  grantFor(cost: number, nowMs: number): Grant | undefined {
    for (const grant of this.#grants) if (grant.units >= cost && nowMs < grant.endsAtMs) return grant
    return undefined
  }

  /** Gives a unit that was not needed back to its loan; false when that has ended. */
  putBack(grant: Grant, units: number): boolean {
    if (!this.#grants.includes(grant)) return false
    grant.units += units
    return true
  }

  /** A request for so much was let pass. */
  count(units: number, nowMs: number): void {
    const left = this.#leftAt(nowMs)
    this.#requests = this.#requests * left + 1
    this.#units = this.#units * left + units
    this.#countedAtMs = nowMs
  }

  /** Whether this process draws on the bucket often. */
  hotAt(nowMs: number): boolean {
    return this.#requests * this.#leftAt(nowMs) * this.#perCount >= this.#terms.minPerSecond
  }

  /** The store says that so much is used, what is lent included. */
  learn(usedTicks: number, nowMs: number): void {
    this.#usedTicks = usedTicks
    this.#knownAtUs = microseconds(nowMs)
  }

  /** What is used of the bucket, as far as this process can know: what it holds itself is not. */
  usedAt(nowMs: number): number {
    const { policy } = this.claim
    const held = this.unitsAt(nowMs) * policy.emissionTicks
    return Math.max(0, this.#storedUse(nowMs) - held)
  }

  /** What this process asks for now; undefined when it needs nothing, or would get nothing. */
  requestAt(nowMs: number, portion: number): LoanRequest | undefined {
    if (this.#asking || nowMs < this.#pauseUntilMs) return undefined
    const held = this.unitsAt(nowMs)
    if (held > this.#renewBelow && nowMs < this.#renewAfterMs) return undefined
    this.#sortOut(nowMs)
    // Two loans are held only while the older one is spent.
    if (this.#grants.length > 1 || !this.hotAt(nowMs)) return undefined
    const want = Math.min(Math.ceil(this.#needAt(nowMs, held)), this.#terms.maxUnits - held)
    // What the store would answer, as far as is known here: for nothing it is not asked.
    const room = Math.floor(remainingUnits(this.claim.policy, this.#storedUse(nowMs)) * portion) - held
    return Math.min(want, room) < LEAST_LOAN ? undefined : { want, held }
  }

  /** Units for the time until the loan after the next: at the pace of the count, or of the last loan if that is more. */
  #needAt(nowMs: number, held: number): number {
    const renewedAfterMs = this.leaseMs * (1 - RENEWAL_PART)
    const byCount = (this.#unitsPerSecondAt(nowMs) * renewedAfterMs) / 1000
    const endsAtMs = this.#renewAfterMs + this.leaseMs * RENEWAL_PART
    // What is missing of a loan that has ended was not spent.
    if (nowMs >= endsAtMs) return byCount
    const spentPerMs = (this.#lent - held) / Math.max(1, nowMs - this.#lentAtMs)
    return Math.max(byCount, Math.min(spentPerMs * renewedAfterMs, this.#lent * GROWTH))
  }

  /** A request has left. */
  ask(): void {
    this.#asking = true
  }

  /** The answer, or undefined when there is none. What is lent too late to be spent is the answer. */
  answer(loan: Loan | undefined, askedAtMs: number, nowMs: number): Grant | undefined {
    this.#asking = false
    if (loan === undefined || loan.units === 0) {
      this.#pauseUntilMs = nowMs + this.leaseMs * this.#pause
      this.#pause = Math.min(LONGEST_PAUSE, this.#pause * 2)
      if (loan !== undefined) this.learn(loan.usedTicks, nowMs)
      return undefined
    }
    this.#pause = 1
    this.learn(loan.usedTicks, nowMs)
    const grant = { units: loan.units, atUs: loan.atUs, askedAtMs, endsAtMs: askedAtMs + this.leaseMs }
    if (nowMs >= grant.endsAtMs) return grant
    this.#grants.push(grant)
    this.#lent = this.unitsAt(nowMs)
    this.#lentAtMs = nowMs
    const margin = this.leaseMs * RENEWAL_PART
    this.#renewBelow = Math.max((this.#unitsPerSecondAt(nowMs) * margin) / 1000, this.#lent * RENEWAL_PART)
    this.#renewAfterMs = grant.endsAtMs - margin
    return undefined
  }

  /** Takes out what has ended with units left. At `Infinity` that is all there is. */
  takeOut(nowMs: number): readonly Grant[] {
    this.#sortOut(nowMs)
    const ended = this.#ended
    this.#ended = []
    return ended
  }

  #sortOut(nowMs: number): void {
    if (this.#grants.every(({ units, endsAtMs }) => units > 0 && nowMs < endsAtMs)) return
    const grants = this.#grants
    this.#grants = []
    for (const grant of grants) {
      if (grant.units === 0) continue
      if (nowMs < grant.endsAtMs) this.#grants.push(grant)
      else this.#ended.push(grant)
    }
  }

  #storedUse(nowMs: number): number {
    const { policy } = this.claim
    const fullAtUs = this.#knownAtUs + this.#usedTicks / policy.ticksPerUs
    return usedTicks(policy, microseconds(nowMs), fullAtUs, 0, policy.toleranceUs)
  }

  #unitsPerSecondAt(nowMs: number): number {
    return this.#units * this.#leftAt(nowMs) * this.#perCount
  }

  /** What is left of what was counted before. */
  #leftAt(nowMs: number): number {
    return Math.exp((this.#countedAtMs - nowMs) / (this.leaseMs * MEMORY_LIVES))
  }
}
