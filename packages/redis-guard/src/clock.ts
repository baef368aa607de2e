/** Where time comes from. */
export interface Clock {
  /** Milliseconds that only go forward. */
  nowMs(): number
}

/** The machine's clock. */
export const systemClock: Clock = { nowMs: () => performance.now() }
