// GET /api/sports, GET /api/events and GET /api/events/:id/odds: what can be bet on, and what it pays.

import type { FastifyPluginCallback, FastifyReply, FastifyRequest, RouteGenericInterface } from 'fastify'
import { bigintOf } from '../../db/bigint.ts'
import { ApiEventUnknownError, ApiSportsUnavailableError } from '../../errors.ts'
import { type ReadPages, readingFrom } from '../../list-pages.ts'
import { pageBody } from '../../remembered-pages.ts'
import { EVENTS_SCHEMA, ODDS_SCHEMA, SPORTS_SCHEMA } from './sport-operations.ts'
import type { SportSelection } from './sport-pages.ts'
import { eventAfterCursor, oddsAfterCursor, sportAfterCursor } from './sports.ts'

/** What the routes need. */
export interface SportOptions {
  readonly pages: ReadPages<SportSelection>
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

/** The routes. */
export const sports: FastifyPluginCallback<SportOptions> = (app, { pages }, done) => {
  /** The page of a request from the database, or from memory where that cannot be asked. */
  const read = <Route extends RouteGenericInterface>(
    selectionOf: (request: FastifyRequest<Route>) => SportSelection,
  ) => ({
    config: {
      access: 'user' as const,
      tenantRateLimit: { policy: 'read', by: 'user' as const },
      poolGuard: readingFrom(pages, selectionOf, ApiSportsUnavailableError),
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
      schema: SPORTS_SCHEMA,
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
      schema: EVENTS_SCHEMA,
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
      schema: ODDS_SCHEMA,
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
