// How placing and listing bets are described: what they take, what they answer, and examples.

import type { FastifySchema } from 'fastify'
import { pageQuery } from '../../cursor.ts'
import {
  ApiBalanceTooLowError,
  ApiBetOutcomeUnknownError,
  ApiBetsUnavailableError,
  ApiCursorInvalidError,
  ApiEventClosedError,
  ApiEventUnknownError,
  ApiIdempotencyKeyError,
  ApiIdempotencyKeyReusedError,
  ApiMemberKindError,
  ApiOddsWorseError,
  ApiSelectionUnknownError,
} from '../../errors.ts'
import { IDEMPOTENT_HEADERS, REPLAYED_HEADERS } from '../../idempotency-key.ts'
import { CURRENCY, ID, MINOR, MOMENT, MOMENT_OR_NULL, objectOf, pageOf } from '../../openapi/members.ts'
import { problemExample } from '../../openapi/problem-example.ts'
import { BET_STATUSES } from './bet.ts'

const NAME = { type: 'string', pattern: '^[a-z0-9][a-z0-9_]{0,39}$' } as const
const ODDS = {
  type: 'integer',
  minimum: 1001,
  maximum: 1_000_000,
  description: 'Thousandths: 1850 pays 1.85 times the stake.',
} as const
const STATUS = { type: 'string', enum: BET_STATUSES } as const

/** What both answers tell of a bet. */
const TERMS = {
  bet_id: ID,
  event_id: ID,
  market: NAME,
  selection: NAME,
  stake_minor: MINOR,
  odds_milli: ODDS,
  payout_if_won_minor: MINOR,
  currency: CURRENCY,
} as const

const ITEM = objectOf({
  ...TERMS,
  status: STATUS,
  payout_minor: { type: ['integer', 'null'], description: 'Null while it is open.' },
  placed_at: MOMENT,
  settled_at: MOMENT_OR_NULL,
})

const KEY = { 'idempotency-key': 'b41f6a0e-7f7b-4c53-9a58-2f0f6f1c1d10' }
const ORDER = { event_id: '1', market: 'winner', selection: 'home', stake_minor: 1000, odds_milli: 1850 }
const PLACED = {
  bet_id: '1',
  ...ORDER,
  payout_if_won_minor: 1850,
  currency: 'EUR',
}
const PLACED_AT = '2026-11-22T12:00:00.000Z'

/** Of `POST /api/bets`. */
export const PLACE_SCHEMA: FastifySchema = {
  operationId: 'placeBet',
  summary: 'Places a bet',
  description:
    'Once for each `Idempotency-Key`: sent again, it is answered with the bet that it has made, and `Idempotent-Replayed: true`.',
  headers: IDEMPOTENT_HEADERS,
  body: {
    type: 'object',
    additionalProperties: false,
    required: ['event_id', 'market', 'selection', 'stake_minor'],
    properties: {
      event_id: ID,
      market: NAME,
      selection: NAME,
      stake_minor: { ...MINOR, minimum: 1, maximum: 1_000_000_000 },
      odds_milli: {
        ...ODDS,
        description:
          'Those that were seen: worse ones are refused, better ones are taken. Left out, any are.',
      },
    },
  },
  problems: [
    ApiIdempotencyKeyError,
    ApiMemberKindError,
    ApiEventUnknownError,
    ApiSelectionUnknownError,
    ApiEventClosedError,
    ApiOddsWorseError,
    ApiBalanceTooLowError,
    ApiIdempotencyKeyReusedError,
    ApiBetOutcomeUnknownError,
  ],
  response: {
    201: {
      ...objectOf(
        { ...TERMS, balance_minor: { ...MINOR, description: 'What is left.' }, placed_at: MOMENT },
        { description: 'It is placed, and its stake is paid.' },
      ),
      headers: REPLAYED_HEADERS,
    },
  },
  examples: [
    {
      name: 'a_bet',
      summary: 'Ten euros on the home side',
      parameters: KEY,
      body: ORDER,
      status: 201,
      answer: { ...PLACED, balance_minor: 99_000, placed_at: PLACED_AT },
    },
    {
      name: 'no_key',
      summary: 'Without a key',
      body: ORDER,
      status: 400,
      answer: problemExample(
        400,
        'HOLDFAST_ERR_API_IDEMPOTENCY_KEY',
        'send Idempotency-Key with 1 to 255 visible characters, a new one for each new request and the same one for a repeat: there is none',
      ),
    },
    {
      name: 'no_such_event',
      summary: 'An event that there is not',
      parameters: KEY,
      body: { ...ORDER, event_id: '999999' },
      status: 404,
      answer: problemExample(404, 'HOLDFAST_ERR_API_EVENT_UNKNOWN', 'there is no such event'),
    },
    {
      name: 'worse_odds',
      summary: 'Odds that have become worse',
      parameters: KEY,
      body: { ...ORDER, odds_milli: 1900 },
      status: 409,
      answer: {
        ...problemExample(
          409,
          'HOLDFAST_ERR_API_ODDS_WORSE',
          'the odds are 1850 thousandths now, and 1900 were seen; bet again with the new ones if they will do',
        ),
        errors: [{ in: 'body', pointer: '#/odds_milli', detail: '1850' }],
      },
    },
    {
      name: 'too_large_a_stake',
      summary: 'A stake that is more than the balance',
      parameters: KEY,
      body: { ...ORDER, stake_minor: 500_000_000 },
      status: 409,
      answer: problemExample(
        409,
        'HOLDFAST_ERR_API_BALANCE_TOO_LOW',
        'the stake is more than the balance; choose a smaller one',
      ),
    },
    {
      name: 'a_key_that_was_used',
      summary: 'The key of another bet',
      parameters: KEY,
      body: { ...ORDER, selection: 'away', odds_milli: 2150 },
      status: 422,
      answer: problemExample(
        422,
        'HOLDFAST_ERR_API_IDEMPOTENCY_KEY_REUSED',
        'this Idempotency-Key was used before, for a request with another content; choose a new one',
      ),
    },
  ],
}

/** Of `GET /api/bets`. */
export const LIST_SCHEMA: FastifySchema = {
  operationId: 'listBets',
  summary: 'The bets of whoever asks, the newest first',
  description:
    'While the database cannot be asked, what was read last stands in, with `Age` and `Warning: 110`.',
  querystring: pageQuery({ status: { ...STATUS, description: 'Those alone.' } }),
  problems: [ApiCursorInvalidError, ApiBetsUnavailableError],
  response: {
    // It is text when it is sent: read just now, or remembered.
    200: pageOf(ITEM, 'A page of them.'),
  },
  examples: [
    {
      name: 'open_bets',
      summary: 'Those that are not settled',
      parameters: { status: 'open', limit: 20 },
      status: 200,
      answer: {
        items: [{ ...PLACED, status: 'open', payout_minor: null, placed_at: PLACED_AT, settled_at: null }],
        next_cursor: null,
      },
    },
  ],
}
