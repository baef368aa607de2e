import diagnostics from 'node:diagnostics_channel'

/** What callers see: `half-open` lets single calls through to find out. */
export type BreakerState = 'closed' | 'open' | 'half-open'

/** What made a breaker change its state. */
export type TransitionCause =
  | 'consecutive-failures'
  | 'failure-rate'
  | 'slow-rate'
  | 'probe-failed'
  | 'tripped'
  | 'held'
  | 'isolated'
  | 'probing'
  | 'probes-succeeded'

/** A change of state; given to `onTransition` and published on `holdfast:circuit-breaker:transition`. */
export interface Transition {
  readonly breaker: string
  readonly from: BreakerState
  readonly to: BreakerState
  readonly cause: TransitionCause
  /** One sentence for a log. */
  readonly reason: string
  /** Milliseconds until calls may probe; 0 unless `to` is `open`. */
  readonly retryAfterMs: number
  /** Milliseconds since the Unix epoch. */
  readonly wallMs: number
}

/** A message is built only when somebody subscribed. */
export const channels = {
  transition: diagnostics.channel('holdfast:circuit-breaker:transition'),
}
