import type { FastifyInstance } from 'fastify'
import { ListPages } from '../../list-pages.ts'
import { historyPage } from './theme-history.ts'
import type { ThemeHistoryRepository } from './theme-history-repository.ts'

/** Which versions of the theme of a tenant: at most `limit` below `before`. */
export interface HistorySelection {
  readonly tenant: string
  readonly before: bigint
  readonly limit: number
}

/** Pages of the history. */
export function historyPages(
  repository: Pick<ThemeHistoryRepository, 'versions'>,
  caches: FastifyInstance['staleCache'],
): ListPages<HistorySelection> {
  return new ListPages(
    {
      name: 'theme-history',
      keyOf: ({ tenant, limit, before }) => `${tenant} ${limit} ${before}`,
      // One more than asked for tells whether there is another page.
      read: async ({ tenant, before, limit }) =>
        historyPage(await repository.versions(tenant, before, limit + 1), limit),
    },
    caches,
  )
}
