// How the list of trades is described: what it takes, what it answers, and examples.

import type { FastifySchema } from 'fastify'
import { pageQuery } from '../../cursor.ts'
import { ApiCursorInvalidError, ApiTradesUnavailableError } from '../../errors.ts'
import { CURRENCY, ID, MINOR, MOMENT, objectOf, pageOf, TEXT } from '../../openapi/members.ts'

const TRADE = objectOf({
  trade_id: ID,
  bot_id: ID,
  tick: { ...ID, description: 'Of the market: a bot trades once in each, at most.' },
  side: { type: 'string', enum: ['buy', 'sell'] },
  symbol: TEXT,
  quantity: { type: 'integer', minimum: 1 },
  price_minor: { ...MINOR, description: 'Of one unit.' },
  currency: CURRENCY,
  at: MOMENT,
})

/** Of `GET /api/trades`. */
export const TRADES_SCHEMA: FastifySchema = {
  operationId: 'listTrades',
  summary: 'What the bots of whoever asks bought and sold, the newest first',
  description:
    'While the database cannot be asked, what was read last stands in, with `Age` and `Warning: 110`.',
  querystring: pageQuery({ bot_id: { ...ID, description: 'Of this bot alone.' } }),
  problems: [ApiCursorInvalidError, ApiTradesUnavailableError],
  response: {
    // It is text when it is sent: read just now, or remembered.
    200: pageOf(TRADE, 'A page of them.'),
  },
  examples: [
    {
      name: 'one_trade',
      summary: 'Somebody whose bot has bought once',
      parameters: { limit: 20 },
      status: 200,
      answer: {
        items: [
          {
            trade_id: '1',
            bot_id: '7',
            tick: '1',
            side: 'buy',
            symbol: 'HFX',
            quantity: 3,
            price_minor: 9_950,
            currency: 'EUR',
            at: '2026-11-22T12:00:00.000Z',
          },
        ],
        next_cursor: null,
      },
    },
    {
      name: 'a_bot_of_nobody',
      summary: 'Trades of a bot that there is not',
      parameters: { bot_id: '999999' },
      status: 200,
      answer: { items: [], next_cursor: null },
    },
  ],
}
