import createError from '@fastify/error'
import { wholeSeconds } from '@holdfast/footing'

const codes = 'HOLDFAST_ERR_STALE_CACHE'

/** An option has a value this package cannot work with. Raised at construction or registration. */
export const InvalidOptionError = createError<[option: string, expected: string, received: string]>(
  `${codes}_INVALID_OPTION`,
  'stale-cache option "%s" must be %s, received %s',
  500,
)

/** `create` was given a name that another cache of this instance has. */
export const NameTakenError = createError<[name: string]>(
  `${codes}_NAME_TAKEN`,
  'a cache named "%s" exists already; get it with app.staleCache.get(), or choose another name',
  500,
)

/** `create` would exceed `maxCaches`. */
export const TooManyCachesError = createError<[name: string, maximum: number]>(
  `${codes}_TOO_MANY_CACHES`,
  'cache "%s" would exceed maxCaches = %d; create caches at start-up, not per request, or raise the limit',
  500,
)

/** `get` was asked for a cache that nobody created. */
export const UnknownCacheError = createError<[name: string, known: string]>(
  `${codes}_UNKNOWN_CACHE`,
  'there is no cache named "%s", only: %s; create it before you get it',
  500,
)

/** `set` was given a key that `isKey` refuses, that is empty or longer than `maxKeyLength`. */
export const KeyRefusedError = createError<[key: string]>(
  `${codes}_KEY_REFUSED`,
  'key %s is empty, longer than maxKeyLength, or refused by isKey; it cannot be stored',
  400,
)

/** A row cannot be used: its key is no text, its value is a promise, or its version or tags are wrong. */
export const RowInvalidError = createError<[key: string, problem: string]>(
  `${codes}_ROW_INVALID`,
  'the row of key %s cannot be stored: %s',
  500,
)

/** `load` did not settle within `maxLoadMs`: its signal aborted, and its keys may be loaded again. */
export const LoadGivenUpError = createError<[maxLoadMs: number]>(
  `${codes}_LOAD_GIVEN_UP`,
  'load has not settled within maxLoadMs = %d; make it obey its signal, or give its source a time-out',
  504,
)

/**
 * The last load of this key failed, nothing is held for it, and the pause before the next load is not over.
 * `cause` is why the load failed.
 */
export const BackingOffError = createError<[key: string, detail: { cause: unknown }]>(
  `${codes}_BACKING_OFF`,
  'the last load of key %s failed and the next one is not due yet; the cause is attached',
  503,
)

/** Another process of the fleet has just loaded this key and failed; its words follow. */
export const SharedLoadError = createError<[key: string, reason: string]>(
  `${codes}_SHARED_LOAD`,
  'the load of key %s has just failed in another process: %s',
  503,
)

/** The cache was closed; the server is shutting down. */
export const ClosedError = createError<[name: string]>(
  `${codes}_CLOSED`,
  'stale cache "%s" is closed; the server is shutting down',
  503,
)

/** Adds the hint after how many seconds a new try makes sense. */
export function withRetryHint<E extends Error>(
  error: E,
  afterMs: number,
): E & { readonly retryAfterSeconds: number } {
  return Object.assign(error, { retryAfterSeconds: wholeSeconds(afterMs) })
}

/** A body, content type or option from which no representation can be built. */
export const StaleCacheRepresentationError = createError<[string, string, string]>(
  'HOLDFAST_ERR_STALE_CACHE_REPRESENTATION',
  'representation: %s is %s; give %s',
)

/** A body above the configured size: it would be held in memory in up to three codings. */
export const StaleCacheBodyTooLargeError = createError<[number, number]>(
  'HOLDFAST_ERR_STALE_CACHE_BODY_TOO_LARGE',
  'representation: the body has %s bytes, more than maxBodyBytes (%s); shrink it or raise the limit',
)

/** A policy option that cannot be said in HTTP. */
export const StaleCachePolicyError = createError<[string, string, string]>(
  'HOLDFAST_ERR_STALE_CACHE_POLICY',
  'representation policy: %s is %s; give %s',
)
