/**
 * Where this package reads time. Everything else takes a `Clock`, so that tests can move the time by hand.
 */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary origin: for durations. */
  nowMs(): number
  /** Milliseconds since the Unix epoch: only for what people read. */
  wallMs(): number
  /** Calls back once after `delayMs`; the timer never keeps the process alive. Returns a function that cancels it. */
  schedule(delayMs: number, callback: () => void): () => void
}

/** The clock of the machine. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  schedule(delayMs, callback) {
    const timer = setTimeout(callback, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/** The time that the main thread and a worker thread can both read. */
export interface ThreadClock {
  /** Monotonic nanoseconds, counted alike in every thread of the process. */
  nowNs(): bigint
  /** Milliseconds since the Unix epoch. */
  wallMs(): number
}

/** The machine's, for threads: `performance.now()` begins at 0 in each of them, `hrtime` does not. */
export const systemThreadClock: ThreadClock = {
  nowNs: () => process.hrtime.bigint(),
  wallMs: () => Date.now(),
}
