export type { Clock } from '@holdfast/footing'
export { FullError, OptionError } from './errors.ts'
export type { LoggingOptions } from './options.ts'
export { type Logging, logging, logging as default } from './plugin.ts'
