// How the balance and its entries are described: what the routes take, what they answer, and examples.

import type { FastifySchema } from 'fastify'
import { pageQuery } from '../../cursor.ts'
import { ApiBalanceUnavailableError, ApiCursorInvalidError } from '../../errors.ts'
import { CURRENCY, ID, MINOR, MOMENT, objectOf, pageOf } from '../../openapi/members.ts'
import { ENTRY_KINDS } from './balance.ts'

const STALE =
  'While the database cannot be asked, what was read last stands in, with `Age` and `Warning: 110`.'

const ENTRY = objectOf({
  entry_id: ID,
  kind: {
    type: 'string',
    enum: ENTRY_KINDS,
    description: '`opening`: what he began with; `refund`: a stake that was given back.',
  },
  amount_minor: { ...MINOR, description: 'Negative where it was taken.' },
  balance_after_minor: MINOR,
  currency: CURRENCY,
  bet_id: { ...ID, type: ['string', 'null'], description: 'Null for the opening.' },
  at: MOMENT,
})

const AT = '2026-11-22T12:00:00.000Z'

/** Of `GET /api/balance`. */
export const BALANCE_SCHEMA: FastifySchema = {
  operationId: 'readBalance',
  summary: 'What whoever asks has',
  description: `It is the sum of its entries, always. ${STALE}`,
  querystring: { type: 'object', additionalProperties: false, properties: {} },
  problems: [ApiBalanceUnavailableError],
  response: {
    // It is text when it is sent, as the page below.
    200: objectOf(
      { balance_minor: MINOR, currency: CURRENCY, changed_at: MOMENT },
      { description: 'The balance.' },
    ),
  },
  examples: [
    {
      name: 'at_the_beginning',
      summary: 'Somebody who has just begun',
      status: 200,
      answer: { balance_minor: 100_000, currency: 'EUR', changed_at: AT },
    },
  ],
}

/** Of `GET /api/balance/entries`. */
export const ENTRIES_SCHEMA: FastifySchema = {
  operationId: 'listBalanceEntries',
  summary: 'Every movement of the balance, the newest first',
  description: STALE,
  querystring: pageQuery(),
  problems: [ApiCursorInvalidError, ApiBalanceUnavailableError],
  response: { 200: pageOf(ENTRY, 'A page of them.') },
  examples: [
    {
      name: 'after_a_bet',
      summary: 'Somebody who has placed one bet',
      parameters: { limit: 20 },
      status: 200,
      answer: {
        items: [
          {
            entry_id: '2',
            kind: 'stake',
            amount_minor: -1000,
            balance_after_minor: 99_000,
            currency: 'EUR',
            bet_id: '1',
            at: AT,
          },
          {
            entry_id: '1',
            kind: 'opening',
            amount_minor: 100_000,
            balance_after_minor: 100_000,
            currency: 'EUR',
            bet_id: null,
            at: AT,
          },
        ],
        next_cursor: null,
      },
    },
  ],
}
