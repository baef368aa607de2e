// How many bots a process should run. Pure.
//
// Guarantees: processes that follow it share all bots, to within a tenth, and then rest: nobody takes what he would give
// back. A bot that has waited for longer than a lease is taken by whoever has room, whatever his share is.

/** What there is, as one process sees it. */
export interface BotCensus {
  /** Bots that run, or should. */
  readonly running: number
  /** Those that have been without an owner for longer than a lease lasts. */
  readonly alone: number
  /** Processes that run bots, this one among them. */
  readonly processes: number
}

/** What the process should do. */
export interface SharePlan {
  readonly take: number
  readonly giveBack: number
}

/** So few are not worth a change of their owner. */
const SLACK = 0.1

/** `held`: what it runs; `max`: what it may run at most. */
export function fairShare({ running, alone, processes }: BotCensus, held: number, max: number): SharePlan {
  const share = Math.min(max, Math.ceil(running / Math.max(1, processes)))
  const isTooMuch = held > share + Math.max(1, Math.floor(share * SLACK))
  return {
    take: Math.max(0, share - held, Math.min(alone, max - held)),
    giveBack: isTooMuch && alone === 0 ? held - share : 0,
  }
}
