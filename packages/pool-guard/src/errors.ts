import createError from '@fastify/error'

/** An option has a wrong value or no such name. */
export const OptionError = createError<[option: string, expected: string, received: string]>(
  'HOLDFAST_ERR_POOL_GUARD_OPTION',
  'pool-guard option "%s" must be %s, received %s',
  500,
)

/** The plugin was registered twice in one scope. */
export const AlreadyRegisteredError = createError<[]>(
  'HOLDFAST_ERR_POOL_GUARD_ALREADY_REGISTERED',
  'pool-guard is registered here already; a second pool is a `new PoolGuard(...)`, or a registration in a scope of its own',
  500,
)

/** As many wait already as may, or the place in the queue was needed for a tenant that had fewer. */
export const QueueFullError = createError<[criticality: string, waiting: number]>(
  'HOLDFAST_ERR_POOL_GUARD_QUEUE_FULL',
  'no connection: %s work may not wait behind %d others',
  503,
)

/** No connection became free in the time this class of work may wait. */
export const AcquireTimeoutError = createError<[criticality: string, waitedMs: number]>(
  'HOLDFAST_ERR_POOL_GUARD_ACQUIRE_TIMEOUT',
  'no connection: %s work waited %d ms',
  503,
)

/** All connections are in use, and this class of work does not wait. */
export const SaturatedError = createError<[criticality: string]>(
  'HOLDFAST_ERR_POOL_GUARD_SATURATED',
  'no connection is free, and %s work does not wait',
  503,
)

/** The breaker is open: the database does not answer, and only probes try it. */
export const OpenError = createError<[name: string]>(
  'HOLDFAST_ERR_POOL_GUARD_OPEN',
  'the database of pool "%s" does not answer at present',
  503,
)

/** `close()` was called. */
export const ClosedError = createError<[name: string]>(
  'HOLDFAST_ERR_POOL_GUARD_CLOSED',
  'pool "%s" is closed',
  503,
)

/** The caller's signal aborted; its reason is the cause. */
export const AbortedError = createError<[what: string]>(
  'HOLDFAST_ERR_POOL_GUARD_ABORTED',
  'the caller left: %s',
  499,
)

/** The deadline has passed, or what is left of it is shorter than such work takes at present. */
export const DeadlineExceededError = createError<[remainingMs: number, expectedMs: number]>(
  'HOLDFAST_ERR_POOL_GUARD_DEADLINE_EXCEEDED',
  '%d ms are left until the deadline, and the work is expected to take %d ms',
  504,
)
