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

/**
 * Tells a listener. Its mistake is no result of the call that happened to be told about: what it throws, or is
 * rejected with, becomes a process warning.
 */
export function tell<E>(listener: ((event: E) => unknown) | undefined, event: E, listenerName: string): void {
  const warn = (error: unknown) => {
    process.emitWarning(`${listenerName} threw: ${error instanceof Error ? error.message : typeof error}`)
  }
  try {
    const told = listener?.(event)
    if (told instanceof Promise) told.catch(warn)
  } catch (error) {
    warn(error)
  }
}

/** A message is built only when somebody subscribed. */
export const channels = {
  transition: diagnostics.channel('holdfast:circuit-breaker:transition'),
}
