/** Where a `HandClock` starts. */
export interface HandClockOptions {
  /** Monotonic milliseconds. Default 0. */
  readonly nowMs?: number
  /** Milliseconds since the Unix epoch. Default 1_700_000_000_000. */
  readonly wallMs?: number
}

interface Timer {
  readonly dueMs: number
  readonly callback: () => void
}

const maxCallbacksPerAdvance = 100_000

/**
 * A clock that only moves when a test moves it.
 *
 * Guarantees: timers run in order of their due time, and of their creation when due together; between two
 * of them every promise that can settle has settled. A timer that is set while time advances runs in the
 * same `advance` when it is due within it.
 */
export class HandClock {
  #nowMs: number
  #wallMs: number
  #advancing = false
  readonly #timers = new Set<Timer>()

  constructor(options: HandClockOptions = {}) {
    this.#nowMs = options.nowMs ?? 0
    this.#wallMs = options.wallMs ?? 1_700_000_000_000
  }

  /** Monotonic milliseconds. */
  nowMs(): number {
    return this.#nowMs
  }

  /** Milliseconds since the Unix epoch. */
  wallMs(): number {
    return this.#wallMs
  }

  /** Timers that are set and have neither run nor been cancelled: 0 after a clean close. */
  get pendingTimers(): number {
    return this.#timers.size
  }

  /** Runs `callback` once the clock has been advanced by `delayMs`. The answer cancels it. */
  schedule(delayMs: number, callback: () => void): () => void {
    if (!(delayMs >= 0 && delayMs < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`a delay must be a finite number of milliseconds >= 0, received ${delayMs}`)
    }
    const timer = { dueMs: this.#nowMs + delayMs, callback }
    this.#timers.add(timer)
    return () => {
      this.#timers.delete(timer)
    }
  }

  /** Moves the wall clock alone, as an operator or NTP does. Timers do not notice. */
  jumpWall(byMs: number): void {
    this.#wallMs += byMs
  }

  /**
   * Moves time forward by `ms` and runs what becomes due. `advance(0)` only lets promises settle.
   * Rejects with what a callback throws, and after 100,000 callbacks (a timer that re-arms itself at 0 ms).
   */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0 && ms < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`time advances by a finite number of milliseconds >= 0, received ${ms}`)
    }
    if (this.#advancing) throw new Error('the clock is already advancing: await the first advance()')
    this.#advancing = true
    try {
      await settle()
      const endMs = this.#nowMs + ms
      let callbacks = 0
      for (let timer = this.#next(endMs); timer !== undefined; timer = this.#next(endMs)) {
        callbacks += 1
        if (callbacks > maxCallbacksPerAdvance) {
          throw new Error(`more than ${maxCallbacksPerAdvance} timers ran within ${ms} ms`)
        }
        this.#timers.delete(timer)
        this.#moveTo(timer.dueMs)
        timer.callback()
        await settle()
      }
      this.#moveTo(endMs)
    } finally {
      this.#advancing = false
    }
  }

  #next(endMs: number): Timer | undefined {
    let next: Timer | undefined
    for (const timer of this.#timers) {
      if (timer.dueMs <= endMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer
    }
    return next
  }

  #moveTo(nowMs: number): void {
    this.#wallMs += nowMs - this.#nowMs
    this.#nowMs = nowMs
  }
}

/** A turn of the event loop: every promise chain that needs nothing but itself is done after it. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
