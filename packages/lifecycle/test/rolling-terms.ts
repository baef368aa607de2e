/** What the instances and those who replace them agree on. */

/** How long the slowest request takes. */
export const SLOW_MS = 300
/** Longer than the balancers need to notice: two looks, 300 ms apart, of which each may take a while. */
export const HOLD = { drainMs: 3000, minDrainMs: 1500, quietMs: 500 }
/** As long, for a balancer that learns from failures alone. */
export const PASSIVE_HOLD = { ...HOLD, drainMs: HOLD.drainMs - 500, turnAwayMs: 500 }
