export type { Clock } from './clock.ts'
export { FullError, OptionError } from './errors.ts'
export type { PoolGuardOptions } from './options.ts'
export { type PoolGuard, poolGuard, poolGuard as default } from './plugin.ts'
