import createError from '@fastify/error'

const codes = 'HOLDFAST_ERR_REDIS_SESSION'

/** An option has a value this package cannot work with. Raised at construction and registration. */
export const OptionError = createError<[option: string, expected: string, received: string]>(
  `${codes}_OPTION`,
  'redis-session option "%s" must be %s, received %s',
  500,
)

/** The plugin is registered already, in this scope or in one around it. */
export const AlreadyRegisteredError = createError<[]>(
  `${codes}_ALREADY_REGISTERED`,
  'redis-session is registered already, here or in a scope around this one; use its app.redisSession',
  500,
)

/** A field of the data, or the principal of a login, cannot be kept. */
export const DataError = createError<[what: string, problem: string]>(`${codes}_DATA`, 'session %s: %s', 500)

/** The data of a session has more bytes, or more fields, than it may. Nothing of the write was kept. */
export const TooLargeError = createError<[field: string, maximum: string]>(
  `${codes}_TOO_LARGE`,
  'session field "%s" does not fit: a session holds at most %s',
  500,
)

/** Something was asked of a session that has not been loaded. */
export const NotLoadedError = createError<[what: string]>(
  `${codes}_NOT_LOADED`,
  '%s needs a loaded session: await request.session.load(), or give the route the mode "optional" or "required"',
  500,
)

/** The route has `config.redisSession: false`. */
export const OffError = createError<[]>(
  `${codes}_OFF`,
  'this route has no session (config.redisSession is false)',
  500,
)

/** The route requires somebody who is signed in. */
export const UnauthenticatedError = createError<[]>(`${codes}_UNAUTHENTICATED`, 'Please sign in.', 401)

/** The route requires that the user proved who he is a short while ago. */
export const StaleAuthenticationError = createError<[]>(
  `${codes}_STALE_AUTHENTICATION`,
  'Please confirm who you are and try again.',
  401,
)

/** The session ended while it was in use: somebody logged out, revoked it, or it expired. */
export const GoneError = createError<[]>(`${codes}_GONE`, 'The session has ended. Please sign in again.', 401)

/** Another request changed the session since it was loaded; the write did not happen. */
export const ConflictError = createError<[]>(
  `${codes}_CONFLICT`,
  'The session was changed by another request. Please try again.',
  409,
)

/** The user has as many sessions as `maxPerUser` allows, and `whenFull` is `'deny'`. */
export const FullError = createError<[maximum: number]>(
  `${codes}_FULL`,
  'there are %d sessions of this user already; end one of them first',
  409,
)

/** So many listeners wait for ends of sessions already. */
export const WatchFullError = createError<[maximum: number]>(
  `${codes}_WATCH_FULL`,
  '%d listeners wait for ends of sessions already; raise maxInMemory, or end some',
  503,
)

/** Redis cannot say, and what was asked has no answer without it. */
export const UnavailableError = createError<[why: string, options?: ErrorOptions]>(
  `${codes}_UNAVAILABLE`,
  'sessions are not available at present: %s',
  503,
)

/** The head of the answer has been sent: a cookie cannot follow. */
export const TooLateError = createError<[what: string]>(
  `${codes}_TOO_LATE`,
  '%s came after the answer had begun; call it before reply.send() and reply.hijack()',
  500,
)
