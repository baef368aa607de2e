// What users have and what moved it, as text. The database is asked at every request; where it has no room or no answer,
// what was read last stands in, and where there is nothing the request is refused.

import type { FastifyInstance } from 'fastify'
import { pageOf } from '../../cursor.ts'
import { type RememberedPage, RememberedPages } from '../../remembered-pages.ts'
import { balanceAnswer, entryItem } from './balance.ts'
import type { BalanceRepository } from './balance-repository.ts'

/** What of a user: his balance, or a page of its entries. */
export type BalanceSelection =
  | { readonly userId: string }
  | { readonly userId: string; readonly before: bigint; readonly limit: number }

export class BalancePages {
  readonly #repository: Pick<BalanceRepository, 'balance' | 'entries'>
  readonly #remembered: RememberedPages

  constructor(
    repository: Pick<BalanceRepository, 'balance' | 'entries'>,
    caches: FastifyInstance['staleCache'],
  ) {
    this.#repository = repository
    this.#remembered = new RememberedPages('balance', caches)
  }

  /** The answer, as JSON. Rejects as the repository does. */
  async read(selection: BalanceSelection): Promise<string> {
    const body = JSON.stringify(await this.#answer(selection))
    // Only users that exist get here, so nobody fills the memory with others.
    this.#remembered.keep(keyOf(selection), body)
    return body
  }

  /** The answer as it was read last; undefined when that was never, or too long ago. */
  remembered(selection: BalanceSelection): RememberedPage | undefined {
    return this.#remembered.find(keyOf(selection))
  }

  async #answer(selection: BalanceSelection) {
    const { userId } = selection
    if (!('before' in selection)) return balanceAnswer(await this.#repository.balance(userId))
    const { before, limit } = selection
    // One more than asked for tells whether there is another page.
    return pageOf(await this.#repository.entries(userId, before, limit + 1), limit, entryItem)
  }
}

function keyOf(selection: BalanceSelection): string {
  return 'before' in selection
    ? `${selection.userId} entries ${selection.limit} ${selection.before}`
    : selection.userId
}
