export { type Clock, holdProcess, LONGEST_TIMER_MS, systemClock } from './clock.ts'
export type { MetricsRegistry } from './metrics-registry.ts'
export { type Invalid, OptionChecks } from './option-checks.ts'
export { type RetryAfter, withRetryAfter } from './retry-after.ts'
