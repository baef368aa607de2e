export type { Clock } from './clock.ts'
export { FullError, OptionError } from './errors.ts'
export type { CircuitBreakerOptions } from './options.ts'
export { type CircuitBreaker, circuitBreaker, circuitBreaker as default } from './plugin.ts'
