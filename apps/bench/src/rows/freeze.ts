import type { TrialRow } from '../harness/row.ts'
import { freezeFigures } from '../harness/trial-figures.ts'
import { databaseMix, variantsAt } from './database-mix.ts'
import { frozenWorld } from './frozen-world.ts'

const offered = 700
const loads = [`ours, ${offered}/s`, 'ours, 200 clients']

/** A database that stops for five seconds, with every connection open. */
export const freeze: TrialRow = {
  kind: 'trial',
  name: 'freeze',
  title: `PostgreSQL stopped (SIGSTOP) from second 3 to second 8 of 20, at ${offered} requests/s and under 200 clients, 50 ms between two requests`,
  durationMs: 20_000,
  mix: databaseMix,
  prepare: frozenWorld,
  events: [
    { atMs: 3_000, state: 'frozen' },
    { atMs: 8_000, state: 'undisturbed' },
  ],
  figures: freezeFigures,
  variants: variantsAt(offered),
  goals: loads.flatMap((of) => [
    { claim: 'No client hangs (2.5 s)', figure: 'hung', of, atMost: 0 },
    { claim: 'No public page fails', figure: 'publicErrorPercent', of, atMost: 0 },
    { claim: 'No read fails while the database is frozen', figure: 'readErrorPercent', of, atMost: 0 },
    { claim: 'Whoever gets nothing is told so: 503 or 504', figure: 'unclear', of, atMost: 0 },
    { claim: 'The database is used again within 2 s', figure: 'recoveredMs', of, atMost: 2000 },
    { claim: 'No write is lost that was acknowledged', figure: 'lostWrites', of, atMost: 0 },
    { claim: 'No write is made twice', figure: 'writtenTwice', of, atMost: 0 },
  ]),
}
