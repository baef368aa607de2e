import type { BreakerCounts } from './breaker.ts'
import type { BreakerState } from './events.ts'

/** Something that keeps a breaker open from outside. */
export interface Hold {
  readonly source: string
  readonly reason: string
}

/** A breaker as plain data. */
export interface BreakerSnapshot {
  readonly name: string
  readonly state: BreakerState
  /** Why it opened last; empty when it never did. */
  readonly reason: string
  /** Milliseconds since the last change of state. */
  readonly stateForMs: number
  /** Milliseconds until a call may pass; 0 when it may now. */
  readonly retryAfterMs: number
  /** Reasons of the isolations in force. */
  readonly isolated: readonly string[]
  /** Sources and reasons of the holds in force. */
  readonly held: readonly Hold[]
  /** Whether nobody is refused (`shadow`, `disable()`). */
  readonly disabled: boolean
  readonly consecutiveFailures: number
  /** Executed calls of the last `windowMs`. */
  readonly window: { readonly calls: number; readonly failures: number; readonly slow: number }
  /** Openings since it was last well. */
  readonly openings: number
  readonly probesInFlight: number
  /** The share of simultaneous calls that passes: 1, less during the ramp, 0 when not closed. */
  readonly rampShare: number
  /** Since construction. */
  readonly counts: Readonly<BreakerCounts> & { readonly timedOut: number; readonly fellBack: number }
}
