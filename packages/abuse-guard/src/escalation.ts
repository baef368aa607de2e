/**
 * How long a block lasts. Each one is twice as long as the one before, up to a longest; every quiet period after the end
 * of a block takes one of them back. Pure: time comes in, and all times are of one clock.
 */

/** The lengths. */
export interface EscalationPolicy {
  /** The first block, in ms. */
  readonly blockMs: number
  /** The longest block, in ms. */
  readonly maxBlockMs: number
  /** The quiet time that takes one offence back, in ms. */
  readonly decayMs: number
}

/** What is remembered of somebody who was blocked. */
export interface Offences {
  /** When the last block ends or ended. */
  readonly untilMs: number
  /** How many blocks count for the length of the next. */
  readonly offences: number
}

/** More make no block longer: 2 to the power of 16 quarters of an hour are more than a year. */
export const MAX_OFFENCES = 16

/** How many offences count at `nowMs`. */
export function offencesAt(
  record: Offences | undefined,
  nowMs: number,
  { decayMs }: EscalationPolicy,
): number {
  if (record === undefined) return 0
  const quietMs = Math.max(0, nowMs - record.untilMs)
  return Math.max(0, record.offences - Math.floor(quietMs / decayMs))
}

/** The next block. One that still runs is not made longer by what its owner tried meanwhile. */
export function nextBlock(record: Offences | undefined, nowMs: number, policy: EscalationPolicy): Offences {
  if (record !== undefined && record.untilMs > nowMs) return record
  const before = offencesAt(record, nowMs, policy)
  return {
    untilMs: nowMs + Math.min(policy.maxBlockMs, policy.blockMs * 2 ** before),
    offences: Math.min(MAX_OFFENCES, before + 1),
  }
}

/** When nothing of it counts any more. */
export function forgottenAtMs({ untilMs, offences }: Offences, { decayMs }: EscalationPolicy): number {
  return untilMs + offences * decayMs
}
