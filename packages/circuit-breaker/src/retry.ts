import { type Clock, holdProcess, systemClock } from '@holdfast/footing'
import { Call } from './call.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { ErrorLog } from './error-log.ts'
import { AbortedError, abortedBy, DeadlineError } from './errors.ts'
import { tell } from './events.ts'
import { checkCall, checks, defaultRandom } from './options.ts'
import type { RetryBudget } from './retry-budget.ts'
import { decideRetry, type GiveUpReason, isRetryable, type RetryRules } from './retry-decision.ts'
import { retryHintMs } from './retry-hint.ts'
import { within } from './timeout.ts'

/** What an attempt is given. Both end with the attempt. */
export interface AttemptContext {
  /** 1 is the first. */
  readonly attempt: number
  /**
   * Aborts when the attempt is over without a result: it failed, its time was up, or the caller left. What it has
   * begun with this signal is let go before the next attempt is waited for.
   */
  readonly signal: AbortSignal
}

/** An attempt failed, and another one follows. */
export interface RetryEvent {
  readonly name: string
  /** The attempt that failed. */
  readonly attempt: number
  readonly delayMs: number
  readonly error: unknown
}

/** The last attempt failed. */
export interface GiveUpEvent {
  readonly name: string
  readonly attempt: number
  readonly reason: GiveUpReason
  readonly error: unknown
}

/** Settings of one call of `retry`. */
export interface RetryOptions {
  /** Attempts all in all. Default 3; 1 never retries. */
  readonly attempts?: number | undefined
  /** Milliseconds before the second attempt, varied by half to one and a half times. Default 200. */
  readonly baseMs?: number | undefined
  /** By how much the wait grows with every attempt. Default 2. */
  readonly factor?: number | undefined
  /** The longest wait before it is varied, in ms. Default 10,000. */
  readonly maxBackoffMs?: number | undefined
  /** The longest wait a `Retry-After` may ask for, in ms; who asks for more is not asked again. Default 30,000. */
  readonly maxRetryAfterMs?: number | undefined
  /** Milliseconds after which one attempt is given up. Default `Infinity`: no limit. */
  readonly attemptTimeoutMs?: number | undefined
  /** When the caller needs its answer, on the clock (`clock.nowMs()`). Default: never. */
  readonly deadlineMs?: number | undefined
  /** Ends everything at once when it aborts, also a wait. */
  readonly signal?: AbortSignal | undefined
  /** The budget of the dependency, shared by all who call it. Default: none; `attempts` is the only bound. */
  readonly budget?: RetryBudget | undefined
  /** The breaker of the dependency: while it refuses calls, nothing is retried. Default: none. */
  readonly breaker?: Pick<CircuitBreaker, 'retryAfterMs'> | undefined
  /** Whether another attempt may have another result. Default: failures, 408, 425 and 429, no aborts or refusals. */
  readonly retryIf?: ((error: unknown) => boolean) | undefined
  /** Where every failed attempt is recorded, under `name`. Default: nowhere. */
  readonly errorLog?: Pick<ErrorLog, 'record'> | undefined
  /** Told before every wait. */
  readonly onRetry?: ((event: RetryEvent) => void) | undefined
  /** Told when an attempt failed and none follows. */
  readonly onGiveUp?: ((event: GiveUpEvent) => void) | undefined
  /** What errors and events call the work. Default `retry`. */
  readonly name?: string | undefined
  /** Where time comes from; the same as the breaker's. Default: `systemClock`. */
  readonly clock?: Clock | undefined
  /** Numbers in [0, 1) for the jitter. Default `Math.random`. */
  readonly random?: (() => number) | undefined
}

interface ResolvedRetryOptions extends RetryRules {
  readonly attemptTimeoutMs: number
  readonly deadlineMs: number
  readonly signal: AbortSignal | undefined
  readonly breaker: Pick<CircuitBreaker, 'retryAfterMs'> | undefined
  readonly retryIf: (error: unknown) => boolean
  readonly errorLog: Pick<ErrorLog, 'record'> | undefined
  readonly onRetry: ((event: RetryEvent) => void) | undefined
  readonly onGiveUp: ((event: GiveUpEvent) => void) | undefined
  readonly name: string
  readonly clock: Clock
}

/**
 * Runs the work until it succeeds, and answers what it answers. Retry only what may run twice.
 *
 * An attempt is the whole of the work: it takes what it needs (a connection, a lock, a place in a bulkhead) inside
 * and has given it back when it fails, so that nothing is held during a wait. There is no wait while `breaker` is
 * open, beyond `deadlineMs`, or without `budget`.
 *
 * Never throws, only rejects: with the error of the last attempt as it is, or `HOLDFAST_ERR_CIRCUIT_BREAKER_` +
 * `TIMEOUT` (the last attempt), `DEADLINE`, `ABORTED`, `INVALID_OPTION`.
 */
