// Pages of bets. The database is asked at every request; where it has no room or no answer, the page that was read last
// stands in, and where there is none the request is refused.

import type { FastifyInstance } from 'fastify'
import { pageOf } from '../../cursor.ts'
import { type RememberedPage, RememberedPages } from '../../remembered-pages.ts'
import { betItem } from './bet.ts'
import type { BetRepository, BetSelection } from './bet-repository.ts'

export class BetPages {
  readonly #repository: Pick<BetRepository, 'bets'>
  readonly #remembered: RememberedPages

  constructor(repository: Pick<BetRepository, 'bets'>, caches: FastifyInstance['staleCache']) {
    this.#repository = repository
    this.#remembered = new RememberedPages('bets', caches)
  }

  /** The page, as JSON. Rejects as the repository does. */
  async read(selection: BetSelection): Promise<string> {
    const { limit } = selection
    // One more than asked for tells whether there is another page.
    const bets = await this.#repository.bets({ ...selection, limit: limit + 1 })
    const body = JSON.stringify(pageOf(bets, limit, betItem))
    // Only users that exist get here, so nobody fills the memory with others.
    this.#remembered.keep(keyOf(selection), body)
    return body
  }

  /** The page as it was read last; undefined when that was never, or too long ago. */
  remembered(selection: BetSelection): RememberedPage | undefined {
    return this.#remembered.find(keyOf(selection))
  }
}

function keyOf({ userId, status, before, limit }: BetSelection): string {
  return `${userId} ${status ?? 'all'} ${limit} ${before}`
}
