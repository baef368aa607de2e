// How creating and listing bots, and listing their events, are described: what the routes take, what they answer, and
// examples.

import type { FastifySchema } from 'fastify'
import { pageQuery } from '../../cursor.ts'
import {
  ApiBotListUnavailableError,
  ApiBotsFullError,
  ApiBotUnknownError,
  ApiCursorInvalidError,
  ApiIdempotencyKeyError,
  ApiIdempotencyKeyReusedError,
  ApiMemberKindError,
} from '../../errors.ts'
import { IDEMPOTENT_HEADERS, REPLAYED_HEADERS } from '../../idempotency-key.ts'
import { SYMBOL_NAMES } from '../../market/symbols.ts'
import {
  COUNT,
  CURRENCY,
  ID,
  MINOR,
  MOMENT,
  objectOf,
  pageOf,
  TEXT,
  TEXT_OR_NULL,
} from '../../openapi/members.ts'
import { problemExample } from '../../openapi/problem-example.ts'

const MAX_NAME = 100
/** Operators read it in messages and lines. Half a surrogate pair is no text: it would be stored as something else. */
const NAME = '^(?=.*\\S)[^\\u0000-\\u001f\\u007f-\\u009f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]*$'
const STATUS = { type: 'string', enum: ['stopped', 'running', 'failed'] } as const
const STALE =
  'While the database cannot be asked, what was read last stands in, with `Age` and `Warning: 110`.'

/** What both answers tell of a bot. */
const WHAT_IT_IS = { bot_id: ID, name: TEXT, symbol: TEXT, strategy: TEXT, currency: CURRENCY } as const

const DETAILS = objectOf({
  ...WHAT_IT_IS,
  status: STATUS,
  cash_minor: MINOR,
  position: { ...COUNT, description: 'Units that it holds.' },
  changed_at: MOMENT,
  created_at: MOMENT,
})

const EVENT = objectOf({
  event_id: ID,
  kind: {
    type: 'string',
    enum: ['started', 'stopped', 'recovered', 'taken_over', 'failed', 'holding', 'trading_again'],
  },
  from: STATUS,
  to: STATUS,
  reason: {
    ...TEXT_OR_NULL,
    description: 'Why it holds, trades again or has failed; null for everything else.',
  },
  at: MOMENT,
})

const AT = '2026-11-22T12:00:00.000Z'
const KEY = { 'idempotency-key': '6e2a7c1d-0b54-4a7e-8c3f-5d9e1f2a3b4c' }
const WISH = { name: 'Buys dips', symbol: 'HFX', strategy: 'price < sma(20) * 0.99 ? buy(1) : hold()' }
const BOT = { bot_id: '7', ...WISH, currency: 'EUR' }

