/**
 * The way down, stage by stage: given what is seen now, which stage is it. Every stage but the last has a longest time,
 * so the sum of them bounds the whole; no stage comes back. Knows neither a clock nor sockets: it is told both.
 *
 * hold: still served, while balancers notice · requests: nobody new, who is in is answered · aborted: handlers were told
 * to stop · cut: connections were destroyed · hooks: plugins close · over: what is left is given up, or nothing is left.
 */

/** A stage of the way down. */
export type ShutdownStage = 'hold' | 'requests' | 'aborted' | 'cut' | 'hooks' | 'over'

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
}

/** Times of the way down, in ms. */
export interface ShutdownTimes {
  readonly drainMs: number
  readonly minDrainMs: number
  readonly quietMs: number
  readonly requestTimeoutMs: number
  readonly abortGraceMs: number
  readonly closeTimeoutMs: number
  readonly repeatMs: number
}

/** What is seen from outside. */
export interface Seen {
  /** When somebody last asked for something that is no probe; -Infinity: never since the drain began. */
  readonly lastArrivalMs: number
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
const order: readonly ShutdownStage[] = ['hold', 'requests', 'aborted', 'cut', 'hooks', 'over']

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
  })
  switch (shutdown.stage) {
    case 'hold':
      return shutdown.skipped || holdIsOver(shutdown.holdFor, forMs, seen, nowMs, times)
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

/** What one more signal means. */
export type Repeated = 'same-press' | 'skip-hold' | 'force'

/**
 * One more signal. One Ctrl-C can arrive twice, from the terminal and from the package manager above: within `repeatMs`
 * it is the same one. Otherwise each shortens what is left: the hold first, then everything.
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
  if (shutdown.stage === 'hold' && !shutdown.skipped) {
    return { answer: 'skip-hold', shutdown: { ...heard, skipped: true } }
  }
  return { answer: 'force', shutdown: heard }
}

/** Whether a stage has been reached. */
export function hasReached({ stage }: Shutdown, wanted: ShutdownStage): boolean {
  return order.indexOf(stage) >= order.indexOf(wanted)
}
