/**
 * What is known about one check, as a pure function of what was observed.
 *
 * A level is held by two lines, one between healthy and degraded, one between degraded and unhealthy. Each line is a
 * Schmitt trigger: firm evidence of trouble (connection refused, an error with a code, a check that says so) crosses
 * it at once; ambiguous evidence (time-out, slow, an error without a code) crosses it after `failAfter` observations in
 * a row; good observations cross back after `recoverAfter` in a row; and apart from firm evidence no line moves before
 * `minDwellMs` has passed since its last move. So one lost packet does not take a replica out, and a flapping
 * dependency cannot flap the probe. It does not know why a dependency is slow, and it never looks at a clock.
 */

/** How a check was found by one execution. */
export type Outcome = 'healthy' | 'degraded' | 'unhealthy'

/** How a check stands now: an outcome after hysteresis, `starting` before the first success, `unknown` when stale. */
export type CheckLevel = Outcome | 'starting' | 'unknown'

/** One observation. */
export interface Observation {
  readonly outcome: Outcome
  /** Whether the evidence is explicit: then it counts at once. */
  readonly firm: boolean
}

/** When evidence is enough. */
export interface StatePolicy {
  /** Ambiguous bad observations in a row before the level worsens. */
  readonly failAfter: number
  /** Good observations in a row before the level improves. */
  readonly recoverAfter: number
  /** The least time between two moves of one line, in ms; firm evidence of trouble does not wait for it. */
  readonly minDwellMs: number
  /** A last observation older than this counts as `unknown`, in ms. */
  readonly staleAfterMs: number
}

/** One Schmitt trigger. */
export interface Line {
  readonly crossed: boolean
  /** Observations in a row that speak for the other side. */
  readonly streak: number
  readonly movedAtMs: number
}

/** The state of one check; a new object per observation. */
export interface CheckState {
  /** The check has succeeded (healthy or degraded) at least once. */
  readonly succeeded: boolean
  readonly impaired: Line
  readonly failed: Line
  readonly observedAtMs: number | undefined
}

const untouched: Line = { crossed: false, streak: 0, movedAtMs: Number.NEGATIVE_INFINITY }

/** The state before the first observation. */
export const initialState: CheckState = {
  succeeded: false,
  impaired: untouched,
  failed: untouched,
  observedAtMs: undefined,
}

/** The state after one more observation at `nowMs`. */
export function observe(
  state: CheckState,
  policy: StatePolicy,
  observation: Observation,
  nowMs: number,
): CheckState {
  const { outcome, firm } = observation
  if (!state.succeeded && outcome !== 'unhealthy') {
    // The first success decides alone: before it there is no good state that hysteresis could protect.
    const degraded = outcome === 'degraded' && firm
    return {
      succeeded: true,
      impaired: { crossed: degraded, streak: outcome === 'degraded' && !firm ? 1 : 0, movedAtMs: nowMs },
      failed: { crossed: false, streak: 0, movedAtMs: nowMs },
      observedAtMs: nowMs,
    }
  }
  return {
    succeeded: state.succeeded,
    impaired: move(state.impaired, policy, outcome !== 'healthy', firm, nowMs),
    failed: move(state.failed, policy, outcome === 'unhealthy', firm, nowMs),
    observedAtMs: nowMs,
  }
}

/** The level at `nowMs`. */
export function levelOf(state: CheckState, policy: StatePolicy, nowMs: number): CheckLevel {
  if (state.observedAtMs === undefined) return 'starting'
  if (nowMs - state.observedAtMs > policy.staleAfterMs) return 'unknown'
  if (state.failed.crossed) return 'unhealthy'
  if (!state.succeeded) return 'starting'
  return state.impaired.crossed ? 'degraded' : 'healthy'
}

function move(line: Line, policy: StatePolicy, bad: boolean, firm: boolean, nowMs: number): Line {
  if (bad === line.crossed) return line.streak === 0 ? line : { ...line, streak: 0 }
  if (bad && firm) return { crossed: true, streak: 0, movedAtMs: nowMs }
  const streak = line.streak + 1
  const enough = streak >= (bad ? policy.failAfter : policy.recoverAfter)
  if (!enough || nowMs - line.movedAtMs < policy.minDwellMs) return { ...line, streak }
  return { crossed: bad, streak: 0, movedAtMs: nowMs }
}
