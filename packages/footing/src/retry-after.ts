/** When a refused caller may try again. */
export interface RetryAfter {
  /** Milliseconds from the moment of the refusal. */
  readonly retryAfterMs: number
  /** The same in whole seconds, rounded up and at least 1: the value of a `Retry-After` header (RFC 9110, 10.2.3). */
  readonly retryAfterSeconds: number
}

/** Adds to an error when a new try makes sense. */
export function withRetryAfter<E extends Error>(error: E, retryAfterMs: number): E & RetryAfter {
  return Object.assign(error, {
    retryAfterMs,
    retryAfterSeconds: Math.max(1, Math.ceil(retryAfterMs / 1000)),
  })
}
