import type { FastifyInstance } from 'fastify'
import { pageOf } from '../../cursor.ts'
import { ListPages } from '../../list-pages.ts'
import { balanceAnswer, entryItem } from './balance.ts'
import type { BalanceRepository } from './balance-repository.ts'

/** What of a user: his balance, or a page of its entries. */
export type BalanceSelection =
  | { readonly userId: string }
  | { readonly userId: string; readonly before: bigint; readonly limit: number }

/** What users have, and pages of what moved it. */
export function balancePages(
  repository: Pick<BalanceRepository, 'balance' | 'entries'>,
  caches: FastifyInstance['staleCache'],
): ListPages<BalanceSelection> {
  return new ListPages(
    {
      name: 'balance',
      keyOf: (selection) =>
        'before' in selection
          ? `${selection.userId} entries ${selection.limit} ${selection.before}`
          : selection.userId,
      read: async (selection) => {
        const { userId } = selection
        if (!('before' in selection)) return balanceAnswer(await repository.balance(userId))
        const { before, limit } = selection
        // One more than asked for tells whether there is another page.
        return pageOf(await repository.entries(userId, before, limit + 1), limit, entryItem)
      },
    },
    caches,
  )
}
