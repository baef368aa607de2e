import { LOST, type Permit } from './permit.ts'

/**
 * The probes of a half-open breaker: a fixed number of places. A success uses its place up, any other result gives
 * it back, and a probe without a result loses it when its lease is over: one that hangs must not keep everybody out
 * for ever.
 */
export class Probes {
  /** Those whose result makes the breaker close when there are enough of them. */
  succeeded = 0
  readonly #places: number
  readonly #leaseMs: number
  /** Those without a result, oldest first, which is the order in which their leases end. */
  readonly #running = new Set<Permit>()

  constructor(places: number, leaseMs: number) {
    this.#places = places
    this.#leaseMs = leaseMs
  }

  get running(): number {
    return this.#running.size
  }

  /** Places that are neither taken nor used up. */
  get free(): number {
    return this.#places - this.#running.size - this.succeeded
  }

  /** When the next lease ends; `-Infinity` when no probe is running. */
  get nextLeaseEndMs(): number {
    const [oldest] = this.#running
    return oldest === undefined ? Number.NEGATIVE_INFINITY : oldest.startedAtMs + this.#leaseMs
  }

  add(permit: Permit): void {
    this.#running.add(permit)
  }

  remove(permit: Permit): void {
    this.#running.delete(permit)
  }

  /** Takes the places of probes whose lease is over; answers how many. */
  takeLeases(nowMs: number): number {
    let lost = 0
    for (const permit of this.#running) {
      if (nowMs < permit.startedAtMs + this.#leaseMs) break
      this.#running.delete(permit)
      permit.epoch = LOST
      lost += 1
    }
    return lost
  }

  clear(): void {
    this.#running.clear()
    this.succeeded = 0
  }
}
