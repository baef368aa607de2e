import createError from '@fastify/error'

/** An option of `register()` has a value this package cannot work with. */
export const OptionError = createError<[option: string, fix: string, received: string]>(
  'HOLDFAST_ERR_POOL_GUARD_OPTION',
  'pool-guard option "%s": give %s, received %s',
  500,
)

/** The window is full. */
export class FullError extends createError<[maximum: number, retryAfterMs: number]>(
  'HOLDFAST_ERR_POOL_GUARD_FULL',
  'all %d passes of this window are used (maxPerWindow); the next window begins in %d ms',
  503,
) {
  /** When the next window begins, in ms from now. */
  readonly retryAfterMs: number

  constructor(maximum: number, retryAfterMs: number) {
    super(maximum, retryAfterMs)
    this.retryAfterMs = retryAfterMs
  }
}
