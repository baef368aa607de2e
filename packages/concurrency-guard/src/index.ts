export type { Clock, MetricsRegistry } from '@holdfast/footing'
export { ConcurrencyGuard, type ConcurrencyGuardSnapshot } from './concurrency-guard.ts'
export * as errors from './errors.ts'
export type { OperationEvent, RefusedEvent } from './events.ts'
export type { KeyPart, OperationKey } from './key.ts'
export type { HeldOperation, OperationContext } from './operation.ts'
export type { CallOptions, ConcurrencyGuardOptions, OperationOptions } from './options.ts'
export {
  type ConcurrencyGuardPluginOptions,
  type ConcurrencyGuardRouteOptions,
  type Conflict,
  concurrencyGuard,
  default,
} from './plugin.ts'
export type { RefusalReason } from './refusal.ts'
export type { HeldLease, LeasedElsewhere, LeaseStore } from './store.ts'
