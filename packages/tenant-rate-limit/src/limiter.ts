/* Decides about requests: what can be answered at once is answered at once, the rest is asked of the store. */
import type { Claim } from './claim.ts'
import type { Decision, LimitStore, Reservation } from './store.ts'

/** What a `RateLimiter` is made of. */
export interface RateLimiterParts {
  readonly store: LimitStore
}

/** How one request is decided. */
export interface DecideOptions {
  /** What is taken can be given back with `settle`. Default false. */
  readonly reserve?: boolean
  /** Looks, and takes nothing. Default false. */
  readonly peek?: boolean
}

export class RateLimiter {
  readonly #store: LimitStore
  readonly #settled = new WeakSet<Reservation>()

  constructor({ store }: RateLimiterParts) {
    this.#store = store
  }

  /** A `Decision` wherever nothing has to be asked, else a promise of one. Never rejects because of the store. */
  decide(claims: readonly Claim[], options: DecideOptions = defaults): Decision | Promise<Decision> {
    const decision = this.#store.decide(claims, options.peek === true ? 'peek' : 'consume')
    if (options.reserve !== true || options.peek === true) return decision
    if (decision instanceof Promise) return decision.then((own) => this.#reserve(claims, own))
    return this.#reserve(claims, decision)
  }

  /** Ends a reservation: what was taken stays taken, or is given back. Only the first call counts. */
  settle(reservation: Reservation, outcome: 'keep' | 'refund'): void {
    if (this.#settled.has(reservation)) return
    this.#settled.add(reservation)
    if (outcome === 'refund') reservation.store.refund(reservation.claims)
  }

  snapshot(): Readonly<Record<string, unknown>> {
    return {}
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  #reserve(claims: readonly Claim[], decision: Decision): Decision {
    if (!decision.allowed) return decision
    const taken = claims.filter((_, at) => decision.verdicts[at]?.allowed === true)
    return { ...decision, reservation: { claims: taken, store: this.#store } }
  }
}

const defaults: DecideOptions = {}
