import diagnostics from 'node:diagnostics_channel'
import type { LifecycleState } from './snapshot.ts'
import type { PhaseRecord } from './start-up.ts'

/** Published on `holdfast:lifecycle:state` when the state changes. */
export interface StateEvent {
  readonly from: LifecycleState
  readonly to: LifecycleState
  /** Why: a signal, what an operator said, or what the code said. */
  readonly reason: string
}

/** Published on `holdfast:lifecycle:phase` when a phase of the start has ended. */
export type PhaseEvent = PhaseRecord

/** The channels; a message is built only when somebody subscribed. */
export const channels = {
  state: diagnostics.channel('holdfast:lifecycle:state'),
  phase: diagnostics.channel('holdfast:lifecycle:phase'),
}
