// What a made-up provider knows at a moment: events of a sport that start one after the other for ever, their odds, and
// how they end. A pure function of the seed and of the time, so that every process, and every run, sees the same.
//
// An event is heard of `openMs` before its start, lasts `lastsMs`, and is told with its result for `keptMs` more. Its
// version grows with every change of its odds, and once more with its end.

import { createHash } from 'node:crypto'

/** What the events are like; times in ms. */
export interface FixtureOptions {
  readonly seed: number
  /** From the start of an event to that of the next one of its sport. */
  readonly everyMs: number
  readonly openMs: number
  readonly lastsMs: number
  readonly keptMs: number
  /** Odds change as often. */
  readonly oddsTickMs: number
}

/** An event as it is sent. */
export interface FixtureEvent {
  readonly id: string
  readonly name: string
  readonly starts_at: string
  readonly status: 'scheduled' | 'live' | 'finished' | 'void'
  readonly version: number
  readonly odds?: readonly FixtureOdds[]
  readonly result?: Readonly<Record<string, string>>
}

interface FixtureOdds {
  readonly market: string
  readonly selection: string
  /** What is paid for each unit of the stake. */
  readonly odds: number
}

/** What is sent for a sport. */
export interface FixtureFeed {
  readonly sport: string
  readonly at: string
  readonly events: readonly FixtureEvent[]
}

export const DEFAULT_FIXTURE: FixtureOptions = {
  seed: 1,
  everyMs: 120_000,
  openMs: 3_600_000,
  lastsMs: 300_000,
  keptMs: 900_000,
  oddsTickMs: 5000,
}
/** More would not be believed. */
export const MAX_FIXTURE_EVENTS = 1000
/** What is kept of every stake. */
const MARGIN = 0.05
const VOID_SHARE = 0.04
const MARKET_WITHOUT_RESULT_SHARE = 0.1
const DRAWN: ReadonlySet<string> = new Set(['football', 'chess', 'hockey'])
const PLACES = [
  'Ashford',
  'Brixham',
  'Calder',
  'Dunmore',
  'Elgin',
  'Fairhaven',
  'Glenrock',
  'Harwick',
  'Invermay',
  'Kestrel Bay',
  'Larkhill',
  'Merrow',
  'Northport',
  'Oakley',
  'Penrith',
  'Ravenscar',
  'Selby',
  'Thornbury',
]

/** All that is known about the sport at `wallMs`, in the order of the starts. */
export function feedAt(options: FixtureOptions, sport: string, wallMs: number): FixtureFeed {
  const { seed, everyMs, openMs, lastsMs, keptMs } = options
  const offsetMs = Math.floor(chance(seed, sport, 'offset') * everyMs)
  const first = Math.ceil((wallMs - lastsMs - keptMs - offsetMs) / everyMs)
  const last = Math.floor((wallMs + openMs - offsetMs) / everyMs)
  const events: FixtureEvent[] = []
  for (let number = first; number <= last && events.length < MAX_FIXTURE_EVENTS; number += 1) {
    events.push(eventAt(options, sport, number, offsetMs + number * everyMs, wallMs))
  }
  return { sport, at: new Date(wallMs).toISOString(), events }
}

function eventAt(
  { seed, openMs, lastsMs, oddsTickMs }: FixtureOptions,
  sport: string,
  number: number,
  startMs: number,
  wallMs: number,
): FixtureEvent {
  const id = `${sport}-${number}`
  const home = Math.floor(chance(seed, id, 'home') * PLACES.length)
  const away = (home + 1 + Math.floor(chance(seed, id, 'away') * (PLACES.length - 1))) % PLACES.length
  const endMs = startMs + lastsMs
  const tick = Math.floor((Math.min(wallMs, endMs) - startMs + openMs) / oddsTickMs)
  const about = { id, name: `${PLACES[home]} - ${PLACES[away]}`, starts_at: new Date(startMs).toISOString() }
  if (wallMs < endMs) {
    const status = wallMs < startMs ? 'scheduled' : 'live'
    return { ...about, status, version: tick + 1, odds: oddsOf(seed, sport, id, tick) }
  }
  const version = tick + 2
  if (chance(seed, id, 'void') < VOID_SHARE) return { ...about, status: 'void', version }
  return { ...about, status: 'finished', version, result: resultOf(seed, sport, id) }
}

function oddsOf(seed: number, sport: string, id: string, tick: number): FixtureOdds[] {
  return marketsOf(sport).flatMap(({ market, selections }) => {
    const weights = weightsOf(seed, id, market, selections)
    const moved = weights.map((weight, at) => weight * (0.9 + 0.2 * chance(seed, id, market, at, tick)))
    const sum = moved.reduce((total, weight) => total + weight, 0)
    return selections.map((selection, at) => {
      const share = (moved[at] ?? 0) / sum
      return { market, selection, odds: Math.round(1000 / (share * (1 + MARGIN))) / 1000 }
    })
  })
}

/** Who wins follows from what the odds began with. */
function resultOf(seed: number, sport: string, id: string): Record<string, string> {
  const entries = marketsOf(sport).flatMap(({ market, selections }) => {
    if (market !== 'winner' && chance(seed, id, market, 'lost') < MARKET_WITHOUT_RESULT_SHARE) return []
    const weights = weightsOf(seed, id, market, selections)
    let left = chance(seed, id, market, 'result') * weights.reduce((total, weight) => total + weight, 0)
    const winner = weights.findIndex((weight) => {
      left -= weight
      return left < 0
    })
    return [[market, selections.at(winner) ?? ''] as const]
  })
  return Object.fromEntries(entries)
}

function marketsOf(sport: string) {
  return [
    { market: 'winner', selections: DRAWN.has(sport) ? ['home', 'draw', 'away'] : ['home', 'away'] },
    { market: 'total', selections: ['over', 'under'] },
  ]
}

/** No selection is so unlikely that its odds would be beyond all bounds. */
function weightsOf(seed: number, id: string, market: string, selections: readonly string[]): number[] {
  return selections.map((selection) => 0.2 + 0.8 * chance(seed, id, market, selection))
}

/** A number in [0, 1) that belongs to these words. */
export function chance(seed: number, ...words: readonly (string | number)[]): number {
  const digest = createHash('sha256')
    .update(JSON.stringify([seed, ...words]))
    .digest()
  return digest.readUInt32BE(0) / 2 ** 32
}
