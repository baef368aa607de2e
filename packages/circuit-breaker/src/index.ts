export type { Clock, MetricsRegistry } from '@holdfast/footing'
export type { BreakerCounts, ExportedState, Permit } from './breaker.ts'
export type { CallContext } from './call.ts'
export {
  type BreakerSnapshot,
  CircuitBreaker,
  type ExecuteOptions,
  type Hold,
  type Work,
} from './circuit-breaker.ts'
export { CircuitBreakers, type CircuitBreakersOptions } from './circuit-breakers.ts'
export { classifyError } from './classification.ts'
export * as errors from './errors.ts'
export type { BreakerState, Transition, TransitionCause } from './events.ts'
export type { CircuitBreakerOptions } from './options.ts'
export { type Outcome, withOutcome } from './outcome.ts'
export { circuitBreaker, default } from './plugin.ts'
