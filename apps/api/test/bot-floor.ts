// A trading floor whose bots are run by processes of their own, which a test kills and freezes.

import type { PoolGuard } from '@holdfast/pool-guard'
import { waitUntil } from '@holdfast/test-kit'
import type { Test } from 'tap'
import { insist } from './insist.ts'
import { installWitness, ownershipFaults, witnessed } from './ownership-witness.ts'
import { OwningProcess } from './owning-process.ts'
import { replay } from './trade-replay.ts'
import { faultsOf, type TradeRow, tradingFloor } from './trading-floor.ts'

export const TICK_MS = 100
export const LEASE_MS = 2000

/** Trades for ever: it buys and sells in turns. */
export const RESTLESS = 'position > 2 ? sell(3) : buy(1)'

const PATIENCE = { timeoutMs: 90_000, intervalMs: 50 }

/** Bots with these strategies that run, and nobody who runs them yet. The test's own way to the database is `serverUrl`. */
export async function botFloor(
  t: Test,
  serverUrl: string,
  strategies: readonly string[],
  leaseMs = LEASE_MS,
) {
  const floor = await tradingFloor(t, serverUrl)
  await installWitness(floor.pool)
  const ids = await floor.addBots(strategies)
  const ask: PoolGuard['query'] = (...asked) => insist(() => floor.pool.query(...asked))
  const ownersOf = async () => {
    const { rows } = await ask(
      `select owner, expires_at > clock_timestamp() as is_held from leases where kind = 'bot' order by name`,
    )
    return rows.map((row) => (row['is_held'] === true ? String(row['owner']) : undefined))
  }
  /** Resolves once each bot that runs is run by one of these. */
  const allOwnedBy = (owners: readonly string[]) =>
    waitUntil(
      async () => (await ownersOf()).every((owner) => owner !== undefined && owners.includes(owner)),
      { ...PATIENCE, what: `all bots to be run by ${owners.join(' or ')}` },
    )
  const start = (owner: string, url = floor.url) =>
    OwningProcess.start(t, {
      script: 'bot-process.ts',
      owner,
      url,
      environment: { TICK_MS: String(TICK_MS), LEASE_MS: String(leaseMs) },
    })
  const lastTickOf = async (bot: string) =>
    Number((await ask('select last_tick from bots where id = $1', [bot])).rows[0]?.['last_tick'])
  const tradesGrow = async (bot: string) => {
    const before = await lastTickOf(bot)
    await waitUntil(async () => (await lastTickOf(bot)) > before, {
      ...PATIENCE,
      what: `bot ${bot} to trade`,
    })
  }
  /** Looks at everything, when nobody writes any more. */
  const inOrder = async (
    t: Test,
  ): Promise<{ readonly trades: readonly TradeRow[]; readonly missed: number }> => {
    const trades = await floor.trades()
    t.strictSame(await ownershipFaults(floor.pool), [], 'each was written by the one owner at its commit')
    const { trades: written, tradesOfOwners } = await witnessed(floor.pool)
    t.strictSame([written, tradesOfOwners], [trades.length, trades.length], 'and each was looked at then')
    t.strictSame(faultsOf(await floor.bots(), trades), [], 'cash and position follow from the trades')
    const replayed = ids.map((id, at) =>
      replay({ id, symbol: 'HFX', strategy: strategies[at] ?? '' }, trades, floor.feed),
    )
    t.strictSame(
      replayed.flatMap(({ faults }) => faults),
      [],
      'each trade is what its strategy says of prices and trades before',
    )
    return { trades, missed: replayed.reduce((sum, { missed }) => sum + missed, 0) }
  }
  return { ...floor, ids, ask, ownersOf, allOwnedBy, start, tradesGrow, inOrder }
}
