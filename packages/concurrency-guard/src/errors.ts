import createError from '@fastify/error'

const codes = 'HOLDFAST_ERR_CONCURRENCY_GUARD'

/** An option has a value this package cannot work with. Raised at construction and registration. */
export const OptionError = createError<[option: string, expected: string, received: string]>(
  `${codes}_OPTION`,
  'concurrency-guard option "%s" must be %s, received %s',
  500,
)

/** The plugin is registered already, in this scope or in one around it. */
export const AlreadyRegisteredError = createError<[]>(
  `${codes}_ALREADY_REGISTERED`,
  'concurrency-guard is registered already, here or in a scope around this one; use its app.concurrencyGuard',
  500,
)

/** A key is none, or a part of it says nothing. */
export const KeyError = createError<[problem: string]>(
  `${codes}_KEY`,
  'the key of an operation must be a text, or a list of texts and numbers: %s',
  500,
)

/** `request.concurrencyGuard` was asked for where no operation has begun. */
export const NotGuardedError = createError<[]>(
  `${codes}_NOT_GUARDED`,
  'request.concurrencyGuard exists in a route with config.concurrencyGuard, from its handler on',
  500,
)

/** Another operation with the same key is under way; raised with `retryAfterMs` and `retryAfterSeconds`. */
export const ConflictError = createError<[message: string]>(`${codes}_CONFLICT`, '%s', 429)

/** As many operations as `maxOperations` allows are under way or wait. */
export const FullError = createError<[maximum: number]>(
  `${codes}_FULL`,
  'all %d operations of this process are under way or wait (maxOperations); try again shortly',
  503,
)

/** Redis cannot say who is at work, and `onStoreLoss` is `'closed'`. */
export const UnavailableError = createError<[]>(
  `${codes}_UNAVAILABLE`,
  "nobody can say whether another operation is under way: Redis is lost (onStoreLoss: 'closed')",
  503,
)

/** The guard is closed. */
export const ClosedError = createError<[]>(
  `${codes}_CLOSED`,
  'concurrency-guard is closed; the server is shutting down',
  503,
)

/** The caller left before the operation began, or its client while it ran; `cause` says more. */
export const AbortedError = createError<[why: string, detail?: { cause: unknown }]>(
  `${codes}_ABORTED`,
  'nobody waits for this operation any more: %s',
  499,
)

/** The operation is not over after `timeoutMs`. */
export const TimeoutError = createError<[timeoutMs: number]>(
  `${codes}_TIMEOUT`,
  'the operation is not over after %d ms (timeoutMs)',
  504,
)

/** The reason of an operation's signal: its lease is lost, and another process may have begun the next one. */
export const LeaseLostError = createError<[detail: { cause: unknown }]>(
  `${codes}_LEASE_LOST`,
  'the lease of this operation is lost; another process may have begun the next one',
  503,
)
