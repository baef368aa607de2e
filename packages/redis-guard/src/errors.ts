import createError from '@fastify/error'
import { withRetryAfter } from '@holdfast/footing'

const codes = 'HOLDFAST_ERR_REDIS_GUARD'

/** An option has a value this package cannot work with. Raised at construction and registration. */
export const OptionError = createError<[option: string, expected: string, received: string]>(
  `${codes}_OPTION`,
  'redis-guard option "%s" must be %s, received %s',
  500,
)

/** The plugin is registered already, in this scope or in one around it. */
export const AlreadyRegisteredError = createError<[]>(
  `${codes}_ALREADY_REGISTERED`,
  'redis-guard is registered already, here or in a scope around this one; use its app.redisGuard',
  500,
)

/** The client library is wanted and not installed. */
export const ClientMissingError = createError<[options: ErrorOptions]>(
  `${codes}_CLIENT_MISSING`,
  'redis-guard makes its connections with ioredis, which cannot be loaded; install ioredis, or give a client',
  500,
)

/** A key cannot be built, or the keys of one call do not share a slot. */
export const KeyError = createError<[problem: string]>(`${codes}_KEY`, 'redis key: %s', 500)

/** A command that a shared connection cannot run. */
export const CommandError = createError<[command: string, why: string]>(
  `${codes}_COMMAND`,
  'redis command %s: %s',
  500,
)

/** The script failed in Redis, was called with the wrong number of keys, or its reply could not be read. */
export const ScriptError = createError<[script: string, why: string, options?: ErrorOptions]>(
  `${codes}_SCRIPT`,
  'redis script "%s": %s',
  500,
)

/** No reply within the budget. */
export const BudgetError = createError<[what: string, budgetMs: number]>(
  `${codes}_BUDGET`,
  'redis did not answer %s within %d ms',
  504,
)

/** Redis is not usable at present; refused at once. */
export const UnavailableError = createError<[what: string, reason: string]>(
  `${codes}_UNAVAILABLE`,
  'redis is not usable, %s was not sent: %s',
  503,
)

/** The connection ended, or Redis lost its role, before the reply. */
export const LostError = createError<[what: string, reason: string]>(
  `${codes}_LOST`,
  'redis was lost before it answered %s: %s',
  503,
)

/** A bound is reached. */
export const FullError = createError<[what: string, maximum: number, option: string]>(
  `${codes}_FULL`,
  'redis-guard holds %s, at most %d (%s)',
  503,
)

/** The caller's signal aborted. */
export const AbortedError = createError<[what: string, options: ErrorOptions]>(
  `${codes}_ABORTED`,
  'the wait for redis was aborted: %s',
  499,
)

/** The guard is closed. */
export const ClosedError = createError<[what: string]>(
  `${codes}_CLOSED`,
  'redis-guard is closed, %s was not sent',
  503,
)

/** The reason of a lease's signal: it is lost, and somebody else may hold it. */
export const LeaseLostError = createError<[how: string]>(`${codes}_LEASE_LOST`, 'the lease is lost: %s', 499)

/** Added to the errors of a call: whether Redis can have executed it. */
export interface MayHaveRun {
  readonly mayHaveRun: boolean
}

/** After this, calls may pass again: the longest pause between two attempts to connect is shorter. */
const RETRY_AFTER_MS = 1000

/** The error of a call that failed, with what its caller needs in order to decide about a new try. */
export function callError<E extends Error>(error: E, mayHaveRun: boolean): E & MayHaveRun {
  const passing = passingErrors.some((type) => error instanceof type)
  return Object.assign(passing ? withRetryAfter(error, RETRY_AFTER_MS) : error, { mayHaveRun })
}

/** Errors of a state that ends. */
const passingErrors = [BudgetError, UnavailableError, LostError, FullError]
