export type { Clock } from '@holdfast/footing'
export { FullError, OptionError } from './errors.ts'
export type { ConcurrencyGuardOptions } from './options.ts'
export { type ConcurrencyGuard, concurrencyGuard, concurrencyGuard as default } from './plugin.ts'
