/*
 * Decides about requests: by itself where it can be certain, by the store, and by the fallback when the store is
 * lost. Synchronous wherever nothing has to be asked.
 *
 * Guarantees: a decision never rejects because of the store, and never waits longer than the store's own budget for each slot; what
 * was asked of the store is not asked a second time, because it may have been taken.
 */
import type { Clock } from '@holdfast/footing'
import { type Claim, MAX_CLAIMS } from './claim.ts'
import type { Asked, DenyCache } from './deny-cache.ts'
import { ClaimsError } from './errors.ts'
import type { Fallback, FallbackSnapshot } from './fallback.ts'
import type { FleetMember } from './fleet-size.ts'
import type { LeaseSnapshot } from './leases.ts'
import type { Decision, DecisionSource, LimitStore, Reservation } from './store.ts'
import { microseconds } from './token-bucket.ts'

/** What a `RateLimiter` is made of. */
export interface RateLimiterParts {
  readonly store: LimitStore
  readonly clock: Clock
  /** For a store that has to be asked. Default: every request is asked for. */
  readonly denyCache?: DenyCache | undefined
  /** For a store that can be lost. Default: the errors of the store are the caller's. */
  readonly fallback?: Fallback | undefined
  /** Shown in the snapshot. Default: nothing is lent. */
  readonly leases?: { snapshot(): LeaseSnapshot } | undefined
  /** Shown in the snapshot, and left at the end. Default: this process is alone. */
  readonly fleet?: FleetMember | undefined
}

/** How one request is decided. */
export interface DecideOptions {
  /** What is taken can be given back with `settle`. Default false. */
  readonly reserve?: boolean
  /** Looks, and takes nothing. Default false. */
  readonly peek?: boolean
}

/** How the requests of one policy ended. */
export interface PolicyCounts {
  readonly allowed: number
  readonly denied: number
  /** Let pass although it was violated, being in shadow. */
  readonly shadowDenied: number
  /** Let pass with less than a fifth of the capacity left. */
  readonly nearLimit: number
}

/** The numbers of a limiter, as plain data. */
export interface RateLimiterSnapshot {
  /** Whether the store can decide at present. */
  readonly storeAvailable: boolean
  /** Requests by who decided. */
  readonly decisions: Readonly<Record<DecisionSource, number>>
  /** Questions that the store did not answer. */
  readonly storeFailures: number
  /** Reservations, and what was taken in one slot before another refused, that could not be given back. */
  readonly refundsLost: number
  /** Buckets of which this process knows that they are empty. */
  readonly denyCacheKeys: number
  /** How many processes share the buckets, as far as this one knows. */
  readonly processes: number
  /** Undefined where nothing is lent. */
  readonly leases: LeaseSnapshot | undefined
  /** Undefined without a store that can be lost. */
  readonly fallback: FallbackSnapshot | undefined
  /** By name of the policy. */
  readonly policies: Readonly<Record<string, PolicyCounts>>
}

type Counting<T> = { -readonly [Member in keyof T]: T[Member] }

