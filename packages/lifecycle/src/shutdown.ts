/**
 * The way down, stage by stage: given what is seen now, which stage is it. Every stage but the last has a longest time,
 * so the sum of them bounds the whole; no stage comes back. Knows neither a clock nor sockets: it is told both.
 *
 * hold: still served, while balancers notice · turn-away: a balancer that notices nothing but failures is given some that
 * it mends by itself · requests: nobody new, who is in is answered · aborted: handlers were told to stop · cut: connections
 * were destroyed · hooks: plugins close · over: what is left is given up, or nothing is left.
 */

/** A stage of the way down. */
export type ShutdownStage = 'hold' | 'turn-away' | 'requests' | 'aborted' | 'cut' | 'hooks' | 'over'

/** One stage as plain data. */
export interface StageRecord {
  readonly stage: ShutdownStage
  readonly durationMs: number
}

/** What ends the hold early: traffic that has ceased, or work of the start that has; `none`: there is no hold. */
export type HoldFor = 'traffic' | 'start' | 'none'

/** Where the way down is. */
export interface Shutdown {
  readonly stage: ShutdownStage
  readonly holdFor: HoldFor
  readonly beganMs: number
  /** When the stage began. */
  readonly stageMs: number
  /** When the last signal came that counted; undefined when it began otherwise. */
  readonly signalMs: number | undefined
  /** The hold was skipped by a second signal. */
  readonly skipped: boolean
  /** What was not over when its time was. */
  readonly overran: readonly ShutdownStage[]
  /** How long each stage took that is over. */
  readonly stages: readonly StageRecord[]
}

/** Times of the way down, in ms. */
export interface ShutdownTimes {
  readonly drainMs: number
  readonly minDrainMs: number
  readonly quietMs: number
  readonly turnAwayMs: number
  readonly requestTimeoutMs: number
  readonly abortGraceMs: number
  readonly closeTimeoutMs: number
  readonly repeatMs: number
}

/** What is seen from outside. */
export interface Seen {
  /** When somebody last asked for something that is no probe; -Infinity: never since the drain began. */
  readonly lastArrivalMs: number
  /** Requests that were turned away. */
  readonly turnedAway: number
  /** Work that the hold waits for beyond its time: drain steps, each with a time of its own. */
  readonly stepsRunning: number
  /** Work of a start that was under way. */
  readonly startRunning: boolean
  /** Nobody is connected any more, and nobody can. */
  readonly serverClosed: boolean
  /** Every plugin has closed. */
  readonly appClosed: boolean
}

/** How long a signal during the start waits for what is under way there. */
export const START_GRACE_MS = 1000
/** Nobody has come for so long after one was turned away: whoever sent it sends no more for now. */
export const AWAY_QUIET_MS = 150
const order: readonly ShutdownStage[] = ['hold', 'turn-away', 'requests', 'aborted', 'cut', 'hooks', 'over']

/** Begins the way down. */
export function beginShutdown(holdFor: HoldFor, nowMs: number, signalled: boolean): Shutdown {
  return {
    stage: 'hold',
    holdFor,
    beganMs: nowMs,
    stageMs: nowMs,
    signalMs: signalled ? nowMs : undefined,
    skipped: false,
    overran: [],
    stages: [],
  }
}

/** Goes on as far as what is seen allows. */
export function advance(shutdown: Shutdown, seen: Seen, nowMs: number, times: ShutdownTimes): Shutdown {
  for (let at = shutdown; ; ) {
    const next = step(at, seen, nowMs, times)
    if (next === at) return at
    at = next
  }
}

