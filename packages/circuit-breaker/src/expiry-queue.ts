import type { Clock } from '@holdfast/footing'
import { type Place, WaitingList } from './waiting-list.ts'

/** Something that ends when its time is up, unless it was removed before. In one queue at most, once. */
export abstract class Expiring {
  /** Set by the queue. */
  expiresMs = 0
  /** Set by the queue, while it is in there. */
  place: Place<Expiring> | undefined = undefined

  abstract expire(): void
}

/**
 * Ends things that all live equally long, in the order in which they came. One timer for all of them, armed for the
 * oldest alone and left alone when that is removed: adding and removing costs a few pointers, where a timer of its
 * own would cost more than all the rest of a guarded request.
 *
 * Nothing expires early; a process that is busy makes it late, as with any timer.
 */
export class ExpiryQueue {
  readonly #lifeMs: number
  readonly #clock: Clock
  readonly #entries = new WaitingList<Expiring>()
  #armed = false

  constructor(lifeMs: number, clock: Clock) {
    this.#lifeMs = lifeMs
    this.#clock = clock
  }

  add(entry: Expiring): void {
    entry.expiresMs = this.#clock.nowMs() + this.#lifeMs
    entry.place = this.#entries.push(entry)
    if (!this.#armed) this.#arm(this.#lifeMs)
  }

  /** Does nothing when it has expired or was removed already. */
  remove(entry: Expiring): void {
    if (entry.place === undefined) return
    this.#entries.remove(entry.place)
    entry.place = undefined
  }

  #arm(delayMs: number): void {
    this.#armed = true
    this.#clock.schedule(delayMs, () => this.#ring())
  }

  #ring(): void {
    this.#armed = false
    const nowMs = this.#clock.nowMs()
    // What joins from here on is armed for by its own add(), or by the arming below.
    let entry = this.#entries.first
    while (entry !== undefined && entry.expiresMs <= nowMs) {
      this.remove(entry)
      entry.expire()
      entry = this.#entries.first
    }
    if (entry !== undefined && !this.#armed) this.#arm(Math.max(1, entry.expiresMs - nowMs))
  }
}
