/** The state: when the window began, and how many passed in it. */
export interface Window {
  readonly startedMs: number
  readonly passed: number
}

/** What became of one attempt. */
export interface Decision {
  readonly allowed: boolean
  /** Until the next window begins; 0 when the attempt was allowed. */
  readonly retryAfterMs: number
  readonly window: Window
}

/**
 * Counts passes in windows of a fixed length. At most `maxPerWindow` pass in each; around the edge of two windows
 * up to twice as many can pass within `windowMs`. Keeps two numbers, and needs no timer.
 */
export function pass(
  window: Window | undefined,
  nowMs: number,
  limits: { readonly maxPerWindow: number; readonly windowMs: number },
): Decision {
  const current = windowAt(window, nowMs, limits.windowMs)
  if (current.passed < limits.maxPerWindow) {
    return { allowed: true, retryAfterMs: 0, window: { ...current, passed: current.passed + 1 } }
  }
  return { allowed: false, retryAfterMs: current.startedMs + limits.windowMs - nowMs, window: current }
}

/** The window that `nowMs` falls into: the given one, or a new one that begins now. */
export function windowAt(window: Window | undefined, nowMs: number, windowMs: number): Window {
  return window !== undefined && nowMs < window.startedMs + windowMs
    ? window
    : { startedMs: nowMs, passed: 0 }
}
