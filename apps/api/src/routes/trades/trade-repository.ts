import { type Kysely, sql } from 'kysely'
import type { Database } from '../../db/database.ts'

/** What a bot bought or sold. */
export interface Trade {
  readonly id: string
  readonly botId: string
  readonly tick: string
  readonly side: 'buy' | 'sell'
  readonly symbol: string
  readonly quantity: string
  readonly priceMinor: string
  readonly currency: string
  readonly at: Date
}

/** Which trades of a user. */
export interface TradesSelection {
  readonly userId: string
  /** Undefined: of all his bots. */
  readonly botId: bigint | undefined
  readonly before: bigint
  readonly limit: number
}

/** Reads trades. Errors are the driver's or the pool's. */
export class TradeRepository {
  readonly #db: Kysely<Database>

  constructor(db: Kysely<Database>) {
    this.#db = db
  }

  /** The trades of a user below `before`, the newest first, at most `limit`; none of a bot that is not his. */
  trades({ userId, botId, before, limit }: TradesSelection): Promise<Trade[]> {
    return this.#db
      .selectFrom('trades')
      .$call((query) =>
        botId === undefined
          ? query.where('user_id', '=', userId)
          : // By the bot alone, whose index then is the only one: whose it is, is asked once.
            query.where('bot_id', '=', (eb) =>
              eb
                .selectFrom('bots')
                .where('id', '=', String(botId))
                .where('user_id', '=', userId)
                .select('id'),
            ),
      )
      .where('trades.id', '<', String(before))
      .select([
        'trades.id',
        'bot_id as botId',
        'tick',
        'side',
        'symbol',
        'quantity',
        'price_minor as priceMinor',
        'at',
        sql<string>`(select currency from users join tenants on tenants.id = tenant_id where users.id = ${userId})`.as(
          'currency',
        ),
      ])
      .orderBy('trades.id', 'desc')
      .limit(limit)
      .execute()
  }
}
