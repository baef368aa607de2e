export type { Clock } from '@holdfast/footing'
export { FullError, OptionError } from './errors.ts'
export type { ErrorPagesOptions } from './options.ts'
export { type ErrorPages, errorPages, errorPages as default } from './plugin.ts'
