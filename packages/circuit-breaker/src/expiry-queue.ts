import type { Clock } from '@holdfast/footing'

/** Something that ends when its time is up, unless it was removed before. In one queue at most, once. */
export abstract class Expiring {
  /** Set by the queue. */
  expiresMs = 0
  previous: Expiring | undefined = undefined
  next: Expiring | undefined = undefined
  queued = false

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
  #first: Expiring | undefined
  #last: Expiring | undefined
  #armed = false

  constructor(lifeMs: number, clock: Clock) {
    this.#lifeMs = lifeMs
    this.#clock = clock
  }

  add(entry: Expiring): void {
    entry.expiresMs = this.#clock.nowMs() + this.#lifeMs
    entry.queued = true
    entry.previous = this.#last
    if (this.#last === undefined) this.#first = entry
    else this.#last.next = entry
    this.#last = entry
    if (!this.#armed) this.#arm(this.#lifeMs)
  }

  /** Does nothing when it has expired or was removed already. */
  remove(entry: Expiring): void {
    if (!entry.queued) return
    entry.queued = false
    if (entry.previous === undefined) this.#first = entry.next
    else entry.previous.next = entry.next
    if (entry.next === undefined) this.#last = entry.previous
    else entry.next.previous = entry.previous
    entry.previous = undefined
    entry.next = undefined
  }

  #arm(delayMs: number): void {
    this.#armed = true
    this.#clock.schedule(delayMs, () => this.#ring())
  }

  #ring(): void {
    this.#armed = false
    const nowMs = this.#clock.nowMs()
    // What joins from here on is armed for by its own add(), or by the arming below.
    for (let entry = this.#first; entry !== undefined && entry.expiresMs <= nowMs; entry = this.#first) {
      this.remove(entry)
      entry.expire()
    }
    if (this.#first !== undefined && !this.#armed) this.#arm(Math.max(1, this.#first.expiresMs - nowMs))
  }
}
