/*
 * The leases of this process, and those that could not be given back.
 *
 * Guarantees: a lease that Redis could not be told about is given back as soon as Redis is there again, the first
 * thousand before anybody of this process asks for the next one; it is forgotten when it has ended by itself. So nobody
 * waits for an operation that is over longer than Redis was away.
 */
import type { Clock } from '@holdfast/footing'
import type { HeldLease, LeasedElsewhere, LeaseStore } from './store.ts'

/** So many leases are remembered; one beyond that ends by itself. */
const MAX_UNRETURNED = 10_000
/** So many are given back at once: whoever asks for a lease meanwhile must find room at the door to Redis. */
const RETURNED_AT_ONCE = 1000
/** Until the next try, when Redis is there and did not take a lease back: it had too much to do. */
const RETRY_MS = 250

export class Leases {
  readonly #store: LeaseStore
  readonly #clock: Clock
  /** Until when each of them can still be held. */
  readonly #unreturned = new Map<HeldLease, number>()
  readonly #forget: () => void
  #cancelRetry: (() => void) | undefined
  /** Counts the rounds of giving back; only the latest goes on. */
  #round = 0

  /** `onBack` is called when the store is there again, after what was owed to it is on its way. */
  constructor(store: LeaseStore, clock: Clock, onBack: () => void) {
    this.#store = store
    this.#clock = clock
    this.#forget = store.onStateChange((state) => {
      if (state !== 'up') return
      void this.#returnAll()
      onBack()
    })
  }

  get available(): boolean {
    return this.#store.available
  }

  /** Leases of operations that are over, of which Redis does not know that yet. */
  get unreturned(): number {
    this.#sweep()
    return this.#unreturned.size
  }

  acquire(
    name: readonly [string, ...string[]],
    terms: { readonly leaseMs: number },
  ): Promise<HeldLease | LeasedElsewhere> {
    return this.#store.lease.acquire(name, terms)
  }

  /** Gives a lease back; answers whether it had been held until then, and undefined when nobody knows. */
  async giveBack(lease: HeldLease, leaseMs: number): Promise<boolean | undefined> {
    try {
      return await lease.release()
    } catch {
      // The last renewal may have reached Redis just now.
      this.#remember(lease, this.#clock.nowMs() + leaseMs)
      this.#retryLater()
      return undefined
    }
  }

  close(): void {
    this.#forget()
    this.#round += 1
    this.#cancelRetry?.()
    this.#unreturned.clear()
  }

  #remember(lease: HeldLease, untilMs: number): void {
    this.#sweep()
    if (this.#unreturned.size < MAX_UNRETURNED) this.#unreturned.set(lease, untilMs)
  }

  #sweep(): void {
    const nowMs = this.#clock.nowMs()
    for (const [lease, untilMs] of this.#unreturned) if (untilMs <= nowMs) this.#unreturned.delete(lease)
  }

  async #returnAll(): Promise<void> {
    this.#round += 1
    const round = this.#round
    this.#sweep()
    const owed = [...this.#unreturned.keys()]
    for (let sent = 0; sent < owed.length && round === this.#round; sent += RETURNED_AT_ONCE) {
      await Promise.all(owed.slice(sent, sent + RETURNED_AT_ONCE).map((lease) => this.#return(lease)))
    }
    if (round === this.#round) this.#retryLater()
  }

  async #return(lease: HeldLease): Promise<void> {
    try {
      await lease.release()
      this.#unreturned.delete(lease)
    } catch {
      // It stays for the next round.
    }
  }

  /** While Redis is away there is no timer: its return is the next try. */
  #retryLater(): void {
    if (this.#cancelRetry !== undefined || !this.available || this.unreturned === 0) return
    this.#cancelRetry = this.#clock.schedule(RETRY_MS, () => {
      this.#cancelRetry = undefined
      void this.#returnAll()
    })
  }
}
