import createError from '@fastify/error'

const codes = 'HOLDFAST_ERR_MAINTENANCE'

/** An option has a value this package cannot work with. Raised at registration. */
export const OptionError = createError<[option: string, expected: string, received: string]>(
  `${codes}_OPTION`,
  'maintenance option "%s" must be %s, received %s',
  500,
)

/** The plugin is registered already, in this scope or in one around it. */
export const AlreadyRegisteredError = createError<[]>(
  `${codes}_ALREADY_REGISTERED`,
  'maintenance is registered already, here or in a scope around this one; use its app.maintenance',
  500,
)

/** What was given for a rule, a banner or a page of the history is of no use. */
export const RuleError = createError<[what: string, expected: string, received: string]>(
  `${codes}_RULE`,
  '"%s" must be %s, received %s',
  400,
)

/** This part of the service is in maintenance. Answered with `Retry-After`. */
export class ActiveError extends createError<[message: string]>(`${codes}_ACTIVE`, '%s', 503) {
  /** The message is for whoever asked. */
  readonly expose = true
  /** For `@holdfast/error-pages`: closed on purpose. */
  readonly page = 'maintenance'
}

/** The tenant is blocked, and nobody knows until when. */
export class TenantBlockedError extends createError<[message: string]>(`${codes}_TENANT_BLOCKED`, '%s', 403) {
  readonly expose = true
}

/** There are as many rules as there may be. */
export const FullError = createError<[most: number]>(
  `${codes}_FULL`,
  'there are %d rules already; remove one first',
  409,
)

/** Somebody else has changed it meanwhile. */
export const ConflictError = createError<[version: number]>(
  `${codes}_CONFLICT`,
  'it was changed meanwhile and is at version %d now; look at it, then try again',
  409,
)

/** There is no such rule. */
export const UnknownError = createError<[what: string]>(`${codes}_UNKNOWN`, 'there is no %s', 404)

/** The store cannot be asked, so that other processes cannot be told. It may have happened all the same. */
export class UnavailableError extends createError<[detail: { cause: unknown }]>(
  `${codes}_UNAVAILABLE`,
  'other processes cannot be told at the moment, so nothing is certain to have changed; look at it before you try again',
  503,
) {
  /** Operators have to know. */
  readonly expose = true
}

/** A bypass that is over, was revoked, or never was. */
export const BypassError = createError<[]>(
  `${codes}_BYPASS`,
  'this bypass is over, was revoked, or never was one; ask an operator for another',
  403,
)

/** An operator's page was asked for without any credentials. */
export const UnauthenticatedError = createError<[]>(
  `${codes}_UNAUTHENTICATED`,
  'this is for authorised callers only; send credentials',
  401,
)

/** An operator's page was asked for by somebody whom `authorize` does not accept. */
export const ForbiddenError = createError<[]>(
  `${codes}_FORBIDDEN`,
  'this is for authorised callers only',
  403,
)
