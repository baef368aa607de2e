// How placing and listing bets are described: what they take, and what they answer.

import type { FastifySchema } from 'fastify'
import { PAGE_QUERY, pageSchema } from '../../cursor.ts'
import { IDEMPOTENCY_KEY } from '../../idempotency-key.ts'
import { BET_STATUSES } from './bet.ts'

const NAME = { type: 'string', pattern: '^[a-z0-9][a-z0-9_]{0,39}$' } as const

/** What both answers tell of a bet. */
const TERMS = {
  bet_id: { type: 'string' },
  event_id: { type: 'string' },
  market: { type: 'string' },
  selection: { type: 'string' },
  stake_minor: { type: 'integer' },
  odds_milli: { type: 'integer' },
  payout_if_won_minor: { type: 'integer' },
  currency: { type: 'string' },
} as const

const PLACED = {
  ...TERMS,
  balance_minor: { type: 'integer' },
  placed_at: { type: 'string', format: 'date-time' },
} as const

const ITEM = {
  ...TERMS,
  status: { type: 'string', enum: BET_STATUSES },
  payout_minor: { type: ['integer', 'null'] },
  placed_at: { type: 'string', format: 'date-time' },
  settled_at: { type: ['string', 'null'], format: 'date-time' },
} as const

/** Of `POST /api/bets`. */
export const PLACE_SCHEMA: FastifySchema = {
  headers: {
    type: 'object',
    required: ['idempotency-key'],
    properties: { 'idempotency-key': IDEMPOTENCY_KEY },
  },
  body: {
    type: 'object',
    additionalProperties: false,
    required: ['event_id', 'market', 'selection', 'stake_minor'],
    properties: {
      event_id: { type: 'string', pattern: '^[1-9][0-9]{0,18}$' },
      market: NAME,
      selection: NAME,
      stake_minor: { type: 'integer', minimum: 1, maximum: 1_000_000_000 },
      odds_milli: { type: 'integer', minimum: 1001, maximum: 1_000_000 },
    },
  },
  response: { 201: objectOf(PLACED) },
}

/** Of `GET /api/bets`. */
export const LIST_SCHEMA: FastifySchema = {
  querystring: {
    type: 'object',
    additionalProperties: false,
    properties: { status: { type: 'string', enum: BET_STATUSES }, ...PAGE_QUERY },
  },
  response: { 200: pageSchema(objectOf(ITEM)) },
}

/** An object with all of these members and no others. */
function objectOf<Members extends object>(properties: Members) {
  return {
    type: 'object',
    required: Object.keys(properties),
    additionalProperties: false,
    properties,
  } as const
}
