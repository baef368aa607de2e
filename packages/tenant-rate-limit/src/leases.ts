/*
 * A store before the store: where this process holds a lease of every bucket that a request draws on, it decides at
 * once and asks nobody. What it does not hold is asked for as ever. Leases are asked for in the background, by no
 * request, for buckets that this process draws on often; they end by time, and what is left is given back.
 *
 * Guarantees: those of `lease-terms.ts`, over all processes. At most `maxKeys` buckets are watched, by one timer; a
 * flood of other keys displaces none that is lent. A store that is lost ends all leases within their life.
 */
import type { Clock } from '@holdfast/footing'
import type { Claim } from './claim.ts'
import { type Grant, Lease } from './lease.ts'
import type { Loan } from './lease-script.ts'
import { type LeaseTerms, leaseMsOf, returnedTicks } from './lease-terms.ts'
import { type Decision, type LimitStore, type Reservation, type Verdict, verdictOf } from './store.ts'
import { debitTicks } from './token-bucket.ts'

/** A store that lends. */
export interface LendingStore extends LimitStore {
  /** Takes up to `want` units of the bucket of a claim for a process that holds `held`, by the rule of `loanUnits`. */
  lend(claim: Claim, want: number, held: number, portion: number): Promise<Loan>
  /**
   * Gives back units that were lent at `atUs` of the store's clock, `ageUs` ago at least. Answers the ticks that came
   * back: `returnedTicks`, but no more than are used.
   */
  giveBack(claim: Claim, units: number, atUs: number, ageUs: number): Promise<number>
}

/** What a `LeasedStore` takes. */
export interface LeasedStoreParts {
  readonly store: LendingStore
  readonly clock: Clock
  readonly terms: LeaseTerms
  /** How many processes share the buckets, as far as this one knows. */
  readonly processes: () => number
  /** Hears what the store says about a bucket when it lends. Default: nobody. */
  readonly onLearned?: (verdict: Verdict) => void
  /** Buckets that are watched. Default 10,000. */
  readonly maxKeys?: number
}

/** The numbers of the leases of a process, as plain data. */
export interface LeaseSnapshot {
  /** Buckets that are watched, those of which units are held, and these units. */
  readonly watched: number
  readonly held: number
  readonly units: number
  /** How often a lease was asked for, and how often nothing was lent or nobody answered. */
  readonly asked: number
  readonly refused: number
  /** Units that were lent, that requests passed with, that came back to the bucket at the end, and the rest. */
  readonly lentUnits: number
  readonly spentUnits: number
  readonly returnedUnits: number
  readonly lostUnits: number
}

/** Watched buckets that are looked at for one that can go. */
const LOOKED_AT = 8

export class LeasedStore implements LimitStore {
  readonly #store: LendingStore
  readonly #clock: Clock
  readonly #terms: LeaseTerms
  readonly #processes: () => number
  readonly #onLearned: ((verdict: Verdict) => void) | undefined
  readonly #maxKeys: number
  readonly #leases = new Map<string, Lease>()
  /** All of them, and the place of the one that was looked at last for one that can go. */
  readonly #ring: Lease[] = []
  #hand = 0
  readonly #busy = new Set<Lease>()
  readonly #counts = { asked: 0, refused: 0, lentUnits: 0, spentUnits: 0, returnedUnits: 0, lostUnits: 0 }
  #cancelSweep: (() => void) | undefined
  #closed = false
  /** What is on its way to or from the store. */
  readonly #underway = new Set<Promise<void>>()

  constructor({ store, clock, terms, processes, onLearned, maxKeys = 10_000 }: LeasedStoreParts) {
    this.#store = store
    this.#clock = clock
    this.#terms = terms
    this.#processes = processes
    this.#onLearned = onLearned
    this.#maxKeys = maxKeys
  }

  get available(): boolean {
    return this.#store.available
  }

  get refundsLost(): number {
    return this.#store.refundsLost ?? 0
  }

