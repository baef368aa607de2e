import { type Clock, LONGEST_TIMER_MS } from '@holdfast/footing'

/**
 * A timer for limits that are set and lifted thousands of times a second and hardly ever reached. It is started for
 * the first limit and left running when that is lifted: when it rings too early, it is set again for the rest. So a
 * limit costs an assignment, and the timer of Node.js is touched about once per limit's length.
 *
 * It never rings early, and at most once per `set`.
 */
export class LazyTimer {
  readonly #clock: Clock
  readonly #ring: () => void
  #dueMs = Number.POSITIVE_INFINITY
  #runsUntilMs = Number.POSITIVE_INFINITY
  #cancel: (() => void) | undefined

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  /** Rings at `dueMs` on the clock instead of at any time set before. */
  set(dueMs: number, nowMs: number): void {
    this.#dueMs = dueMs
    if (this.#cancel !== undefined) {
      if (this.#runsUntilMs <= dueMs) return
      this.#cancel()
    }
    this.#run(nowMs)
  }

  /** Does not ring. */
  lift(): void {
    this.#dueMs = Number.POSITIVE_INFINITY
  }

  /** Lets go of the timer of Node.js, too. */
  stop(): void {
    this.lift()
    this.#cancel?.()
    this.#cancel = undefined
  }

  #run(nowMs: number): void {
    this.#runsUntilMs = this.#dueMs
    const delayMs = Math.min(LONGEST_TIMER_MS, Math.max(0, this.#dueMs - nowMs))
    this.#cancel = this.#clock.schedule(delayMs, () => {
      this.#cancel = undefined
      if (this.#dueMs === Number.POSITIVE_INFINITY) return
      const nowMs = this.#clock.nowMs()
      if (nowMs < this.#dueMs) {
        this.#run(nowMs)
        return
      }
      this.lift()
      this.#ring()
    })
  }
}
