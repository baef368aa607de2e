/** When a refused caller may try again. */
export interface RetryAfter {
  /** Milliseconds from the moment of the refusal. */
  readonly retryAfterMs: number
  /** The same in whole seconds, rounded up and at least 1: the value of a `Retry-After` header (RFC 9110, 10.2.3). */
  readonly retryAfterSeconds: number
}

/**
 * Milliseconds as whole seconds, rounded up, so that whoever waits for them does not come too early. At least `least`:
 * by default 1, because 0 would have a client come back at once.
 */
export function wholeSeconds(ms: number, least = 1): number {
  return Math.max(least, Math.ceil(ms / 1000))
}

/** Adds to an error when a new try makes sense. */
export function withRetryAfter<E extends Error>(error: E, retryAfterMs: number): E & RetryAfter {
  return Object.assign(error, {
    retryAfterMs,
    retryAfterSeconds: wholeSeconds(retryAfterMs),
  })
}
