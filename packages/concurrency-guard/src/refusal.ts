import { withRetryAfter } from '@holdfast/footing'
import { AbortedError, ClosedError, ConflictError, FullError, UnavailableError } from './errors.ts'

/** Why an operation did not begin. */
export type RefusalReason =
  /** Another one with the same key is under way in this process, or waits for its turn there. */
  | 'held-here'
  /** Another process has the lease. */
  | 'held-elsewhere'
  | 'full'
  | 'unavailable'
  | 'closed'
  /** The caller left. */
  | 'aborted'

/** When to come back after a refusal that has nothing to do with another operation. */
const RETRY_AFTER_MS = 1000

/** An operation that did not begin. An error is made of it only for who wants one. */
export class Refusal {
  readonly reason: RefusalReason
  readonly #detail: {
    readonly retryAfterMs: number
    readonly message: string
    readonly maxOperations: number
  }
  readonly #cause: unknown

  constructor(
    reason: RefusalReason,
    detail: { readonly retryAfterMs: number; readonly message: string; readonly maxOperations: number },
    cause?: unknown,
  ) {
    this.reason = reason
    this.#detail = detail
    this.#cause = cause
  }

  /** Whether somebody else is at work. */
  get isConflict(): boolean {
    return this.reason === 'held-here' || this.reason === 'held-elsewhere'
  }

  toError(): Error {
    const { retryAfterMs, message, maxOperations } = this.#detail
    switch (this.reason) {
      case 'held-here':
      case 'held-elsewhere':
        return withRetryAfter(new ConflictError(message), retryAfterMs)
      case 'full':
        return withRetryAfter(new FullError(maxOperations), RETRY_AFTER_MS)
      case 'unavailable':
        return withRetryAfter(new UnavailableError(), RETRY_AFTER_MS)
      case 'closed':
        return withRetryAfter(new ClosedError(), RETRY_AFTER_MS)
      case 'aborted':
        return new AbortedError('it left before its turn', { cause: this.#cause })
    }
  }
}