  /** Decides by leases alone, also while the store is away; undefined when they do not cover all claims. */
  held(claims: readonly Claim[], mode: 'consume' | 'peek', reserve: boolean): Decision | undefined {
    if (this.#busy.size === 0) return undefined
    const nowMs = this.#clock.nowMs()
    const payments: Payment[] = []
    for (let at = 0; at < claims.length; at += 1) {
      const payment = this.#paymentFor(claims[at] as Claim, nowMs)
      if (payment === undefined || isNamedBefore(claims, at)) return undefined
      payments.push(payment)
    }
    const verdicts: Verdict[] = []
    for (const { claim, lease, grant } of payments) {
      if (mode === 'consume') this.#spend(claim, lease, grant, nowMs)
      verdicts.push(verdictOf(claim, 0, lease.usedAt(nowMs)))
    }
    const reservation = reserve ? this.#reservationOf(claims, payments) : undefined
    return {
      allowed: true,
      violated,
      verdicts,
      retryAfterMs: 0,
      source: 'lease',
      degraded: false,
      reservation,
    }
  }

  /** Takes what leases cover from them, and asks for the rest. */
  decide(claims: readonly Claim[], mode: 'consume' | 'peek'): Decision | Promise<Decision> {
    const nowMs = this.#clock.nowMs()
    const payments = this.#partOf(claims, nowMs)
    if (payments !== undefined) return this.#decideRest(claims, mode, payments, nowMs)
    const decided = this.#store.decide(claims, mode)
    if (decided instanceof Promise) return decided.then((decision) => this.#learn(decision, mode))
    return this.#learn(decided, mode)
  }

  refund(claims: readonly Claim[]): void | Promise<void> {
    return this.#store.refund(claims)
  }

  /** Fills these buckets; what is held of them is spent as ever. */
  forget(claims: readonly Claim[]): void | Promise<void> {
    return this.#store.forget(claims)
  }

  snapshot(): LeaseSnapshot {
    const nowMs = this.#clock.nowMs()
    let [held, units] = [0, 0]
    for (const lease of this.#busy) {
      const own = lease.unitsAt(nowMs)
      if (own > 0) held += 1
      units += own
    }
    return { watched: this.#leases.size, held, units, ...this.#counts }
  }

  /** Gives back what is held, and waits for what is on its way. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelSweep?.()
    for (const lease of this.#busy) this.#giveBack(lease, lease.takeOut(Number.POSITIVE_INFINITY))
    this.#busy.clear()
    this.#leases.clear()
    this.#ring.length = 0
    while (this.#underway.size > 0) await Promise.all(this.#underway)
    await this.#store.close()
  }

  #paymentFor(claim: Claim, nowMs: number): Payment | undefined {
    const lease = this.#leases.get(claim.key)
    // Of other terms, after a change of the policy: what was lent by those ends unspent.
    if (lease === undefined || lease.claim.policy !== claim.policy) return undefined
    const grant = lease.grantFor(claim.cost, nowMs)
    return grant && { claim, lease, grant }
  }

  async #decideRest(
    claims: readonly Claim[],
    mode: 'consume' | 'peek',
    payments: ReadonlyMap<Claim, Payment>,
    nowMs: number,
  ): Promise<Decision> {
    // Taken before the wait, so that nobody else spends it.
    for (const { lease, grant, claim } of payments.values()) {
      if (mode === 'consume') this.#spend(claim, lease, grant, nowMs)
    }
    let decision: Decision | undefined
    try {
      const asked = claims.filter((claim) => !payments.has(claim))
      decision = this.#learn(await this.#store.decide(asked, mode), mode)
    } finally {
      if (mode === 'consume' && decision?.allowed !== true) this.#undo(payments.values())
    }
    const byClaim = new Map(decision.verdicts.map((verdict) => [verdict.claim, verdict]))
    const endMs = this.#clock.nowMs()
    const verdicts = claims.flatMap((claim) => {
      const payment = payments.get(claim)
      const verdict =
        payment === undefined ? byClaim.get(claim) : verdictOf(claim, 0, payment.lease.usedAt(endMs))
      return verdict === undefined ? [] : [verdict]
    })
    return { ...decision, verdicts }
  }

  /** What leases can pay of a request; undefined when that is nothing, and when one bucket is named twice. */
  #partOf(claims: readonly Claim[], nowMs: number): Map<Claim, Payment> | undefined {
    if (this.#busy.size === 0 || claims.length === 1) return undefined
    const payments = new Map<Claim, Payment>()
    for (let at = 0; at < claims.length; at += 1) {
      if (isNamedBefore(claims, at)) return undefined
      const payment = this.#paymentFor(claims[at] as Claim, nowMs)
      if (payment !== undefined) payments.set(payment.claim, payment)
    }
    return payments.size > 0 && payments.size < claims.length ? payments : undefined
  }

  #spend(claim: Claim, lease: Lease, grant: Grant, nowMs: number): void {
    grant.units -= claim.cost
    this.#counts.spentUnits += claim.cost
    lease.count(claim.cost, nowMs)
    this.#askFor(lease, nowMs)
  }

  #undo(payments: Iterable<Payment>): void {
    for (const payment of payments) {
      const { claim, lease, grant } = payment
      this.#counts.spentUnits -= claim.cost
      if (!lease.putBack(grant, claim.cost)) this.#giveBack(lease, [{ ...grant, units: claim.cost }])
    }
  }

  #reservationOf(claims: readonly Claim[], payments: readonly Payment[]): Reservation {
    return {
      claims,
      store: {
        refund: () => {
          const ended = payments.filter(({ claim, lease, grant }) => {
            if (claim.cost === 0) return false
            if (!lease.putBack(grant, claim.cost)) return true
            this.#counts.spentUnits -= claim.cost
            return false
          })
          if (ended.length > 0) return this.#store.refund(ended.map(({ claim }) => claim))
        },
      },
    }
  }

