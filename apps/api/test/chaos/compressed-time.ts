// How much time goes by for those who trade and bet while the test lasts: the market ticks ten times as fast as it does by
// default, and events are heard of, begin and end fifteen times as fast.

import type { PoolGuard } from '@holdfast/pool-guard'
import { DEFAULT_FIXTURE, type FixtureOptions } from '../../src/provider/simulator/fixture.ts'

/** The defaults of `BOT_TICK` and `ODDS_INTERVAL`, and what they are here: the shortest that can be set. */
const NOMINAL = { tickMs: 1000, oddsIntervalMs: 15_000 }
const COMPRESSED = { tickMs: 100, oddsIntervalMs: 1000 }
const ODDS_FACTOR = NOMINAL.oddsIntervalMs / COMPRESSED.oddsIntervalMs

export const COMPRESSED_SETTINGS = {
  BOT_TICK: `${COMPRESSED.tickMs}ms`,
  ODDS_INTERVAL: `${COMPRESSED.oddsIntervalMs}ms`,
}

/** The events of the provider. */
export function compressedFixture(seed: number): FixtureOptions {
  const { everyMs, openMs, lastsMs, keptMs, oddsTickMs } = DEFAULT_FIXTURE
  const shorter = (ms: number) => Math.round(ms / ODDS_FACTOR)
  return {
    seed,
    everyMs: shorter(everyMs),
    openMs: shorter(openMs),
    lastsMs: shorter(lastsMs),
    keptMs: shorter(keptMs),
    oddsTickMs: shorter(oddsTickMs),
  }
}

/** Minutes that went by. */
export interface SimulatedMinutes {
  /** Ticks of the market, from the first trade to the last. */
  readonly traded: number
  /** Turns of the odds, from the first bet to the last. */
  readonly bet: number
}

export async function simulatedMinutes(sql: Pick<PoolGuard, 'query'>): Promise<SimulatedMinutes> {
  const { rows } = await sql.query<{ ticks: number; bet_ms: number }>(
    `select (select coalesce(max(tick) - min(tick), 0)::float8 from trades) as ticks,
       (select coalesce(extract(epoch from max(placed_at) - min(placed_at)), 0)::float8 * 1000 from bets) as bet_ms`,
  )
  const { ticks = 0, bet_ms: betMs = 0 } = rows[0] ?? {}
  return { traded: (ticks * NOMINAL.tickMs) / 60_000, bet: (betMs * ODDS_FACTOR) / 60_000 }
}
