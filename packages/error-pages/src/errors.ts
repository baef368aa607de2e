import createError from '@fastify/error'
import { type RetryAfter, withRetryAfter } from '@holdfast/footing'
import type { Issue } from './issues.ts'

/** An option has a value this package cannot work with. */
export const OptionError = createError<[option: string, expected: string, received: string]>(
  'HOLDFAST_ERR_ERROR_PAGES_OPTION',
  'error-pages option "%s" must be %s, received %s',
  500,
)

/** The plugin is registered in a scope that has it already. */
export const AlreadyRegisteredError = createError(
  'HOLDFAST_ERR_ERROR_PAGES_ALREADY_REGISTERED',
  'error-pages is registered in this scope already; it answers for all scopes inside',
  500,
)

/** There is nothing at this address. Raised by the handler of unknown addresses. */
export const NotFoundError = createError(
  'HOLDFAST_ERR_ERROR_PAGES_NOT_FOUND',
  'There is nothing at this address.',
  404,
)

/** The address exists, and not with this method. Raised by the routes of `answerOtherMethods()`. */
export const MethodNotAllowedError = createError<[method: string, allow: string]>(
  'HOLDFAST_ERR_ERROR_PAGES_METHOD_NOT_ALLOWED',
  'This address does not know %s, only %s.',
  405,
)

/** The request asks with `Expect` for something other than `100-continue`. */
export const ExpectationError = createError(
  'HOLDFAST_ERR_ERROR_PAGES_EXPECTATION',
  'The only expectation this service can meet is 100-continue.',
  417,
)

/** An object in place of a text would be told as Node shows it, with whatever is in it. */
function told(error: string, detail: unknown): string {
  if (typeof detail === 'string') return detail
  throw new OptionError(
    `detail of ${error}`,
    'a text',
    detail === null ? 'null' : `something of type ${typeof detail}`,
  )
}

/** What some errors take besides what they tell. */
export interface Reason {
  /** Why; for the log alone. */
  readonly cause?: unknown
}

/** What was sent is not what is asked for. `issues` says where and why, and is told. */
export class ValidationError extends createError<[detail: string]>(
  'HOLDFAST_ERR_ERROR_PAGES_VALIDATION',
  '%s',
  400,
) {
  readonly issues: readonly Issue[]

  constructor(detail: string, issues: readonly Issue[] = []) {
    super(told('ValidationError', detail))
    this.issues = issues
  }
}

/** Who asks is not known. `challenge` becomes `WWW-Authenticate` (RFC 9110, 11.6.1). */
export class UnauthenticatedError extends createError<[detail: string]>(
  'HOLDFAST_ERR_ERROR_PAGES_UNAUTHENTICATED',
  '%s',
  401,
) {
  readonly headers: Readonly<Record<string, string>>

  constructor(detail = 'Sign in to go on.', challenge = 'Bearer') {
    super(told('UnauthenticatedError', detail))
    this.headers = { 'www-authenticate': challenge }
  }
}

/** Who asks is known, and may not. What he lacks belongs into the log (`cause`), not into the answer. */
export class AuthorisationError extends createError<[detail: string]>(
  'HOLDFAST_ERR_ERROR_PAGES_AUTHORISATION',
  '%s',
  403,
) {
  constructor(detail = 'You are not allowed to do this.', { cause }: Reason = {}) {
    super(told('AuthorisationError', detail))
    this.cause = cause
  }
}

/** Somebody else was first. Nothing was changed. */
export class ConflictError extends createError<[detail: string]>(
  'HOLDFAST_ERR_ERROR_PAGES_CONFLICT',
  '%s',
  409,
) {
  constructor(
    detail = 'This was changed by somebody else in the meantime. Nothing of yours was saved.',
    { cause }: Reason = {},
  ) {
    super(told('ConflictError', detail))
    this.cause = cause
  }
}

/** What a `DatabaseError` knows. */
export interface DatabaseFailure {
  /** Why; for the log alone. */
  readonly cause?: unknown
  /** Whether the transaction was rolled back, so that nothing was changed and a retry is safe. Default true. */
  readonly rolledBack?: boolean
  /** When a retry makes sense, in ms. Default 1000. */
  readonly retryAfterMs?: number
}

/** The database refused, or was not there. The person learns whether anything was changed. */
export class DatabaseError
  extends createError<[detail: string]>('HOLDFAST_ERR_ERROR_PAGES_DATABASE', '%s', 503)
  implements RetryAfter
{
  readonly expose = true
  readonly rolledBack: boolean
  declare readonly retryAfterMs: number
  declare readonly retryAfterSeconds: number

  constructor({ cause, rolledBack = true, retryAfterMs = 1000 }: DatabaseFailure = {}) {
    super(
      rolledBack
        ? 'This could not be saved. Nothing was changed, and it is safe to try again.'
        : 'This could not be finished. Look whether it was done before you try again.',
    )
    this.cause = cause
    this.rolledBack = rolledBack
    withRetryAfter(this, retryAfterMs)
  }
}

/** What an `ExternalServiceError` knows. */
export interface ExternalFailure {
  /** Why; for the log alone. */
  readonly cause?: unknown
  /** When a retry makes sense, in ms. Default 5000. */
  readonly retryAfterMs?: number
}

/** A service that this one depends on failed. Its name (`service`) is for the log alone. */
export class ExternalServiceError
  extends createError<[detail: string]>('HOLDFAST_ERR_ERROR_PAGES_EXTERNAL_SERVICE', '%s', 502)
  implements RetryAfter
{
  readonly expose = true
  readonly service: string
  declare readonly retryAfterMs: number
  declare readonly retryAfterSeconds: number

  constructor(service: string, { cause, retryAfterMs = 5000 }: ExternalFailure = {}) {
    super('A service that this one depends on did not answer. Nothing is wrong with your request.')
    this.service = service
    this.cause = cause
    withRetryAfter(this, retryAfterMs)
  }
}

/** What a `MaintenanceError` knows. */
export interface MaintenanceNotice {
  /** What people are told. Default: a sentence that this is planned. */
  readonly message?: string
  /** When it is expected to be over, in ms. Default: nobody knows. */
  readonly retryAfterMs?: number
}

/** The service is down on purpose; the page says so, and so does `error` for programs. */
export class MaintenanceError extends createError<[detail: string]>(
  'HOLDFAST_ERR_ERROR_PAGES_MAINTENANCE',
  '%s',
  503,
) {
  readonly expose = true
  readonly page = 'maintenance'
  readonly retryAfterMs?: number
  readonly retryAfterSeconds?: number

  constructor({ message, retryAfterMs }: MaintenanceNotice = {}) {
    super(message ?? 'This is planned, and nothing is lost. Please come back later.')
    if (retryAfterMs !== undefined) withRetryAfter(this, retryAfterMs)
  }
}
