import type { Override } from './break-glass.ts'
import type { ActiveRule } from './plan.ts'
import type { ReplicaCounts } from './replica.ts'
import type { Mode } from './rule.ts'

/** The numbers, as plain data. */
export interface MaintenanceSnapshot {
  readonly version: number
  readonly enabled: boolean
  /** Whether everybody is shown a banner. */
  readonly banner: boolean
  /** Rules that hold, by mode. */
  readonly active: Readonly<Record<Mode, number>>
  /** Rules that are to begin. */
  readonly scheduled: number
  readonly override: Override['origin'] | undefined
  /** Whether the store or the journal was ever read. */
  readonly heard: boolean
  /** Requests that were refused, by mode. */
  readonly refused: Readonly<Record<ActiveRule['mode'], number>>
  /** Requests that a rule would have refused, and that passed, by why. */
  readonly passed: Readonly<Record<'address' | 'role' | 'bypass' | 'path', number>>
  readonly writesInFlight: number
  readonly replica: ReplicaCounts
}
