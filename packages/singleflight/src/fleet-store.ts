/*
 * Where the processes of a fleet meet: one flight at a time for each id, and what became of the last one.
 *
 * The contract, the same for every store. Each operation is atomic, and all of them see one order of events.
 * - `acquire` grants a lease (`lead`) only when no result of at least `minFence`, no failure and no lease is there,
 *   and not within `minIntervalMs` of the last grant. A fence is larger than every fence granted before for that id,
 *   whatever was lost in between.
 * - A lease ends `leaseMs` after it was granted or renewed, by the store's clock. Only its token renews, publishes
 *   or releases it; for another token nothing changes and the answer is false.
 * - `publish` stores what landed for `ttlMs`, ends the lease and tells all listeners, in this order; `release` and
 *   `forget` tell them, too. Messages may be lost, never forged or changed.
 * - A rejection says nothing about whether the operation was carried out, unless its `mayHaveRun` is false: then it
 *   was not.
 */

/** What a process asks for before it runs the work of an id. */
export interface AcquireRequest {
  readonly id: string
  /** Unique to this request. */
  readonly token: string
  readonly leaseMs: number
  /** A result of a smaller fence does not count. */
  readonly minFence: number
  readonly minIntervalMs: number
}

/** Bytes with the fence of the flight they come from. */
export interface Stored {
  readonly fence: number
  readonly payload: Buffer
}

/** What a store answers to `acquire`. */
export type Acquired =
  | ({ readonly kind: 'value' } & Stored)
  | ({ readonly kind: 'failure' } & Stored)
  /** The last flight's value is for its own process alone. */
  | { readonly kind: 'alone'; readonly fence: number }
  | { readonly kind: 'lead'; readonly fence: number }
  /** Somebody leads, or nobody may yet. */
  | {
      readonly kind: 'wait'
      readonly fence: number
      readonly leftMs: number
      readonly stale: Stored | undefined
    }

/** What a leader leaves behind. `ttlMs` 0: only those who listen now learn of it. */
export interface Landing {
  readonly kind: 'value' | 'failure' | 'alone'
  readonly payload: Buffer
  readonly ttlMs: number
}

/** What a store tells its listeners about an id. */
export interface FleetMessage {
  /** `landed`: a value too large for a message; `acquire` answers it. */
  readonly kind: 'value' | 'landed' | 'failure' | 'alone' | 'released' | 'forgotten'
  readonly id: string
  readonly fence: number
  readonly payload: Buffer
}

/** Whom a store tells. */
export interface FleetListener {
  onMessage(message: FleetMessage): void
  /** Messages may have been missed, or do not come at present. */
  onGap(): void
  /** The store cannot be reached; what waits for it must not. */
  onUnavailable(): void
  /** The store can be reached again. */
  onAvailable(): void
}

export interface FleetStore {
  /** Whether calling makes sense now. */
  readonly available: boolean
  /** Whether messages arrive at present. */
  readonly listening: boolean
  acquire(request: AcquireRequest): Promise<Acquired>
  renew(id: string, token: string, leaseMs: number): Promise<boolean>
  publish(id: string, token: string, landing: Landing): Promise<boolean>
  release(id: string, token: string): Promise<boolean>
  /** Drops result, failure and lease of an id, and tells everybody. */
  forget(id: string): Promise<void>
  /** Answers a function that ends it. */
  listen(listener: FleetListener): () => void
}

/** Longest payload that travels inside a message, in bytes. */
export const MAX_INLINE_BYTES = 16_384
