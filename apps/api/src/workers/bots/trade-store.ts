// Where bots stand, and what they trade, in PostgreSQL.
//
// Guarantees of `save`: a trade, the cash and the position that it leaves and its tick are written together, by whoever has
// the lease of the bot until the commit, and on top of what the trade was decided on; or nothing of it is. Rows of bots are
// locked before leases, as operations of users do, and one that somebody else has locked is passed over: nobody waits.

import type { PoolGuard, Transaction } from '@holdfast/pool-guard'
import type { Leases } from '../../db/leases.ts'
import { type PositionRow, positionOf } from './bot-row.ts'
import type { BotPosition, TradingBot, WantedTrade } from './trading-bot.ts'

/** What became of trades. */
export interface SaveResult {
  readonly saved: readonly WantedTrade[]
  /** Those whose bot stood elsewhere, had traded at this tick, or was held by somebody else at that moment. */
  readonly passed: readonly WantedTrade[]
  /** Those whose lease is over. */
  readonly lost: readonly WantedTrade[]
}

/** Reads and writes. Errors are the driver's or the pool's. */
export class TradeStore {
  readonly #pool: Pick<PoolGuard, 'query' | 'transaction'>
  readonly #leases: Pick<Leases, 'holdAll'>

  constructor(pool: Pick<PoolGuard, 'query' | 'transaction'>, leases: Pick<Leases, 'holdAll'>) {
    this.#pool = pool
    this.#leases = leases
  }

  /** Where bots stand. */
  async positions(bots: readonly TradingBot[]): Promise<ReadonlyMap<string, BotPosition>> {
    const { rows } = await this.#pool.query<PositionRow>(
      'select id, cash_minor, position, last_tick from bots where id = any($1::bigint[])',
      [bots.map(({ id }) => id)],
    )
    return new Map(rows.map((row) => [row.id, positionOf(row)]))
  }

  /**
   * Writes trades of one tick, at most one for a bot. One transaction. A bot that has traded at this tick, by a clock that
   * was set back since, is passed: the constraint would refuse the others with it.
   */
  save(tick: number, wanted: readonly WantedTrade[]): Promise<SaveResult> {
    return this.#pool.transaction({}, async (tx) => {
      const { rows } = await tx.query<PositionRow & { readonly has_traded: boolean }>(
        `select id, cash_minor, position, last_tick,
           last_tick >= $2 and exists (select from trades where bot_id = bots.id and tick = $2) as has_traded
         from bots
         where id = any($1::bigint[]) and status = 'running' order by id for no key update skip locked`,
        [wanted.map(({ bot }) => bot.id), tick],
      )
      const free = rows.filter(({ has_traded }) => !has_traded)
      const locked = new Map(free.map((row) => [row.id, positionOf(row)]))
      const held = new Set(
        await this.#leases.holdAll(
          tx,
          wanted.map(({ bot }) => bot.lease),
        ),
      )
      const mine = wanted.filter(({ bot }) => held.has(bot.lease))
      const isAsDecidedOn = ({ bot, before }: WantedTrade) => areEqual(locked.get(bot.id), before)
      const saved = mine.filter(isAsDecidedOn)
      if (saved.length > 0) await writeTrades(tx, tick, saved)
      return {
        saved,
        passed: mine.filter((each) => !isAsDecidedOn(each)),
        lost: wanted.filter(({ bot }) => !held.has(bot.lease)),
      }
    })
  }
}

function areEqual(left: BotPosition | undefined, right: BotPosition): boolean {
  return (
    left !== undefined &&
    left.cash === right.cash &&
    left.position === right.position &&
    left.lastTick === right.lastTick
  )
}

async function writeTrades(tx: Transaction, tick: number, trades: readonly WantedTrade[]): Promise<void> {
  const column = <T>(of: (trade: WantedTrade) => T) => trades.map(of)
  await tx.query(
    `with given as (
       select * from unnest(
         $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[]
       ) as given (bot_id, user_id, side, symbol, quantity, price_minor, fence, cash_minor, position)
     ), moved as (
       update bots set cash_minor = given.cash_minor, position = given.position, last_tick = $1::bigint
       from given where bots.id = given.bot_id
     )
     insert into trades (bot_id, user_id, tick, side, symbol, quantity, price_minor, fence)
     select bot_id, user_id, $1::bigint, side, symbol, quantity, price_minor, fence from given order by bot_id`,
    [
      tick,
      column(({ bot }) => bot.id),
      column(({ bot }) => bot.userId),
      column(({ order }) => order.side),
      column(({ bot }) => bot.symbol),
      column(({ order }) => order.quantity),
      column(({ order }) => order.priceMinor),
      column(({ bot }) => String(bot.lease.fence)),
      column(({ after }) => after.cash),
      column(({ after }) => after.position),
    ],
  )
}
