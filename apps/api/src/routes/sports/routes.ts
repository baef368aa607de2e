// GET /api/sports, GET /api/events and GET /api/events/:id/odds: what can be bet on, and what it pays.

import { withRetryAfter } from '@holdfast/footing'
import type { FastifyPluginCallback, FastifyReply, FastifyRequest, RouteGenericInterface } from 'fastify'
import { PAGE_QUERY, pageSchema } from '../../cursor.ts'
import { bigintOf } from '../../db/bigint.ts'
import { ApiEventUnknownError, ApiSportsUnavailableError } from '../../errors.ts'
import { pageBody } from '../../remembered-pages.ts'
import type { SportPages, SportSelection } from './sport-pages.ts'
import { eventAfterCursor, oddsAfterCursor, sportAfterCursor } from './sports.ts'

/** What the database may take for one request in all. */
const BUDGET_MS = 1000

/** What the routes need. */
export interface SportOptions {
  readonly pages: SportPages
}

interface SportsRoute {
  Querystring: { limit: number; cursor?: string }
}

interface EventsRoute {
  Querystring: { sport?: string; limit: number; cursor?: string }
}

interface OddsRoute {
  Params: { id: string }
  Querystring: { limit: number; cursor?: string }
}

const TIME = { type: 'string', format: 'date-time' } as const

const SPORT_ITEM = {
  type: 'object',
  additionalProperties: false,
  required: ['sport', 'first_starts_at'],
  properties: { sport: { type: 'string' }, first_starts_at: TIME },
} as const

const EVENT_ITEM = {
  type: 'object',
  additionalProperties: false,
  required: ['id', 'sport', 'name', 'starts_at', 'status'],
  properties: {
    id: { type: 'string' },
    sport: { type: 'string' },
    name: { type: 'string' },
    starts_at: TIME,
    status: { type: 'string', enum: ['scheduled', 'live', 'finished', 'void'] },
  },
} as const

const ODDS_ITEM = {
  type: 'object',
  additionalProperties: false,
  required: ['market', 'selection', 'odds_milli', 'changed_at'],
  properties: {
    market: { type: 'string' },
    selection: { type: 'string' },
    odds_milli: { type: 'integer', minimum: 1001, maximum: 1_000_000 },
    changed_at: TIME,
  },
} as const

const ODDS_PAGE = pageSchema(ODDS_ITEM)

/** The routes. */
export const sports: FastifyPluginCallback<SportOptions> = (app, { pages }, done) => {
  /** The page of a request from the database, or from memory where that cannot be asked. */
  const read = <Route extends RouteGenericInterface>(
    selectionOf: (request: FastifyRequest<Route>) => SportSelection,
  ) => ({
    config: {
      access: 'user' as const,
      tenantRateLimit: { policy: 'read', by: 'user' as const },
      poolGuard: {
        criticality: 'normal' as const,
        budgetMs: BUDGET_MS,
        // Runs instead of the handler, or after it failed, when the database cannot be asked.
        fallback: (
          request: FastifyRequest,
          reply: FastifyReply,
          { retryAfterMs }: { readonly retryAfterMs: number },
        ) => {
          const found = pages.remembered(selectionOf(request as FastifyRequest<Route>))
          if (found === undefined) throw withRetryAfter(new ApiSportsUnavailableError(), retryAfterMs)
          return pageBody(reply, found)
        },
      },
    },
    handler: async (request: FastifyRequest<Route>, reply: FastifyReply) =>
      pageBody(reply, await pages.read(selectionOf(request))),
  })

  const ofSports = read<SportsRoute>(({ query: { limit, cursor } }) => ({
    list: 'sports',
    after: sportAfterCursor(cursor),
    limit,
  }))
  app.get<SportsRoute>(
    '/api/sports',
    {
      config: ofSports.config,
      schema: {
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: { limit: PAGE_QUERY.limit, cursor: { type: 'string', maxLength: 40 } },
        },
        response: { 200: pageSchema(SPORT_ITEM) },
      },
    },
    ofSports.handler,
  )

  const ofEvents = read<EventsRoute>(({ query: { sport, limit, cursor } }) => ({
    list: 'events',
    sport,
    after: eventAfterCursor(cursor),
    limit,
  }))
  app.get<EventsRoute>(
    '/api/events',
    {
      config: ofEvents.config,
      schema: {
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: {
            sport: { type: 'string', pattern: '^[a-z][a-z0-9_]{0,39}$' },
            limit: PAGE_QUERY.limit,
            cursor: { type: 'string', maxLength: 36 },
          },
        },
        response: { 200: pageSchema(EVENT_ITEM) },
      },
    },
    ofEvents.handler,
  )

  const ofOdds = read<OddsRoute>(({ params: { id }, query: { limit, cursor } }) => ({
    list: 'odds',
    eventId: eventIdOf(id),
    after: oddsAfterCursor(cursor),
    limit,
  }))
  app.get<OddsRoute>(
    '/api/events/:id/odds',
    {
      config: ofOdds.config,
      schema: {
        params: {
          type: 'object',
          additionalProperties: false,
          required: ['id'],
          properties: { id: { type: 'string' } },
        },
        querystring: {
          type: 'object',
          additionalProperties: false,
          properties: { limit: PAGE_QUERY.limit, cursor: { type: 'string', maxLength: 81 } },
        },
        response: {
          200: {
            ...ODDS_PAGE,
            required: ['event', ...ODDS_PAGE.required],
            properties: { event: EVENT_ITEM, ...ODDS_PAGE.properties },
          },
        },
      },
    },
    ofOdds.handler,
  )
  done()
}

/** What can be no id is one more that there is not. */
function eventIdOf(text: string): bigint {
  const id = bigintOf(text)
  if (id === undefined) throw new ApiEventUnknownError()
  return id
}
