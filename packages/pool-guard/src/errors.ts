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
export const AbortedError = createError<[what: string, detail?: { cause: unknown }]>(
  'HOLDFAST_ERR_POOL_GUARD_ABORTED',
  'the caller left: %s',
  499,
)

/** The deadline has passed, or what is left of it is shorter than such work takes at present. */
export const DeadlineExceededError = createError<[remainingMs: number, expectedMs: number]>(
  'HOLDFAST_ERR_POOL_GUARD_DEADLINE_EXCEEDED',
  '%d ms are left until the deadline, too few for work that takes at least %d ms',
  504,
)

/** A connection could not be opened: refused, timed out, or the server did not let us in. `cause` says more. */
export const ConnectError = createError<[address: string, why: string]>(
  'HOLDFAST_ERR_POOL_GUARD_CONNECT',
  'cannot connect to %s: %s',
  503,
)

/** The connection broke while a statement ran or waited on it. Whether the statement took effect is not known. */
export const ConnectionLostError = createError<[why: string]>(
  'HOLDFAST_ERR_POOL_GUARD_CONNECTION_LOST',
  'the connection was lost: %s',
  503,
)

/** The statement took longer than it may, and was cancelled: by us, or by the server's statement_timeout. */
export const QueryTimeoutError = createError<[limitMs: number]>(
  'HOLDFAST_ERR_POOL_GUARD_QUERY_TIMEOUT',
  'the statement was cancelled after %d ms, its limit',
  504,
)

/** Every connection this pool may open is in use: it never lets anybody wait, its admission does. */
export const ExhaustedError = createError<[maximum: number]>(
  'HOLDFAST_ERR_POOL_GUARD_EXHAUSTED',
  'all %d connections are in use',
  503,
)

/** A client was used after its release; `cause` is where it was acquired, when that was recorded. */
export const ReleasedError = createError<[what: string]>(
  'HOLDFAST_ERR_POOL_GUARD_RELEASED',
  'the client was used after its release (%s); acquire another one',
  500,
)

/** The client was held for longer than `reclaimAfterMs` and taken back. */
export const ReclaimedError = createError<[heldMs: number]>(
  'HOLDFAST_ERR_POOL_GUARD_RECLAIMED',
  'the client was taken back after %d ms (reclaimAfterMs)',
  503,
)

/** More statements were given to one client at once than may wait for each other on one connection. */
export const ClientBusyError = createError<[maximum: number]>(
  'HOLDFAST_ERR_POOL_GUARD_CLIENT_BUSY',
  '%d statements wait on this client already; await them, or acquire more clients',
  500,
)

/** A statement has a name, and named statements are off: they break behind PgBouncer before 1.21. */
export const StatementNameError = createError<[name: string]>(
  'HOLDFAST_ERR_POOL_GUARD_STATEMENT_NAME',
  'statement "%s": named statements are off (namedStatements)',
  500,
)

/** COMMIT was answered by ROLLBACK: a statement before it had failed, and nothing was stored. */
export const TxRolledBackError = createError<[]>(
  'HOLDFAST_ERR_POOL_GUARD_TX_ROLLED_BACK',
  'the transaction was rolled back instead of committed, because a statement in it had failed',
  500,
)

/** The connection was lost during COMMIT: the transaction is stored, or it is not. Look before doing it again. */
export const TxOutcomeUnknownError = createError<[why: string]>(
  'HOLDFAST_ERR_POOL_GUARD_TX_OUTCOME_UNKNOWN',
  'whether the transaction was committed is not known: %s',
  500,
)

/** `transaction()` inside the work of another one, which would wait for a second connection. */
export const TxNestedError = createError<[]>(
  'HOLDFAST_ERR_POOL_GUARD_TX_NESTED',
  'a transaction inside a transaction would hold two connections; use tx.savepoint(), or tx of the outer one',
  500,
)

/** Only a SELECT can be streamed. */
export const StreamError = createError<[kind: string]>(
  'HOLDFAST_ERR_POOL_GUARD_STREAM',
  'only a SELECT can be streamed, not a %s; run it with execute()',
  500,
)