export async function retry<T>(
  work: (context: AttemptContext) => T | PromiseLike<T>,
  options: RetryOptions = {},
): Promise<T> {
  const resolved = resolveRetryOptions(options)
  for (let attempt = 1; ; attempt += 1) {
    const call = new Call()
    try {
      const value = await within(() => work(contextOf(attempt, call)), call, {
        ...resolved,
        timeoutMs: resolved.attemptTimeoutMs,
      })
      resolved.budget?.deposit()
      return value
    } catch (error) {
      call.abort(error)
      await pause(attempt, error, resolved)
    }
  }
}

/** Waits for the next attempt, or throws: when there is none, the error of the last one. */
async function pause(attempt: number, error: unknown, options: ResolvedRetryOptions): Promise<void> {
  const { signal, deadlineMs, clock, name, breaker } = options
  // The caller has left: what became of the attempt does not matter any more.
  if (signal?.aborted === true) throw error instanceof AbortedError ? error : abortedBy(name, signal.reason)
  options.errorLog?.record(name, error)
  const remainingMs = deadlineMs - clock.nowMs()
  if (error instanceof DeadlineError && remainingMs <= 0) throw error
  const open = () => breaker !== undefined && breaker.retryAfterMs() > 0
  const decision = decideRetry(
    {
      failed: attempt,
      retryable: options.retryIf(error),
      open: open(),
      hintMs: retryHintMs(error, clock.wallMs()),
      remainingMs,
    },
    options,
  )
  const stop = (reason: GiveUpReason) => {
    tell(options.onGiveUp, { name, attempt, reason, error }, `onGiveUp of retry "${name}"`)
    return error
  }
  if (!decision.retry) throw stop(decision.reason)
  const { delayMs } = decision
  tell(options.onRetry, { name, attempt, delayMs, error }, `onRetry of retry "${name}"`)
  await sleep(delayMs, options)
  if (open()) throw stop('open')
}

/** Resolves after `delayMs`; rejects as soon as the signal aborts. */
function sleep(delayMs: number, { signal, clock, name }: ResolvedRetryOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const letGo = holdProcess()
    const finish = () => {
      letGo()
      cancelTimer()
      signal?.removeEventListener('abort', leave)
    }
    const leave = () => {
      finish()
      reject(abortedBy(name, signal?.reason))
    }
    const cancelTimer = clock.schedule(delayMs, () => {
      finish()
      resolve()
    })
    signal?.addEventListener('abort', leave, { once: true })
  })
}

function contextOf(attempt: number, call: Call): AttemptContext {
  return {
    attempt,
    get signal() {
      return call.signal
    },
  }
}

function resolveRetryOptions(options: RetryOptions): ResolvedRetryOptions {
  checks.object('options', options)
  const resolved: ResolvedRetryOptions = {
    attempts: checks.count('attempts', options.attempts ?? 3, 1, 1000),
    baseMs: checks.duration('baseMs', options.baseMs ?? 200),
    factor: checks.number('factor', options.factor ?? 2, 1, 100),
    maxBackoffMs: checks.duration('maxBackoffMs', options.maxBackoffMs ?? 10_000),
    maxRetryAfterMs: checks.duration('maxRetryAfterMs', options.maxRetryAfterMs ?? 30_000),
    attemptTimeoutMs: checks.durationOrInfinity(
      'attemptTimeoutMs',
      options.attemptTimeoutMs ?? Number.POSITIVE_INFINITY,
    ),
    deadlineMs: options.deadlineMs ?? Number.POSITIVE_INFINITY,
    signal: options.signal,
    budget: checks.having('budget', options.budget, ['deposit', 'withdraw']),
    breaker: checks.having('breaker', options.breaker, ['retryAfterMs']),
    retryIf: checks.callable('retryIf', options.retryIf) ?? isRetryable,
    errorLog: checks.having('errorLog', options.errorLog, ['record']),
    onRetry: checks.callable('onRetry', options.onRetry),
    onGiveUp: checks.callable('onGiveUp', options.onGiveUp),
    name: checks.text('name', options.name ?? 'retry'),
    clock: checks.having('clock', options.clock, ['nowMs', 'wallMs', 'schedule']) ?? systemClock,
    random: checks.callable('random', options.random) ?? defaultRandom,
  }
  checkCall(options, Object.keys(resolved))
  return resolved
}
