export type { Clock } from '@holdfast/footing'
export { FullError, OptionError } from './errors.ts'
export type { MaintenanceOptions } from './options.ts'
export { type Maintenance, maintenance, maintenance as default } from './plugin.ts'