  /** Remembers what the store said, and asks for leases of what is drawn on often. */
  #learn(decision: Decision, mode: 'consume' | 'peek'): Decision {
    if (this.#closed || mode === 'peek') return decision
    const nowMs = this.#clock.nowMs()
    for (const { claim, allowed, usedTicks } of decision.verdicts) {
      const lease = this.#leaseOf(claim, nowMs)
      if (lease === undefined) continue
      lease.learn(usedTicks, nowMs)
      if (!decision.allowed || !allowed) continue
      lease.count(claim.cost, nowMs)
      this.#askFor(lease, nowMs)
    }
    return decision
  }

  #leaseOf(claim: Claim, nowMs: number): Lease | undefined {
    const known = this.#leases.get(claim.key)
    if (known?.claim.policy === claim.policy) return known
    if (leaseMsOf(claim.policy, this.#terms) <= 0) return undefined
    const place = known?.place ?? this.#placeAt(nowMs)
    if (place === undefined) return undefined
    const lease = new Lease(claim, this.#terms, nowMs, place)
    this.#ring[place] = lease
    this.#leases.set(claim.key, lease)
    return lease
  }

  /** A place for one more: where there is none, that of the first of a few that is neither lent nor drawn on often. */
  #placeAt(nowMs: number): number | undefined {
    if (this.#ring.length < this.#maxKeys) return this.#ring.length
    for (let looked = 0; looked < LOOKED_AT; looked += 1) {
      this.#hand = this.#hand + 1 < this.#maxKeys ? this.#hand + 1 : 0
      const lease = this.#ring[this.#hand] as Lease
      if (lease.busy || lease.hotAt(nowMs)) continue
      this.#leases.delete(lease.claim.key)
      return this.#hand
    }
    return undefined
  }

  #askFor(lease: Lease, nowMs: number): void {
    const portion = this.#terms.share / Math.max(1, this.#processes())
    const request = lease.requestAt(nowMs, portion)
    if (request === undefined || this.#closed || !this.#store.available) return
    lease.ask()
    this.#busy.add(lease)
    this.#counts.asked += 1
    this.#sweepLater()
    this.#track(this.#ask(lease, request.want, request.held, portion, nowMs))
  }

  async #ask(lease: Lease, want: number, held: number, portion: number, askedAtMs: number): Promise<void> {
    let loan: Loan | undefined
    try {
      loan = await this.#store.lend(lease.claim, want, held, portion)
    } catch {
      // Whatever was lent then is lost; nobody passes with it.
    }
    const nowMs = this.#clock.nowMs()
    const late = lease.answer(loan, askedAtMs, nowMs)
    if (loan === undefined || loan.units === 0) this.#counts.refused += 1
    if (loan === undefined) return
    this.#counts.lentUnits += loan.units
    this.#onLearned?.(verdictOf(lease.claim, 0, loan.usedTicks))
    if (late !== undefined) this.#giveBack(lease, [late])
    if (this.#closed) this.#giveBack(lease, lease.takeOut(Number.POSITIVE_INFINITY))
  }

  #sweepLater(): void {
    if (this.#closed) return
    this.#cancelSweep ??= this.#clock.schedule(this.#terms.leaseMs / 2, () => this.#sweep())
  }

  #sweep(): void {
    this.#cancelSweep = undefined
    const nowMs = this.#clock.nowMs()
    for (const lease of this.#busy) {
      this.#giveBack(lease, lease.takeOut(nowMs))
      if (!lease.busy) this.#busy.delete(lease)
    }
    if (this.#busy.size > 0) this.#sweepLater()
  }

  #giveBack({ claim }: Lease, grants: readonly Grant[]): void {
    const nowMs = this.#clock.nowMs()
    for (const { units, atUs, askedAtMs } of grants) {
      const ageUs = Math.ceil(Math.max(0, nowMs - askedAtMs) * 1000)
      const { policy } = claim
      // Nobody is asked to take back what is worth nothing any more.
      if (!this.#store.available || returnedTicks(policy, debitTicks(policy, units), ageUs) === 0) {
        this.#counts.lostUnits += units
        continue
      }
      this.#track(
        this.#store.giveBack(claim, units, atUs, ageUs).then(
          (ticks) => {
            const returned = ticks / policy.emissionTicks
            this.#counts.returnedUnits += returned
            this.#counts.lostUnits += units - returned
          },
          () => {
            this.#counts.lostUnits += units
          },
        ),
      )
    }
  }

  #track(work: Promise<void>): void {
    this.#underway.add(work)
    work.finally(() => this.#underway.delete(work))
  }
}

/** A claim, and the loan that pays for it. */
interface Payment {
  readonly claim: Claim
  readonly lease: Lease
  readonly grant: Grant
}

/** Whether an earlier claim of the request draws on the same bucket. */
function isNamedBefore(claims: readonly Claim[], at: number): boolean {
  for (let earlier = 0; earlier < at; earlier += 1) {
    if (claims[earlier]?.key === claims[at]?.key) return true
  }
  return false
}

const violated: readonly string[] = Object.freeze([])
