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