export class RateLimiter {
  readonly #store: LimitStore
  readonly #clock: Clock
  readonly #denyCache: DenyCache | undefined
  readonly #fallback: Fallback | undefined
  readonly #leases: RateLimiterParts['leases']
  readonly #fleet: FleetMember | undefined
  readonly #settled = new WeakSet<Reservation>()
  readonly #policies = new Map<string, Counting<PolicyCounts>>()
  readonly #decisions: Counting<RateLimiterSnapshot['decisions']> = {
    memory: 0,
    redis: 0,
    lease: 0,
    'denied-locally': 0,
    fallback: 0,
  }
  #storeFailures = 0
  #refundsLost = 0

  constructor({ store, clock, denyCache, fallback, leases, fleet }: RateLimiterParts) {
    this.#store = store
    this.#clock = clock
    this.#denyCache = denyCache
    this.#fallback = fallback
    this.#leases = leases
    this.#fleet = fleet
  }

  /**
   * Whether a request may pass that draws on these buckets: a `Decision` wherever nothing has to be asked, else a
   * promise of one. Raises `HOLDFAST_ERR_TENANT_RATE_LIMIT_CLAIMS` for none or more than 16. Rejects only without a
   * fallback.
   */
  decide(claims: readonly Claim[], options: DecideOptions = defaults): Decision | Promise<Decision> {
    if (claims.length === 0 || claims.length > MAX_CLAIMS) throw new ClaimsError(claims.length)
    const mode = options.peek === true ? 'peek' : 'consume'
    const reserve = options.reserve === true && mode === 'consume'
    const held = this.#store.held?.(claims, mode, reserve)
    if (held !== undefined) return this.#finish(held, mode, reserve, this.#store)
    const fallback = this.#fallback
    if (fallback !== undefined && (!this.#store.available || fallback.keeps(claims))) {
      return this.#fallBack(fallback, claims, mode, reserve, false)
    }
    const cache = this.#denyCache
    if (cache === undefined) {
      const decided = this.#store.decide(claims, mode)
      if (decided instanceof Promise) return this.#await(decided, claims, mode, reserve, undefined, 0)
      return this.#finish(decided, mode, reserve, this.#store)
    }
    const askedAtUs = microseconds(this.#clock.nowMs())
    const refusal = cache.refusal(claims, askedAtUs, mode)
    if (refusal !== undefined) return this.#finish(refusal, mode, false, this.#store)
    const decided = this.#store.decide(claims, mode)
    if (!(decided instanceof Promise)) return this.#finish(decided, mode, reserve, this.#store)
    // A peek takes nothing on its way, and nobody has to wait for it.
    const asked = mode === 'peek' ? undefined : cache.ask(claims)
    return this.#await(decided, claims, mode, reserve, asked, askedAtUs)
  }

  /** Ends a reservation: what was taken stays taken, or is given back. Only the first call counts. */
  settle(reservation: Reservation, outcome: 'keep' | 'refund'): void {
    if (this.#settled.has(reservation)) return
    this.#settled.add(reservation)
    if (outcome === 'keep' || reservation.claims.length === 0) return
    this.#denyCache?.forget(reservation.claims)
    const given = reservation.store.refund(reservation.claims)
    if (given instanceof Promise) {
      given.catch(() => {
        this.#refundsLost += 1
      })
    }
  }

  /** Fills these buckets, for everybody. Rejects when the store cannot be reached. */
  async forget(claims: readonly Claim[]): Promise<void> {
    this.#denyCache?.forget(claims)
    await this.#store.forget(claims)
  }

  snapshot(): RateLimiterSnapshot {
    return {
      storeAvailable: this.#store.available,
      decisions: { ...this.#decisions },
      storeFailures: this.#storeFailures,
      refundsLost: this.#refundsLost + (this.#store.refundsLost ?? 0),
      denyCacheKeys: this.#denyCache?.size ?? 0,
      processes: this.#fleet?.size ?? 1,
      leases: this.#leases?.snapshot(),
      fallback: this.#fallback?.snapshot(),
      policies: Object.fromEntries([...this.#policies].map(([name, counts]) => [name, { ...counts }])),
    }
  }

  async close(): Promise<void> {
    await this.#store.close()
    await this.#fallback?.close()
    await this.#fleet?.leave()
  }

  async #await(
    decided: Promise<Decision>,
    claims: readonly Claim[],
    mode: 'consume' | 'peek',
    reserve: boolean,
    asked: Asked | undefined,
    askedAtUs: number,
  ): Promise<Decision> {
    let decision: Decision | undefined
    let mayBeTaken = false
    try {
      decision = await decided
    } catch (error) {
      this.#storeFailures += 1
      if (this.#fallback === undefined) throw error
      mayBeTaken = (error as { readonly mayHaveRun?: unknown }).mayHaveRun !== false
    }
    if (this.#denyCache !== undefined && asked !== undefined) {
      const nowUs = microseconds(this.#clock.nowMs())
      decision = this.#denyCache.learn(claims, asked, decision, askedAtUs, nowUs, reserve)
    }
    if (decision === undefined) {
      return this.#fallBack(this.#fallback as Fallback, claims, mode, reserve, mayBeTaken)
    }
    this.#fallback?.observe(decision)
    return this.#finish(decision, mode, reserve, this.#store)
  }

  #fallBack(
    fallback: Fallback,
    claims: readonly Claim[],
    mode: 'consume' | 'peek',
    reserve: boolean,
    mayBeTaken: boolean,
  ): Decision {
    return this.#finish(fallback.decide(claims, mode, mayBeTaken), mode, reserve, fallback)
  }

  #finish(
    decision: Decision,
    mode: 'consume' | 'peek',
    reserve: boolean,
    store: Reservation['store'],
  ): Decision {
    if (mode === 'consume') this.#count(decision)
    if (!reserve || !decision.allowed || decision.reservation !== undefined) return decision
    const taken = decision.verdicts.filter(({ allowed }) => allowed).map(({ claim }) => claim)
    return { ...decision, reservation: { claims: taken, store } }
  }

  #count({ source, allowed, verdicts }: Decision): void {
    this.#decisions[source] += 1
    for (const { policy, allowed: fits, remaining } of verdicts) {
      let counts = this.#policies.get(policy.name)
      if (counts === undefined) {
        counts = { allowed: 0, denied: 0, shadowDenied: 0, nearLimit: 0 }
        this.#policies.set(policy.name, counts)
      }
      if (!fits) {
        if (policy.shadow) counts.shadowDenied += 1
        else counts.denied += 1
      } else if (allowed) {
        counts.allowed += 1
        if (remaining * 5 < policy.capacity) counts.nearLimit += 1
      }
    }
  }
}

const defaults: DecideOptions = {}
