import createError from '@fastify/error'
import { type RetryAfter, wholeSeconds } from '@holdfast/footing'
import { withOutcome } from './outcome.ts'

const codes = 'HOLDFAST_ERR_CIRCUIT_BREAKER'

/** An option has a value or a name this package cannot work with. Raised at construction or registration. */
export const InvalidOptionError = createError<[option: string, expected: string, received: string]>(
  `${codes}_INVALID_OPTION`,
  'circuit-breaker option "%s" must be %s, received %s',
  500,
)

/** Why a call was refused. */
export type RefusalReason = 'open' | 'probing' | 'ramp' | 'held' | 'isolated'

/**
 * The breaker lets no call through now; the work was not started. It has no stack: it says nothing about a line of
 * code, and while a dependency is down it is made for every call.
 */
export class OpenError
  extends createError<[breaker: string, reason: string, retryAfterMs: number]>(
    `${codes}_OPEN`,
    'circuit breaker "%s" does not let this call through (%s); try again in %d ms',
    503,
    Error,
    false,
  )
  implements RetryAfter
{
  readonly breaker: string
  readonly reason: RefusalReason
  readonly retryAfterMs: number
  readonly retryAfterSeconds: number

  constructor(breaker: string, reason: RefusalReason, retryAfterMs: number) {
    const waitMs = Math.max(1, Math.ceil(retryAfterMs))
    super(breaker, reason, waitMs)
    this.breaker = breaker
    this.reason = reason
    this.retryAfterMs = waitMs
    this.retryAfterSeconds = wholeSeconds(waitMs)
  }
}
// The dependency behind an outer breaker was not asked, so that breaker must not count it.
withOutcome(OpenError.prototype, 'ignored')

/** The call took longer than its `timeoutMs`; the work may go on, its result is ignored. */
export const TimeoutError = createError<[breaker: string, timeoutMs: number]>(
  `${codes}_TIMEOUT`,
  '"%s": no result within %d ms (timeoutMs)',
  504,
)

/** The caller's `deadlineMs` passed before the work had a result, or even before it was started. */
export const DeadlineError = createError<[breaker: string]>(
  `${codes}_DEADLINE`,
  '"%s": no result before the deadline of the caller (deadlineMs)',
  504,
)

/** The caller's own signal aborted; `cause` is its reason, `name` is `AbortError`. */
export const AbortedError = createError<[breaker: string, detail: { cause: unknown }]>(
  `${codes}_ABORTED`,
  '"%s": the caller left before there was a result (its signal aborted)',
  499,
)

/** The breaker was closed for good; the server is shutting down. */
export const ClosedError = createError<[breaker: string]>(
  `${codes}_CLOSED`,
  '"%s" is closed for good; the server is shutting down',
  503,
)

// Nobody was asked: neither a failure of a dependency, nor anything that another attempt would change.
withOutcome(ClosedError.prototype, 'ignored')

/** A breaker of this name exists already. */
export const NameTakenError = createError<[breaker: string]>(
  `${codes}_NAME_TAKEN`,
  'there is a circuit breaker "%s" already; get() it, or give the new one another name',
  500,
)

/** The registry holds as many breakers as `maxBreakers` allows. */
export const BreakersFullError = createError<[maximum: number]>(
  `${codes}_BREAKERS_FULL`,
  'there are %d circuit breakers already (maxBreakers); name breakers by dependency, not by request',
  500,
)

/** As many holds and isolations as a breaker keeps are in force. */
export const HoldsFullError = createError<[breaker: string, maximum: number]>(
  `${codes}_HOLDS_FULL`,
  'circuit breaker "%s" is held or isolated %d times already; release each one when its cause has gone',
  500,
)

/** The error of a caller whose signal aborted. Like Node's own it is named AbortError and keeps the reason. */
export function abortedBy(breaker: string, reason: unknown): Error {
  return Object.assign(new AbortedError(breaker, { cause: reason }), { name: 'AbortError' })
}

/** All places of a bulkhead are taken, and so is its queue. */
export const BulkheadFullError = createError<[bulkhead: string, maxConcurrent: number, maxWaiting: number]>(
  `${codes}_BULKHEAD_FULL`,
  'bulkhead "%s" is full: %d works run (maxConcurrent) and %d callers wait (maxWaiting)',
  503,
)

/** A caller waited for a place in a bulkhead as long as it may. */
export const BulkheadTimeoutError = createError<[bulkhead: string, maxWaitMs: number]>(
  `${codes}_BULKHEAD_TIMEOUT`,
  'bulkhead "%s" had no place within %d ms (maxWaitMs)',
  503,
)

/** The handler of a guarded route has not begun to answer within its `timeoutMs`. */
export const RouteTimeoutError = createError<[route: string, timeoutMs: number]>(
  `${codes}_ROUTE_TIMEOUT`,
  'route %s did not answer within %d ms (config.circuitBreaker.timeoutMs)',
  503,
)

/** A route names a breaker that does not exist; create it before the route. Raised when the route is registered. */
export const UnknownBreakerError = createError<[route: string, breaker: string]>(
  `${codes}_UNKNOWN_BREAKER`,
  'route %s names the circuit breaker "%s", which does not exist (yet): create it before the route',
  500,
)

/** The plugin is registered already, in this scope or in one around it. Raised at registration. */
export const AlreadyRegisteredError = createError<[]>(
  `${codes}_ALREADY_REGISTERED`,
  'circuit-breaker is registered already, here or in a scope around this one; use its app.circuitBreaker, or register it in scopes beside each other',
  500,
)
