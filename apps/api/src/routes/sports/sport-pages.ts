// Pages of sports, events and odds: what can be bet on is the same for everybody, so what one has read stands in for all.

import type { FastifyInstance } from 'fastify'
import { ListPages } from '../../list-pages.ts'
import type { SportRepository } from './sport-repository.ts'
import { type EventPlace, eventList, eventOdds, type OddsPlace, sportList } from './sports.ts'

/** Which page is asked for. */
export type SportSelection =
  | { readonly list: 'sports'; readonly after: string; readonly limit: number }
  | {
      readonly list: 'events'
      readonly sport: string | undefined
      readonly after: EventPlace | undefined
      readonly limit: number
    }
  | { readonly list: 'odds'; readonly eventId: bigint; readonly after: OddsPlace; readonly limit: number }

/** The pages. */
export function sportPages(
  repository: Pick<SportRepository, 'sports' | 'events' | 'odds'>,
  caches: FastifyInstance['staleCache'],
): ListPages<SportSelection> {
  const read = async (selection: SportSelection) => {
    const { limit } = selection
    // One more than asked for tells whether there is another page.
    if (selection.list === 'sports') {
      return sportList(await repository.sports(selection.after, limit + 1), limit)
    }
    if (selection.list === 'events') {
      const { sport, after } = selection
      return eventList(await repository.events(sport, after, limit + 1), limit)
    }
    const { event, odds } = await repository.odds(selection.eventId, selection.after, limit + 1)
    return eventOdds(event, odds, limit)
  }
  return new ListPages({ name: 'sports', keyOf, read }, caches)
}

function keyOf(selection: SportSelection): string {
  if (selection.list === 'sports') return `sports ${selection.limit} ${selection.after}`
  if (selection.list === 'events') {
    const { sport = '', after, limit } = selection
    return `events ${limit} ${sport} ${after?.startMicros ?? ''} ${after?.id ?? ''}`
  }
  const { eventId, after, limit } = selection
  return `odds ${eventId} ${limit} ${after.market} ${after.selection}`
}
