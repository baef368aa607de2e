/**
 * How long to wait before the next attempt. Exponential, so that a dependency in trouble is asked less and less;
 * jittered by half to one and a half times, so that those who failed together do not come back together.
 */
export interface Backoff {
  /** Milliseconds before the second attempt, in the middle of the jitter. */
  readonly baseMs: number
  /** By how much the wait grows with every attempt. */
  readonly factor: number
  /** The longest wait in the middle of the jitter; the longest of all is one and a half times as long. */
  readonly maxBackoffMs: number
}

/** Milliseconds to wait after `failed` attempts (1 is the first). `random` answers in [0, 1). */
export function backoffMs(failed: number, backoff: Backoff, random: () => number): number {
  const middleMs = Math.min(backoff.maxBackoffMs, backoff.baseMs * backoff.factor ** (failed - 1))
  return middleMs * (0.5 + random())
}
