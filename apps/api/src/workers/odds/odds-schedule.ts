// When the provider is asked for a sport: spread over the interval at first, at random around it afterwards, and less
// and less often while it cannot answer.
//
// The first wake-ups stand in the order of a hash of the sports: most of the interval is shared out evenly, and the rest
// goes by the hash, so that they spread however many sports there are, and whatever they are called; a process that has
// one sport alone begins where its hash says, so that such processes do not begin together either. After failures in a
// row the pause is anything up to a bound that doubles ("full jitter", Brooker, AWS 2015): who failed together does not
// come back together.

import { createHash } from 'node:crypto'

/** What the pause after a round depends on. */
export interface RoundEnd {
  /** Failures in a row; 0 when it went well, or when there was nothing to do. */
  readonly failures: number
  /** For so long the provider is not to be asked, in ms. */
  readonly notBeforeMs: number
}

/** How long pauses are; times in ms. */
export interface OddsPauses {
  readonly intervalMs: number
  /** Longest pause that failures lead to. */
  readonly maxPauseMs: number
}

/** A failure more than that doubles nothing. */
const MAX_DOUBLINGS = 30

/** Of the interval: how far the first wake-ups of two or more sports lie apart at least. */
const FIRST_SPREAD = 0.85

/** The pause before the first round of each sport, in ms: below `intervalMs`, and no two close together. */
export function firstPauses(sports: readonly string[], intervalMs: number): ReadonlyMap<string, number> {
  const hashed = [...new Set(sports)]
    .map((sport) => ({ sport, share: shareOf(sport) }))
    .toSorted((one, other) => one.share - other.share || (one.sport < other.sport ? -1 : 1))
  const evenly = hashed.length > 1 ? FIRST_SPREAD : 0
  const gaps = Math.max(1, hashed.length - 1)
  return new Map(
    hashed.map(
      ({ sport, share }, at) => [sport, (evenly * (at / gaps) + (1 - evenly) * share) * intervalMs] as const,
    ),
  )
}

/** The pause after a round, in ms. `random` answers a number in [0, 1). */
export function pauseAfter(
  { failures, notBeforeMs }: RoundEnd,
  { intervalMs, maxPauseMs }: OddsPauses,
  random: () => number,
): number {
  if (failures > 0) {
    const bound = Math.min(maxPauseMs, intervalMs * 2 ** Math.min(failures, MAX_DOUBLINGS))
    return Math.max(notBeforeMs + spread(notBeforeMs, intervalMs) * random(), bound * random())
  }
  // Those who wait for the same moment do not come at the same moment.
  if (notBeforeMs > 0) return notBeforeMs + spread(notBeforeMs, intervalMs) * random()
  return intervalMs * (0.5 + random())
}

/** As much again, and no more than an interval: whoever waits a moment for his turn waits a moment more. */
function spread(notBeforeMs: number, intervalMs: number): number {
  return Math.min(intervalMs, notBeforeMs)
}

/** A number in [0, 1) that belongs to the sport. */
function shareOf(sport: string): number {
  return createHash('sha256').update(sport).digest().readUInt32BE(0) / 2 ** 32
}
