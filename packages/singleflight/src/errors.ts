import createError from '@fastify/error'

/** Seconds after which a refused caller may try again; sent as `Retry-After` by whoever answers the request. */
export const RETRY_AFTER_SECONDS = 1

const codes = 'HOLDFAST_ERR_SINGLEFLIGHT'

/** An option has a value this package cannot work with. Raised at construction or registration. */
export const InvalidOptionError = createError<[option: string, expected: string, received: string]>(
  `${codes}_INVALID_OPTION`,
  'singleflight option "%s" must be %s, received %s',
  500,
)

/** The plugin is registered already, in this scope or in one around it. Raised at registration. */
export const AlreadyRegisteredError = createError<[]>(
  `${codes}_ALREADY_REGISTERED`,
  'singleflight is registered already, here or in a scope around this one; use its app.singleflight, or register it in scopes beside each other',
  500,
)

/** A key is not a tuple, or one of its parts cannot be encoded without ambiguity. */
export const KeyInvalidError = createError<[problem: string, received: string]>(
  `${codes}_KEY_INVALID`,
  'a flight key must be an array of strings, numbers, bigints, booleans, null, undefined or valid Dates: %s, received %s',
  500,
)

/** The encoded key is longer than `MAX_KEY_LENGTH`; hash the long part before it enters the key. */
export const KeyTooLongError = createError<[length: number, maximum: number]>(
  `${codes}_KEY_TOO_LONG`,
  'the encoded flight key has %d characters, at most %d are allowed; put a hash of the long part into the key',
  414,
)

/** The key function of a route threw; `cause` is what it threw. */
export const KeyFunctionError = createError<[route: string, detail: { cause: unknown }]>(
  `${codes}_KEY_FUNCTION_FAILED`,
  'config.singleflight.key of route %s failed; it must return a flight key, or false to run this request on its own',
  500,
)

/** A route with a method other than GET or HEAD asks to be coalesced. Raised when the route is registered. */
export const UnsafeMethodError = createError<[route: string]>(
  `${codes}_UNSAFE_METHOD`,
  'route %s cannot be coalesced: only GET and HEAD are safe; remove config.singleflight or split the route',
  500,
)

/** As many flights as `maxFlights` allows are in the air, and this key has none. */
export const FlightsFullError = createError<[maximum: number]>(
  `${codes}_FLIGHTS_FULL`,
  'all %d flights are in use (maxFlights); try again shortly',
  503,
)

/** The flight of this key has as many waiters as `maxWaiters` allows. */
export const WaitersFullError = createError<[maximum: number]>(
  `${codes}_WAITERS_FULL`,
  'the flight of this key already has %d waiters (maxWaiters); try again shortly',
  503,
)

/** This waiter's own `timeoutMs` ran out; the flight and its other waiters go on. */
export const WaitTimeoutError = createError<[timeoutMs: number]>(
  `${codes}_WAIT_TIMEOUT`,
  'waited %d ms for the flight of this key, as long as this caller allowed (timeoutMs)',
  504,
)

/** The flight is not back after `hardTimeoutMs`, or was given up after `maxFlightMs`. */
export const FlightTimeoutError = createError<[limit: string, limitMs: number]>(
  `${codes}_FLIGHT_TIMEOUT`,
  'the flight of this key is not back within %s = %d ms',
  504,
)

/** This waiter's own signal aborted; `cause` is the signal's reason, `name` is `AbortError`. */
export const AbortedError = createError<[detail: { cause: unknown }]>(
  `${codes}_ABORTED`,
  'the caller stopped waiting for the flight of this key (its signal aborted)',
  499,
)

/** The reason of a work's signal after its last waiter left, with `whenAbandoned: 'abort'`. */
export const AbandonedError = createError<[]>(
  `${codes}_ABANDONED`,
  "nobody waits for this flight any more (whenAbandoned: 'abort')",
  499,
)

/** The work of a flight waits for its own flight, directly or through another: it would wait for ever. */
export const ReentrantError = createError<[]>(
  `${codes}_REENTRANT`,
  'the work of a flight cannot wait for its own flight; use another key inside the work',
  500,
)

/** A value of a flight across processes is one that JSON would lose or change; name a codec, or return plain data. */
export const ValueNotShareableError = createError<[place: string, received: string]>(
  `${codes}_VALUE_NOT_SHAREABLE`,
  'a flight across processes carries plain JSON data, and %s is %s; return plain data, or set fleet.codec',
  500,
)

/** The codec's `encode` threw, or answered neither bytes nor text; `cause` is what it threw. */
export const CodecFailedError = createError<[problem: string, detail: { cause: unknown }]>(
  `${codes}_CODEC_FAILED`,
  'fleet.codec.encode %s; it must return a string or a Uint8Array',
  500,
)

/** The work failed in another process, with an error that has no code of its own. */
export const RemoteFailedError = createError<[message: string]>(`${codes}_REMOTE_FAILED`, '%s', 500)

/** The reason of a work's signal when another process has taken over its lease. */
export const LeaseLostError = createError<[]>(
  `${codes}_LEASE_LOST`,
  'the lease of this flight is lost: it ran out unrenewed, and another process may run the same work',
  499,
)

/** The group was closed, which rejects everybody who waits and everybody who comes. */
export const ClosedError = createError<[]>(
  `${codes}_CLOSED`,
  'singleflight is closed; the server is shutting down',
  503,
)

/** Adds the hint after how many seconds a new try makes sense. */
export function withRetryHint<E extends Error>(error: E): E & { readonly retryAfterSeconds: number } {
  return Object.assign(error, { retryAfterSeconds: RETRY_AFTER_SECONDS })
}