/** Of `POST /api/bots`. */
export const CREATE_SCHEMA: FastifySchema = {
  operationId: 'createBot',
  summary: 'Creates a bot',
  description:
    'It is stopped, and has paper money of its own. Once for each `Idempotency-Key`: sent again, it is answered with the bot that it has made, and `Idempotent-Replayed: true`.',
  headers: IDEMPOTENT_HEADERS,
  body: {
    type: 'object',
    additionalProperties: false,
    required: ['name', 'symbol', 'strategy'],
    properties: {
      name: {
        type: 'string',
        description:
          'With a character that can be seen, and none that controls or turns round the text around it.',
        minLength: 1,
        maxLength: MAX_NAME,
        pattern: NAME,
      },
      symbol: { type: 'string', enum: SYMBOL_NAMES },
      strategy: { type: 'string', description: 'As `POST /api/strategies/validate` takes it.' },
    },
  },
  problems: [
    ApiIdempotencyKeyError,
    ApiMemberKindError,
    ApiBotsFullError,
    ApiIdempotencyKeyReusedError,
    {
      status: 422,
      code: 'HOLDFAST_ERR_API_STRATEGY_INVALID',
      detail: 'this is no strategy; `errors` says where it is wrong, and how',
    },
  ],
  response: {
    201: {
      ...objectOf(
        { ...WHAT_IT_IS, opening_cash_minor: MINOR, created_at: MOMENT },
        { description: 'It is there.' },
      ),
      headers: REPLAYED_HEADERS,
    },
  },
  examples: [
    {
      name: 'buys_dips',
      summary: 'A bot that buys what is cheap',
      parameters: KEY,
      body: WISH,
      status: 201,
      answer: { ...BOT, opening_cash_minor: 1_000_000, created_at: AT },
    },
    {
      name: 'no_key',
      summary: 'Without a key',
      body: WISH,
      status: 400,
      answer: problemExample(
        400,
        'HOLDFAST_ERR_API_IDEMPOTENCY_KEY',
        'send Idempotency-Key with 1 to 255 visible characters, a new one for each new request and the same one for a repeat: there is none',
      ),
    },
    {
      name: 'a_key_that_was_used',
      summary: 'The key of another bot',
      parameters: KEY,
      body: { ...WISH, name: 'Another one' },
      status: 422,
      answer: problemExample(
        422,
        'HOLDFAST_ERR_API_IDEMPOTENCY_KEY_REUSED',
        'this Idempotency-Key was used before, for a request with another content; choose a new one',
      ),
    },
    {
      name: 'no_strategy',
      summary: 'What is no strategy',
      parameters: KEY,
      body: { ...WISH, strategy: 'price < 100 ? buy(1)' },
      status: 422,
      answer: {
        ...problemExample(
          422,
          'HOLDFAST_ERR_API_STRATEGY_INVALID',
          'this is no strategy: the expression is not complete',
        ),
        errors: [
          {
            in: 'body',
            pointer: '#/strategy',
            detail: 'the expression is not complete',
            line: 1,
            column: 21,
          },
        ],
      },
    },
  ],
}

/** Of `GET /api/bots`. */
export const LIST_SCHEMA: FastifySchema = {
  operationId: 'listBots',
  summary: 'The bots of whoever asks and where they stand, the oldest first',
  description: STALE,
  querystring: pageQuery(),
  problems: [ApiCursorInvalidError, ApiBotListUnavailableError],
  response: {
    // It is text when it is sent: read just now, or remembered.
    200: pageOf(DETAILS, 'A page of them.'),
  },
  examples: [
    {
      name: 'one_bot',
      summary: 'Somebody who has one',
      parameters: { limit: 20 },
      status: 200,
      answer: {
        items: [
          { ...BOT, status: 'stopped', cash_minor: 1_000_000, position: 0, changed_at: AT, created_at: AT },
        ],
        next_cursor: null,
      },
    },
  ],
}

/** Of `GET /api/bots/:id/events`. */
export const EVENTS_SCHEMA: FastifySchema = {
  operationId: 'listBotEvents',
  summary: 'What happened to a bot, the newest first',
  description: STALE,
  params: { ...objectOf({ id: ID }), additionalProperties: false },
  querystring: pageQuery(),
  problems: [ApiBotUnknownError, ApiCursorInvalidError, ApiBotListUnavailableError],
  response: { 200: pageOf(EVENT, 'A page of them.') },
  examples: [
    {
      name: 'the_last_one',
      summary: 'A bot that was stopped last',
      parameters: { id: '1', limit: 1 },
      status: 200,
      answer: {
        items: [{ event_id: '2', kind: 'stopped', from: 'running', to: 'stopped', reason: null, at: AT }],
        next_cursor: '2',
      },
    },
    {
      name: 'no_such_bot',
      summary: 'A bot of somebody else, or of nobody',
      parameters: { id: '999999' },
      status: 404,
      answer: problemExample(404, 'HOLDFAST_ERR_API_BOT_UNKNOWN', 'there is no such bot'),
    },
  ],
}
