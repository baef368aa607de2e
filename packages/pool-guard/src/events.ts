import diagnostics from 'node:diagnostics_channel'
import type { Refusal } from './admission.ts'
import type { PressureState } from './pressure.ts'
import type { Criticality } from './request-scope.ts'

/** Published on `holdfast:pool-guard:pressure` when the latched signal changes. */
export interface PressureEvent {
  readonly pool: string
  readonly state: PressureState
  /** The share of `max` in use. */
  readonly usage: number
  readonly waiting: number
}

/** Published on `holdfast:pool-guard:refused` for everybody who got no connection. */
export interface RefusedEvent {
  readonly pool: string
  readonly criticality: Criticality
  readonly reason: Refusal | 'aborted'
  readonly waitedMs: number
  readonly tenant: string | undefined
  readonly route: string | undefined
}

/** The channels; a message is built only when somebody subscribed. */
export const admissionChannels = {
  pressure: diagnostics.channel('holdfast:pool-guard:pressure'),
  refused: diagnostics.channel('holdfast:pool-guard:refused'),
}
