import type { TrialRow } from '../harness/row.ts'
import { overloadFigures } from '../harness/trial-figures.ts'
import { databaseMix, script, variantsAt } from './database-mix.ts'
import { frozenWorld } from './frozen-world.ts'

const capacity = 'capacity (20 clients)'
/** 1,500 of them want the database. */
const offered = 1650
const loads = [`ours, ${offered}/s`, 'ours, 200 clients']

/** Half as much work again as the database can do, for ten seconds. */
export const overload: TrialRow = {
  kind: 'trial',
  name: 'overload',
  title: `10 s of ${offered} requests/s, of which 1,500 want one of 20 connections for 20 ms; and 200 clients, 50 ms between two requests`,
  durationMs: 10_000,
  mix: databaseMix,
  prepare: frozenWorld,
  events: [],
  figures: overloadFigures,
  variants: [
    // What the database can do: 20 clients, one for each connection, and a pool without anything around it.
    { name: capacity, script, args: ['plain'], load: { clients: 22, pauseMs: 0 }, durationMs: 5_000 },
    ...variantsAt(offered, capacity),
  ],
  goals: loads.flatMap((of) => [
    { claim: 'No public page fails', figure: 'publicErrorPercent', of, atMost: 0 },
    { claim: 'Every critical write succeeds', figure: 'criticalErrorPercent', of, atMost: 0 },
    {
      claim: 'No read fails: it comes from the database or from the cache',
      figure: 'normalErrorPercent',
      of,
      atMost: 0,
    },
    {
      claim: 'The database does nine tenths of what it can',
      figure: 'databasePerSecond',
      of,
      against: capacity,
      atLeast: 0.9,
    },
    {
      claim: 'Reads from the database take at most 150 ms at the p99',
      figure: 'normalP99Ms',
      of,
      atMost: 150,
    },
    {
      claim: 'Reads that do not come from the database are answered within 60 ms',
      figure: 'elsewhereP99Ms',
      of,
      atMost: 60,
    },
    { claim: 'No more wait than may: 5 reads, 200 writes', figure: 'greatestQueue', of, atMost: 205 },
    { claim: 'No write is lost that was acknowledged', figure: 'lostWrites', of, atMost: 0 },
    { claim: 'No write is made twice', figure: 'writtenTwice', of, atMost: 0 },
  ]),
}
