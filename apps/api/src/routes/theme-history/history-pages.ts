// Pages of the history. The database is asked at every request; where it has no room or no answer, the page that was
// read last stands in, and where there is none the request is refused.

import type { FastifyInstance } from 'fastify'
import { type RememberedPage, RememberedPages } from '../../remembered-pages.ts'
import { historyPage } from './theme-history.ts'
import type { ThemeHistoryRepository } from './theme-history-repository.ts'

export class HistoryPages {
  readonly #repository: ThemeHistoryRepository
  readonly #remembered: RememberedPages

  constructor(repository: ThemeHistoryRepository, caches: FastifyInstance['staleCache']) {
    this.#repository = repository
    this.#remembered = new RememberedPages('theme-history', caches)
  }

  /** The page of at most `limit` versions below `before`, as JSON. Rejects as the repository does. */
  async read(tenant: string, limit: number, before: bigint): Promise<string> {
    // One more than asked for tells whether there is another page.
    const versions = await this.#repository.versions(tenant, before, limit + 1)
    const body = JSON.stringify(historyPage(versions, limit))
    // Only tenants that exist get here, so nobody fills the memory with others.
    this.#remembered.keep(keyOf(tenant, limit, before), body)
    return body
  }

  /** The page as it was read last; undefined when that was never, or too long ago. */
  remembered(tenant: string, limit: number, before: bigint): RememberedPage | undefined {
    return this.#remembered.find(keyOf(tenant, limit, before))
  }
}

function keyOf(tenant: string, limit: number, before: bigint): string {
  return `${tenant} ${limit} ${before}`
}
