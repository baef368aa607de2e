export type { Clock, MetricsRegistry } from '@holdfast/footing'
export type { BreakerCounts, ExportedState } from './breaker.ts'
export type { BreakerSnapshot, Hold } from './breaker-snapshot.ts'
export { type AdmissionOptions, Bulkhead, type BulkheadOptions, type BulkheadSnapshot } from './bulkhead.ts'
export type { CallContext, Work } from './call.ts'
export {
  CircuitBreaker,
  type ExecuteOptions,
} from './circuit-breaker.ts'
export { CircuitBreakers, type CircuitBreakersOptions } from './circuit-breakers.ts'
export { classifyError } from './classification.ts'
export {
  ErrorLog,
  type ErrorLogOptions,
  type ErrorSummary,
  type ErrorTrend,
  type RecordedError,
} from './error-log.ts'
export * as errors from './errors.ts'
export type { BreakerState, Transition, TransitionCause } from './events.ts'
export type { GuardedCall, RouteCounters } from './guarded-call.ts'
export type { CircuitBreakerOptions } from './options.ts'
export { type Outcome, withOutcome } from './outcome.ts'
export type { Permit } from './permit.ts'
export {
  type CircuitBreakerPluginOptions,
  type CircuitBreakerRouteOptions,
  circuitBreaker,
  default,
  type FastifyCircuitBreakers,
} from './plugin.ts'
export { type AttemptContext, type GiveUpEvent, type RetryEvent, type RetryOptions, retry } from './retry.ts'
export { RetryBudget, type RetryBudgetOptions, type RetryBudgetSnapshot } from './retry-budget.ts'
export { type GiveUpReason, isRetryable } from './retry-decision.ts'
export { type TimeoutOptions, timeout } from './timeout.ts'
