// GET /api/sports, GET /api/events and GET /api/events/:id/odds: what can be bet on, and what it pays.

import type { FastifyPluginCallback, FastifyRequest, RouteGenericInterface } from 'fastify'
import { bigintOf } from '../../db/bigint.ts'
import { ApiEventUnknownError, ApiSportsUnavailableError } from '../../errors.ts'
import { type ReadPages, userReads } from '../../list-pages.ts'
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
  const reads = <Route extends RouteGenericInterface>(
    selectionOf: (request: FastifyRequest<Route>) => SportSelection,
  ) => userReads(pages, selectionOf, ApiSportsUnavailableError)

  app.get<SportsRoute>('/api/sports', { ...reads(sportsOf), schema: SPORTS_SCHEMA })
  app.get<EventsRoute>('/api/events', { ...reads(eventsOf), schema: EVENTS_SCHEMA })
  app.get<OddsRoute>('/api/events/:id/odds', { ...reads(oddsOf), schema: ODDS_SCHEMA })
  done()
}

function sportsOf({ query: { limit, cursor } }: FastifyRequest<SportsRoute>): SportSelection {
  return { list: 'sports', after: sportAfterCursor(cursor), limit }
}

function eventsOf({ query: { sport, limit, cursor } }: FastifyRequest<EventsRoute>): SportSelection {
  return { list: 'events', sport, after: eventAfterCursor(cursor), limit }
}

function oddsOf({ params: { id }, query: { limit, cursor } }: FastifyRequest<OddsRoute>): SportSelection {
  return { list: 'odds', eventId: eventIdOf(id), after: oddsAfterCursor(cursor), limit }
}

/** What can be no id is one more that there is not. */
function eventIdOf(text: string): bigint {
  const id = bigintOf(text)
  if (id === undefined) throw new ApiEventUnknownError()
  return id
}
