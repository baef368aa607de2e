// How long a worker waits before it asks for jobs again. Pure.

const LONGEST_MS = 10_000
const MAX_DOUBLINGS = 16

/** When there was nothing to do: 50 to 150 % of the usual, so that processes that started together do not ask together. */
export function idlePauseMs(usualMs: number, random: number): number {
  return usualMs * (0.5 + random)
}

/**
 * When the database did not answer for the n-th time in a row: anything up to the usual times 2^n, and to ten
 * seconds, so that all who wait for it do not come back at once.
 */
export function failurePauseMs(usualMs: number, failures: number, random: number): number {
  return Math.min(LONGEST_MS, usualMs * 2 ** Math.min(failures, MAX_DOUBLINGS)) * random
}
