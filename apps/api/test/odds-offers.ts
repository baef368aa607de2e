// Looks at what is offered, again and again: at every instant it is what the provider told at one instant, whole, and never
// what it told before.
//
// The odds of all events of a sport change at the same moments here, so that two words of the provider can be told apart by
// every event in them.

import { setTimeout as sleep } from 'node:timers/promises'
import type { PoolGuard } from '@holdfast/pool-guard'
import type { Test } from 'tap'
import { DEFAULT_FIXTURE, type FixtureOptions, feedAt } from '../src/provider/simulator/fixture.ts'
import { insist } from './insist.ts'

const TICK_MS = 250

/** Three or four events of each sport at once. All times are whole ticks. */
export const FIXTURE: FixtureOptions = {
  ...DEFAULT_FIXTURE,
  everyMs: 80 * TICK_MS,
  openMs: 240 * TICK_MS,
  lastsMs: 40 * TICK_MS,
  keptMs: 240 * TICK_MS,
  oddsTickMs: TICK_MS,
}
const LOOK_MS = 40
const MAX_FAULTS = 20

interface Offered {
  readonly ref: string
  readonly status: string
  readonly version: number
  readonly starts_at: Date
  /** Without those of another version than that of the event. */
  readonly odds: Readonly<Record<string, number>>
  readonly strange: number
}

/** What was seen of the offers of some sports. */
export class OfferWatch {
  /** What was not as it should be, in words. */
  readonly faults: string[] = []
  looks = 0
  readonly #sql: Pick<PoolGuard, 'query'>
  /** When the provider told what is offered, by sport. */
  readonly #toldMs = new Map<string, number>()
  readonly #looking: Promise<void>
  #isOver = false

  constructor(t: Test, sql: Pick<PoolGuard, 'query'>, sports: readonly string[]) {
    this.#sql = sql
    this.#looking = this.#look(sports)
    t.teardown(() => this.stop())
  }

  /** When the provider told what is offered of the sport, or a tick later at most, on the clock of the wall. */
  toldMs(sport: string): number {
    return this.#toldMs.get(sport) ?? Number.NEGATIVE_INFINITY
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#looking
  }

  async #look(sports: readonly string[]): Promise<void> {
    while (!this.#isOver) {
      for (const sport of sports) this.#compare(sport, await this.#offered(sport))
      await sleep(LOOK_MS)
    }
  }

  /** By one statement: it sees the database at one instant. */
  async #offered(sport: string): Promise<readonly Offered[]> {
    const { rows } = await insist(() =>
      this.#sql.query<Omit<Offered, 'version'> & { readonly version: string }>(
        `select provider_ref as ref, status, event.provider_version as version, starts_at,
           jsonb_object_agg(market || ' ' || selection, odds_milli) as odds,
           (count(*) filter (where odds.provider_version <> event.provider_version))::int as strange
         from sport_events as event join odds on event_id = event.id
         where sport = $1 and status in ('scheduled', 'live') group by event.id order by starts_at`,
        [sport],
      ),
    )
    return rows.map((row) => ({ ...row, version: Number(row.version) }))
  }

  #compare(sport: string, offered: readonly Offered[]): void {
    const [first] = offered
    if (first === undefined) return
    this.looks += 1
    const toldMs = first.starts_at.getTime() - FIXTURE.openMs + (first.version - 1) * TICK_MS
    if (toldMs < this.toldMs(sport)) this.#fault(`${sport}: what was told later was replaced`)
    this.#toldMs.set(sport, toldMs)
    const told = feedAt(FIXTURE, sport, toldMs).events.flatMap(({ id, status, version, odds = [] }) =>
      status === 'scheduled' || status === 'live'
        ? [
            wordsOf(
              id,
              status,
              version,
              odds.map((offer) => [`${offer.market} ${offer.selection}`, Math.round(offer.odds * 1000)]),
            ),
          ]
        : [],
    )
    const seen = offered.map(({ ref, status, version, odds, strange }) =>
      wordsOf(ref, strange === 0 ? status : 'mixed', version, Object.entries(odds)),
    )
    if (seen.join() !== told.join()) this.#fault(`${sport}: ${seen.join()} is none of: ${told.join()}`)
  }

  /** The first of them are enough. */
  #fault(words: string): void {
    if (this.faults.length < MAX_FAULTS) this.faults.push(words)
  }
}

function wordsOf(
  ref: string,
  status: string,
  version: number,
  odds: readonly (readonly [string, number])[],
): string {
  return `${ref} ${status} v${version} ${JSON.stringify(odds.toSorted(([one], [other]) => (one < other ? -1 : 1)))}`
}
