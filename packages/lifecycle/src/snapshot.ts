import type { ShutdownStage, StageRecord } from './shutdown.ts'
import type { PhaseRecord } from './start-up.ts'

/**
 * `starting` until it listens and health is confirmed; `serving`; `cordoned`: it serves and asks for no more;
 * `draining`: the same, for good; `closing`: nobody new; `ended`.
 */
export type LifecycleState = 'starting' | 'serving' | 'cordoned' | 'draining' | 'closing' | 'ended'

/** Everything as plain data. */
export interface LifecycleSnapshot {
  readonly state: LifecycleState
  /** The phases of the start so far. */
  readonly phases: readonly PhaseRecord[]
  /** From the start of the process to `serving`; undefined before. */
  readonly startedInMs: number | undefined
  readonly cordon: { readonly reason: string; readonly forMs: number } | undefined
  /** The stage of the way down; undefined while there is none. */
  readonly stage: ShutdownStage | undefined
  /** How long each stage of the way down has taken so far. */
  readonly stages: readonly StageRecord[]
  readonly connections: number
  readonly inFlight: number
}
