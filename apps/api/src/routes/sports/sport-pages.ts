// Pages of sports, events and odds. The database is asked at every request; where it has no room or no answer, what was
// read last stands in, for whoever asks: what can be bet on is the same for everybody.

import type { FastifyInstance } from 'fastify'
import { type RememberedPage, RememberedPages } from '../../remembered-pages.ts'
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

export class SportPages {
  readonly #repository: Pick<SportRepository, 'sports' | 'events' | 'odds'>
  readonly #remembered: RememberedPages

  constructor(
    repository: Pick<SportRepository, 'sports' | 'events' | 'odds'>,
    caches: FastifyInstance['staleCache'],
  ) {
    this.#repository = repository
    this.#remembered = new RememberedPages('sports', caches)
  }

  /** The page, as JSON. Rejects as the repository does. */
  async read(selection: SportSelection): Promise<string> {
    const body = JSON.stringify(await this.#answer(selection))
    this.#remembered.keep(keyOf(selection), body)
    return body
  }

  /** The page as it was read last, whoever has read it; undefined when that was never, or too long ago. */
  remembered(selection: SportSelection): RememberedPage | undefined {
    return this.#remembered.find(keyOf(selection))
  }

  async #answer(selection: SportSelection) {
    const { limit } = selection
    // One more than asked for tells whether there is another page.
    if (selection.list === 'sports') {
      return sportList(await this.#repository.sports(selection.after, limit + 1), limit)
    }
    if (selection.list === 'events') {
      const { sport, after } = selection
      return eventList(await this.#repository.events(sport, after, limit + 1), limit)
    }
    const { event, odds } = await this.#repository.odds(selection.eventId, selection.after, limit + 1)
    return eventOdds(event, odds, limit)
  }
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
