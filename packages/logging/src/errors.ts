import createError from '@fastify/error'

/** An option has a value this package cannot work with. */
export const OptionError = createError<[option: string, expected: string, received: string]>(
  'HOLDFAST_ERR_LOGGING_OPTION',
  'logging option "%s" must be %s, received %s',
  500,
)

/** The plugin is registered in a scope that has it already. */
export const AlreadyRegisteredError = createError(
  'HOLDFAST_ERR_LOGGING_ALREADY_REGISTERED',
  'logging is registered in this scope already; it logs for all scopes inside',
  500,
)

/** Nobody has said who changes the level. */
export const UnauthenticatedError = createError(
  'HOLDFAST_ERR_LOGGING_UNAUTHENTICATED',
  'Sign in to see or change the level of the log.',
  401,
)

/** Who asks may not change the level. */
export const ForbiddenError = createError(
  'HOLDFAST_ERR_LOGGING_FORBIDDEN',
  'You are not allowed to see or change the level of the log.',
  403,
)

/** What was sent names no level, or no time. */
export const LevelError = createError<[levels: string]>(
  'HOLDFAST_ERR_LOGGING_LEVEL',
  'Send a "level" (%s) and, if you like, "for_seconds" from 1 to 86400.',
  400,
)
