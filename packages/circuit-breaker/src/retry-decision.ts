/**
 * Whether an attempt that failed is followed by another one, and when. Pure but for the budget, from which a retry
 * is withdrawn last, when nothing else speaks against it.
 */
import { type Backoff, backoffMs } from './backoff.ts'
import { classifyError } from './classification.ts'
import { outcomeOf } from './outcome.ts'
import type { RetryBudget } from './retry-budget.ts'

/**
 * Why there is no further attempt: all are used up, the error will not go away by itself, the breaker lets nobody
 * through, the dependency wants to be left alone for longer than `maxRetryAfterMs`, the deadline comes before the
 * next attempt would, or there is nothing left in the budget.
 */
export type GiveUpReason = 'attempts' | 'not-retryable' | 'open' | 'retry-after' | 'deadline' | 'budget'

export type RetryDecision =
  | { readonly retry: true; readonly delayMs: number }
  | { readonly retry: false; readonly reason: GiveUpReason }

/** What is known after an attempt has failed. */
export interface FailedAttempt {
  /** Attempts so far, this one included. */
  readonly failed: number
  readonly retryable: boolean
  /** Whether the breaker of the dependency refuses calls now. */
  readonly open: boolean
  /** When the dependency wants to be asked again, in ms. */
  readonly hintMs: number | undefined
  /** Until the deadline. */
  readonly remainingMs: number
}

/** The rules of one `retry`. */
export interface RetryRules extends Backoff {
  readonly attempts: number
  readonly maxRetryAfterMs: number
  readonly budget: RetryBudget | undefined
  readonly random: () => number
}

/** Decides; in the order in which the reasons are told. */
export function decideRetry(attempt: FailedAttempt, rules: RetryRules): RetryDecision {
  const { failed, hintMs = 0, remainingMs } = attempt
  if (failed >= rules.attempts) return giveUp('attempts')
  if (!attempt.retryable) return giveUp('not-retryable')
  if (attempt.open) return giveUp('open')
  if (hintMs > rules.maxRetryAfterMs) return giveUp('retry-after')
  // Never before the time the dependency named; and those who were told the same time are spread behind it.
  const spreadMs = hintMs > 0 ? rules.random() * rules.baseMs : 0
  const delayMs = Math.max(backoffMs(failed, rules, rules.random), hintMs + spreadMs)
  if (delayMs >= remainingMs) return giveUp('deadline')
  if (rules.budget?.withdraw() === false) return giveUp('budget')
  return { retry: true, delayMs }
}

const MAY_COME_AGAIN: ReadonlySet<unknown> = new Set([408, 425, 429])

/**
 * The default of `retryIf`: what counts as a failure of the dependency, and answers that ask to come again (408,
 * 425, 429). Not: the caller's own mistakes (other 4xx), aborts, refusals of breakers and bulkheads.
 */
export function isRetryable(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return true
  // An error that was marked says itself what it is, whatever its status.
  if (outcomeOf(error) !== undefined) return outcomeOf(error) === 'failure'
  const { statusCode, status } = error as Readonly<Record<string, unknown>>
  return MAY_COME_AGAIN.has(statusCode ?? status) || classifyError(error) === 'failure'
}

function giveUp(reason: GiveUpReason): RetryDecision {
  return { retry: false, reason }
}
