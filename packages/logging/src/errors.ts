import createError from '@fastify/error'

/** An option of `register()` has a value this package cannot work with. */
export const OptionError = createError<[option: string, expected: string, received: string]>(
  'HOLDFAST_ERR_LOGGING_OPTION',
  'logging option "%s" must be %s, received %s',
  500,
)

/** The window is full; raised with `retryAfterMs` and `retryAfterSeconds`. */
export const FullError = createError<[maximum: number, retryAfterMs: number]>(
  'HOLDFAST_ERR_LOGGING_FULL',
  'all %d passes of this window are used (maxPerWindow); the next window begins in %d ms',
  503,
)
