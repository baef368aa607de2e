import type { FastifyInstance } from 'fastify'
import { pageOf } from '../../cursor.ts'
import { ListPages } from '../../list-pages.ts'
import { betItem } from './bet.ts'
import type { BetRepository, BetSelection } from './bet-repository.ts'

/** Pages of bets. */
export function betPages(
  repository: Pick<BetRepository, 'bets'>,
  caches: FastifyInstance['staleCache'],
): ListPages<BetSelection> {
  return new ListPages(
    {
      name: 'bets',
      keyOf: ({ userId, status, before, limit }) => `${userId} ${status ?? 'all'} ${limit} ${before}`,
      // One more than asked for tells whether there is another page.
      read: async ({ limit, ...selection }) =>
        pageOf(await repository.bets({ ...selection, limit: limit + 1 }), limit, betItem),
    },
    caches,
  )
}
