/**
 * The way up, phase by phase. A phase may be left out or entered again while it is the last one, and never comes after
 * a later one; two never run at once. What it keeps is bounded: one record for each phase. Knows no clock: every change
 * is told the time.
 */

/** The phases of a start, in order. */
export const startPhases = [
  /** Settings are read and validated. */
  'config',
  /** What a deployment needs is there. */
  'checks',
  /** Connections and plugins. */
  'connect',
  /** Whether the database has the tables that this version needs is known. */
  'migrations',
  /** Caches and first connections, so that the first requests are not the slow ones. */
  'warm',
  /** Every critical check of health has succeeded once. */
  'health',
  /** The socket. */
  'listen',
  /** From the socket to the first moment in which a balancer may send requests. */
  'ready',
] as const

/** A phase of the way up. */
export type StartPhase = (typeof startPhases)[number]

/** How a phase ended; `late`: its time ran out and the start went on without it. */
export type PhaseOutcome = 'running' | 'done' | 'late' | 'failed'

/** One phase as plain data. */
export interface PhaseRecord {
  readonly phase: StartPhase
  readonly durationMs: number
  readonly outcome: PhaseOutcome
}

/** The way so far. */
export interface StartUp {
  readonly records: readonly PhaseRecord[]
  /** When the phase that runs was entered. */
  readonly enteredMs: number
}

/** The beginning: no phase yet. */
export const noStartUp: StartUp = { records: [], enteredMs: 0 }

/** The phase that runs, if one does. */
export function running({ records }: StartUp): StartPhase | undefined {
  const last = records.at(-1)
  return last?.outcome === 'running' ? last.phase : undefined
}

/** The phase because of which this one cannot be entered now: one that runs, or a later one that was; or none. */
export function obstacleTo(startUp: StartUp, phase: StartPhase): StartPhase | undefined {
  const last = startUp.records.at(-1)
  if (last === undefined) return undefined
  if (last.outcome === 'running') return last.phase
  return startPhases.indexOf(last.phase) > startPhases.indexOf(phase) ? last.phase : undefined
}

/** Enters a phase to which there is no obstacle. One that is entered again goes on counting. */
export function enter({ records }: StartUp, phase: StartPhase, nowMs: number): StartUp {
  const last = records.at(-1)
  const again = last?.phase === phase
  const durationMs = again ? last.durationMs : 0
  const before = again ? records.slice(0, -1) : records
  return { records: [...before, { phase, durationMs, outcome: 'running' }], enteredMs: nowMs }
}

/** Leaves the phase that runs. Anything else is as it was: a late end must not change a newer phase. */
export function leave(
  startUp: StartUp,
  phase: StartPhase,
  outcome: Exclude<PhaseOutcome, 'running'>,
  nowMs: number,
): StartUp {
  const last = startUp.records.at(-1)
  if (last?.phase !== phase || last.outcome !== 'running') return startUp
  const durationMs = last.durationMs + nowMs - startUp.enteredMs
  return { ...startUp, records: [...startUp.records.slice(0, -1), { phase, durationMs, outcome }] }
}
