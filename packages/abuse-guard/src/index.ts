export type { Clock } from '@holdfast/footing'
export { FullError, OptionError } from './errors.ts'
export type { AbuseGuardOptions } from './options.ts'
export { type AbuseGuard, abuseGuard, abuseGuard as default } from './plugin.ts'
