/** The longest delay a timer of Node.js can hold, in ms (24.8 days); a longer one would fire at once. */
export const LONGEST_TIMER_MS = 2_147_483_647

/**
 * Where time comes from. Everything that waits or measures asks a clock, so that a test can move time by hand.
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

/**
 * Calls back at the end of this turn of the event loop: what has come to the sockets is read by then, and every chain of
 * promises that needs nothing else is done. No waiting, so a clock moved by hand does not have it.
 */
export function afterTurn(callback: () => void): void {
  setImmediate(callback)
}

let holds = 0
let keeper: NodeJS.Timeout | undefined

/**
 * Keeps the process alive until the function it returns is called. The timers of a `Clock` do not: a process with
 * nothing else to do would end in the middle of what somebody waits for. Cheap enough for every call: all holds
 * share one timer.
 */
export function holdProcess(): () => void {
  holds += 1
  if (holds === 1) {
    keeper ??= setInterval(() => {}, LONGEST_TIMER_MS)
    keeper.ref()
  }
  let held = true
  return () => {
    if (!held) return
    held = false
    holds -= 1
    if (holds === 0) keeper?.unref()
  }
}
