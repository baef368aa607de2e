export type { Clock } from '@holdfast/footing'
export { FullError, OptionError } from './errors.ts'
export type { MetricsOptions } from './options.ts'
export { type Metrics, metrics, metrics as default } from './plugin.ts'
