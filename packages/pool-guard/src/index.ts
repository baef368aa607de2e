export {
  ConnectionPool,
  type ConnectionPoolSettings,
  type NewConnection,
  type PoolTotals,
} from './connection-pool.ts'
export type { CheckoutOptions, Connections, LeaseOutcome } from './connections.ts'
export {
  AbortedError,
  AcquireTimeoutError,
  AlreadyRegisteredError,
  ClientBusyError,
  ClosedError,
  ConnectError,
  ConnectionLostError,
  DeadlineExceededError,
  ExhaustedError,
  OpenError,
  OptionError,
  QueryTimeoutError,
  QueueFullError,
  ReclaimedError,
  ReleasedError,
  SaturatedError,
  StatementNameError,
  TxOutcomeUnknownError,
  TxRolledBackError,
} from './errors.ts'
export type { GuardedClient, QueryOptions } from './guarded-client.ts'
export type { BeginOptions, Guardrails } from './guardrails.ts'
export type { LeakReport } from './leak-watch.ts'
export type { PoolEvent } from './pool-events.ts'
export { type Criticality, currentScope, type PoolScope, runInScope } from './request-scope.ts'
export { type Classification, classifyError, type ErrorKind, sqlStateOf } from './sqlstate.ts'
