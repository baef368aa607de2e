/**
 * What a bot did at a tick. `cut`: it traded less than its strategy wanted; `skipped`: it could pay for nothing, or had
 * nothing to sell; `failed`: its strategy did; `fallback`: it was not asked; `lost`: it is somebody else's by now;
 * `passed`: somebody else changed it at that moment; `unsaved`: the database could not say that it was written.
 */
export const OUTCOMES = [
  'bought',
  'sold',
  'cut',
  'held',
  'skipped',
  'failed',
  'fallback',
  'lost',
  'passed',
  'unsaved',
] as const

export type BotOutcome = (typeof OUTCOMES)[number]

/** Counts what it does. */
export interface RunnerCounters {
  decided(outcome: BotOutcome): void
  traded(side: 'buy' | 'sell'): void
}
