// GET /api/trades: what the bots of a user bought and sold, the newest first.

import type { FastifyInstance, FastifyPluginCallback, FastifyRequest } from 'fastify'
import { idBefore, pageOf } from '../../cursor.ts'
import { bigintOf } from '../../db/bigint.ts'
import { minorOf } from '../../db/minor-units.ts'
import { ApiTradesUnavailableError } from '../../errors.ts'
import { ListPages, userReads } from '../../list-pages.ts'
import { principalOf } from '../../plugins/identity.ts'
import { TRADES_SCHEMA } from './trade-operations.ts'
import type { Trade, TradeRepository, TradesSelection } from './trade-repository.ts'

/** What the route needs. */
export interface TradesOptions {
  readonly repository: Pick<TradeRepository, 'trades'>
  readonly caches: FastifyInstance['staleCache']
}

interface TradesRoute {
  Querystring: { bot_id?: string; limit: number; cursor?: string }
}

/** The route. */
export const trades: FastifyPluginCallback<TradesOptions> = (app, { repository, caches }, done) => {
  const pages = new ListPages<TradesSelection>(
    {
      name: 'trades',
      keyOf: ({ userId, botId = 'all', before, limit }) => `${userId} ${botId} ${limit} ${before}`,
      // One more than asked for tells whether there is another page.
      read: async ({ limit, ...selection }) =>
        pageOf(await repository.trades({ ...selection, limit: limit + 1 }), limit, tradeItem),
    },
    caches,
  )
  app.get<TradesRoute>('/api/trades', {
    ...userReads(pages, selectionOf, ApiTradesUnavailableError),
    schema: TRADES_SCHEMA,
  })
  done()
}

function selectionOf(request: FastifyRequest<TradesRoute>): TradesSelection {
  const { bot_id, limit, cursor } = request.query
  const { id: userId } = principalOf(request)
  // An id beyond what the database can hold is that of no bot, as is 0.
  const botId = bot_id === undefined ? undefined : (bigintOf(bot_id) ?? 0n)
  return { userId, botId, before: idBefore(cursor), limit }
}

function tradeItem({ id, botId, tick, side, symbol, quantity, priceMinor, currency, at }: Trade) {
  return {
    trade_id: id,
    bot_id: botId,
    tick,
    side,
    symbol,
    quantity: minorOf(quantity),
    price_minor: minorOf(priceMinor),
    currency,
    at: at.toISOString(),
  }
}
