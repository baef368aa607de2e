// How sports, events and odds are described: what the routes take, what they answer, and examples.

import type { FastifySchema } from 'fastify'
import { pageQuery } from '../../cursor.ts'
import { ApiCursorInvalidError, ApiEventUnknownError, ApiSportsUnavailableError } from '../../errors.ts'
import { ID, MOMENT, objectOf, pageOf, TEXT } from '../../openapi/members.ts'
import { problemExample } from '../../openapi/problem-example.ts'

const SPORT = { type: 'string', pattern: '^[a-z][a-z0-9_]{0,39}$' } as const
const NAME = { type: 'string', pattern: '^[a-z0-9][a-z0-9_]{0,39}$' } as const
const STALE =
  'While the database cannot be asked, what was read last stands in, with `Age` and `Warning: 110`.'

const SPORT_ITEM = objectOf({
  sport: SPORT,
  first_starts_at: {
    ...MOMENT,
    description: 'Of its event that starts first, or has gone on for the longest time.',
  },
})

const EVENT = objectOf({
  id: ID,
  sport: SPORT,
  name: TEXT,
  starts_at: MOMENT,
  status: { type: 'string', enum: ['scheduled', 'live', 'finished', 'void'] },
})

const ODDS_PAGE = pageOf(
  objectOf({
    market: NAME,
    selection: NAME,
    odds_milli: {
      type: 'integer',
      minimum: 1001,
      maximum: 1_000_000,
      description: 'Thousandths: 1850 pays 1.85 times the stake.',
    },
    changed_at: MOMENT,
  }),
  'The event, and a page of its odds.',
)

const STARTS_AT = '2026-11-23T18:00:00.000Z'
const CHANGED_AT = '2026-11-22T12:00:00.000Z'
const A_GAME = { id: '1', sport: 'chess', name: 'Rooks - Knights', starts_at: STARTS_AT, status: 'scheduled' }
/** The names of what they are in the order of. */
const MAX_SPORT_CURSOR = 40
const MAX_EVENT_CURSOR = 36
const MAX_ODDS_CURSOR = 81

/** Of `GET /api/sports`. */
export const SPORTS_SCHEMA: FastifySchema = {
  operationId: 'listSports',
  summary: 'The sports that can be bet on, by name',
  description: STALE,
  querystring: pageQuery({}, { maxCursor: MAX_SPORT_CURSOR }),
  problems: [ApiCursorInvalidError, ApiSportsUnavailableError],
  response: {
    // It is text when it is sent: read just now, or remembered.
    200: pageOf(SPORT_ITEM, 'A page of them.'),
  },
  examples: [
    {
      name: 'one_sport',
      summary: 'There is one',
      parameters: { limit: 20 },
      status: 200,
      answer: { items: [{ sport: 'chess', first_starts_at: STARTS_AT }], next_cursor: null },
    },
  ],
}

/** Of `GET /api/events`. */
export const EVENTS_SCHEMA: FastifySchema = {
  operationId: 'listEvents',
  summary: 'The events that are not over, those that start first',
  description: STALE,
  querystring: pageQuery(
    { sport: { ...SPORT, description: 'Of this sport alone.' } },
    { maxCursor: MAX_EVENT_CURSOR },
  ),
  problems: [ApiCursorInvalidError, ApiSportsUnavailableError],
  response: { 200: pageOf(EVENT, 'A page of them.') },
  examples: [
    {
      name: 'of_a_sport',
      summary: 'Those of a sport',
      parameters: { sport: 'chess', limit: 20 },
      status: 200,
      answer: { items: [A_GAME], next_cursor: null },
    },
  ],
}

/** Of `GET /api/events/:id/odds`. */
export const ODDS_SCHEMA: FastifySchema = {
  operationId: 'listOdds',
  summary: 'An event, and what can be bet on it, by name',
  description: STALE,
  params: {
    type: 'object',
    additionalProperties: false,
    required: ['id'],
    properties: { id: { type: 'string', description: 'What can be no id is one that there is not.' } },
  },
  querystring: pageQuery({}, { maxCursor: MAX_ODDS_CURSOR }),
  problems: [ApiEventUnknownError, ApiCursorInvalidError, ApiSportsUnavailableError],
  response: {
    200: {
      ...ODDS_PAGE,
      required: ['event', ...ODDS_PAGE.required],
      properties: { event: EVENT, ...ODDS_PAGE.properties },
    },
  },
  examples: [
    {
      name: 'who_wins',
      summary: 'An event with two selections',
      parameters: { id: '1', limit: 20 },
      status: 200,
      answer: {
        event: A_GAME,
        items: [
          { market: 'winner', selection: 'away', odds_milli: 2150, changed_at: CHANGED_AT },
          { market: 'winner', selection: 'home', odds_milli: 1850, changed_at: CHANGED_AT },
        ],
        next_cursor: null,
      },
    },
    {
      name: 'no_such_event',
      summary: 'An event that there is not',
      parameters: { id: '999999' },
      status: 404,
      answer: problemExample(404, 'HOLDFAST_ERR_API_EVENT_UNKNOWN', 'there is no such event'),
    },
  ],
}
