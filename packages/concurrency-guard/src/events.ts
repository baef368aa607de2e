import diagnostics from 'node:diagnostics_channel'
import type { RefusalReason } from './refusal.ts'

/** Published on `holdfast:concurrency-guard:refused` for every operation that did not begin. */
export interface RefusedEvent {
  readonly key: string
  readonly reason: RefusalReason
}

/** Published when an operation is late, given up, loses its lease, or begins while Redis is lost. */
export interface OperationEvent {
  readonly key: string
  readonly fence: number | undefined
  /** Since it began. */
  readonly durationMs: number
}

/** The channels; a message is built only when somebody subscribed. */
export const channels = {
  refused: diagnostics.channel('holdfast:concurrency-guard:refused'),
  degraded: diagnostics.channel('holdfast:concurrency-guard:degraded'),
  timedOut: diagnostics.channel('holdfast:concurrency-guard:timed-out'),
  givenUp: diagnostics.channel('holdfast:concurrency-guard:given-up'),
  leaseLost: diagnostics.channel('holdfast:concurrency-guard:lease-lost'),
}
