/*
 * What the guard needs of whoever knows about all processes. `app.redisGuard` of `@holdfast/redis-guard` is one.
 *
 * The contract: a name is granted to one at a time, from the grant until it is given back or has not been renewed
 * for `leaseMs`, by the clock of the store; every grant has a larger fence than all before it, also after the store
 * lost its data. A call answers within a budget, or rejects; a grant that may have happened behind a rejection is
 * given back by the store's side. Giving back twice, or late, harms nobody else's grant.
 */

/** A grant that is held. */
export interface HeldLease {
  readonly held: true
  /** Larger than that of every earlier holder. */
  readonly fence: number
  /** Renews it from now on until `release`; the signal aborts when it is lost, or not confirmed for a whole lease. */
  keep(): AbortSignal
  /** Answers false when it was lost before. Rejects when the store cannot be told. */
  release(): Promise<boolean>
}

/** Somebody else has it. */
export interface LeasedElsewhere {
  readonly held: false
  /** Until the lease ends if it is not renewed. */
  readonly retryAfterMs: number
}

/** As much of a `RedisGuard` as this package needs. */
export interface LeaseStore {
  /** Whether a call makes sense at present. */
  readonly available: boolean
  readonly lease: {
    acquire(
      name: readonly [string, ...string[]],
      terms: { readonly leaseMs: number },
    ): Promise<HeldLease | LeasedElsewhere>
  }
  /** Tells every change of the state until the answer is called; `'up'` is the one that counts here. */
  onStateChange(listener: (state: string) => void): () => void
}