function step(shutdown: Shutdown, seen: Seen, nowMs: number, times: ShutdownTimes): Shutdown {
  const forMs = nowMs - shutdown.stageMs
  const go = (stage: ShutdownStage, overran = false): Shutdown => ({
    ...shutdown,
    stage,
    stageMs: nowMs,
    overran: overran ? [...shutdown.overran, shutdown.stage] : shutdown.overran,
    stages: [...shutdown.stages, { stage: shutdown.stage, durationMs: forMs }],
  })
  switch (shutdown.stage) {
    case 'hold':
      if (shutdown.skipped) return go('requests')
      if (!holdIsOver(shutdown.holdFor, forMs, seen, nowMs, times)) return shutdown
      return go(isPassedOver(shutdown.holdFor, seen, nowMs, times) ? 'turn-away' : 'requests')
    case 'turn-away':
      return shutdown.skipped ||
        forMs >= times.turnAwayMs ||
        (seen.turnedAway > 0 && nowMs - seen.lastArrivalMs >= AWAY_QUIET_MS)
        ? go('requests')
        : shutdown
    case 'requests':
      if (seen.serverClosed || seen.appClosed) return go('hooks')
      return forMs >= times.requestTimeoutMs ? go('aborted', true) : shutdown
    case 'aborted':
      if (seen.serverClosed || seen.appClosed) return go('hooks')
      return forMs >= times.abortGraceMs ? go('cut', true) : shutdown
    case 'cut':
    case 'hooks':
      if (seen.appClosed) return go('over')
      if (shutdown.stage === 'cut' && seen.serverClosed) return go('hooks')
      return forMs >= times.closeTimeoutMs ? go('over', true) : shutdown
    case 'over':
      return shutdown
  }
}

function holdIsOver(
  holdFor: HoldFor,
  forMs: number,
  { stepsRunning, startRunning, lastArrivalMs }: Seen,
  nowMs: number,
  { drainMs, minDrainMs, quietMs }: ShutdownTimes,
): boolean {
  if (stepsRunning > 0) return false
  if (holdFor === 'none') return true
  if (holdFor === 'start') return !startRunning || forMs >= START_GRACE_MS
  // Nobody has asked since the beginning: the quiet began then.
  const quietForMs = Math.min(nowMs - lastArrivalMs, forMs)
  return forMs >= drainMs || (forMs >= minDrainMs && quietForMs >= quietMs)
}

/** Whether somebody still sends requests here, as if nothing had been said. */
function isPassedOver(
  holdFor: HoldFor,
  { lastArrivalMs }: Seen,
  nowMs: number,
  { turnAwayMs, quietMs }: ShutdownTimes,
): boolean {
  return holdFor === 'traffic' && turnAwayMs > 0 && nowMs - lastArrivalMs < quietMs
}

/** What one more signal means. `heard`: nothing. */
export type Repeated = 'same-press' | 'heard' | 'skip-hold' | 'force'

/**
 * One more signal. One Ctrl-C can arrive twice, from the terminal and from the package manager above: within `repeatMs`
 * it is the same one. Otherwise each shortens what is left: the hold first, then everything. The first one of all never
 * does the latter: what began the way down was no signal then, and whoever sends it may not know that it has begun.
 */
export function hearAgain(
  shutdown: Shutdown,
  nowMs: number,
  { repeatMs }: ShutdownTimes,
): { readonly answer: Repeated; readonly shutdown: Shutdown } {
  if (shutdown.signalMs !== undefined && nowMs - shutdown.signalMs < repeatMs) {
    return { answer: 'same-press', shutdown }
  }
  const heard = { ...shutdown, signalMs: nowMs }
  if (!hasReached(shutdown, 'requests') && !shutdown.skipped) {
    return { answer: 'skip-hold', shutdown: { ...heard, skipped: true } }
  }
  return { answer: shutdown.signalMs === undefined ? 'heard' : 'force', shutdown: heard }
}

/** How long each stage has taken so far, the present one included. */
export function stagesSoFar({ stages, stage, stageMs }: Shutdown, nowMs: number): readonly StageRecord[] {
  return stage === 'over' ? stages : [...stages, { stage, durationMs: nowMs - stageMs }]
}

/** Whether a stage has been reached. */
export function hasReached({ stage }: Shutdown, wanted: ShutdownStage): boolean {
  return order.indexOf(stage) >= order.indexOf(wanted)
}
