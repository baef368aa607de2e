/**
 * Where time comes from. Everything that waits or measures in this package asks a clock, so that a test can
 * move time by hand.
 */
export interface Clock {
  /** Monotonic milliseconds: only differences mean something; never jumps when the wall clock is set. */
  nowMs(): number
  /** Milliseconds since the Unix epoch. */
  wallMs(): number
  /**
   * Calls `callback` once after `delayMs` milliseconds and returns a function that cancels it. A pending
   * callback never keeps the process alive.
   */
  schedule(delayMs: number, callback: () => void): () => void
}

/** The real clock: `performance.now()`, `Date.now()` and unref'd timers. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  schedule(delayMs, callback) {
    const timer = setTimeout(callback, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
