// How the balance and its entries are described: what the routes take, and what they answer.

import type { FastifySchema } from 'fastify'
import { PAGE_QUERY, pageSchema } from '../../cursor.ts'
import { ENTRY_KINDS } from './balance.ts'

const ENTRY = {
  type: 'object',
  required: ['entry_id', 'kind', 'amount_minor', 'balance_after_minor', 'currency', 'bet_id', 'at'],
  additionalProperties: false,
  properties: {
    entry_id: { type: 'string' },
    kind: { type: 'string', enum: ENTRY_KINDS },
    amount_minor: { type: 'integer' },
    balance_after_minor: { type: 'integer' },
    currency: { type: 'string' },
    bet_id: { type: ['string', 'null'] },
    at: { type: 'string', format: 'date-time' },
  },
} as const

/** Of `GET /api/balance`. */
export const BALANCE_SCHEMA: FastifySchema = {
  querystring: { type: 'object', additionalProperties: false, properties: {} },
  response: {
    200: {
      type: 'object',
      required: ['balance_minor', 'currency', 'changed_at'],
      additionalProperties: false,
      properties: {
        balance_minor: { type: 'integer' },
        currency: { type: 'string' },
        changed_at: { type: 'string', format: 'date-time' },
      },
    },
  },
}

/** Of `GET /api/balance/entries`. */
export const ENTRIES_SCHEMA: FastifySchema = {
  querystring: { type: 'object', additionalProperties: false, properties: PAGE_QUERY },
  response: { 200: pageSchema(ENTRY) },
}
