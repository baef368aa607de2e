export type { ConnectionOptions, NewConnection } from './connection-options.ts'
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
  StreamError,
  TxNestedError,
  TxOutcomeUnknownError,
  TxRolledBackError,
} from './errors.ts'
export type { PressureEvent } from './events.ts'
export type { RouteMode } from './gate.ts'
export type { GuardedClient, QueryOptions } from './guarded-client.ts'
export type { FallbackContext } from './guarded-route.ts'
export type { BeginOptions, Guardrails } from './guardrails.ts'
export type { LeakReport } from './leak-watch.ts'
export type {
  BreakerOptions,
  PoolerOptions,
  PoolGuardOptions,
  PressureOptions,
  WaitOptions,
} from './options.ts'
export { default, type PoolGuardPluginOptions, type PoolGuardRouteOptions, poolGuard } from './plugin.ts'
export type { PoolEvent } from './pool-events.ts'
export { PoolGuard, type PoolGuardHealthCheck, type PoolGuardSnapshot, type PoolRow } from './pool-guard.ts'
export type { PoolTotals } from './pool-totals.ts'
export { type Criticality, currentScope, type PoolScope, runInScope } from './request-scope.ts'
export type { ConsoleQuery, Finding, FindingCode, FindingLevel, SelfCheckReport } from './self-check.ts'
export { type Classification, classifyError, type ErrorKind, sqlStateOf } from './sqlstate.ts'
export type { Transaction, TransactionOptions } from './transaction.ts'
export {
  NOT_YET,
  type Worker,
  type WorkerOptions,
  type WorkerRound,
  type WorkerSnapshot,
} from './worker-loop.ts'
