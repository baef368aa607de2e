// Pages of the history. The database is asked at every request; where it has no room or no answer, the page that was
// read last stands in, and where there is none the request is refused.

import type { StaleCache } from '@holdfast/stale-cache'
import type { FastifyInstance } from 'fastify'
import { historyPage } from './theme-history.ts'
import type { ThemeHistoryRepository } from './theme-history-repository.ts'

const MAX_PAGES = 2000
const MAX_BYTES = 16 * 1024 * 1024
const STALE_MS = 3_600_000

/** A page that was read some time ago. */
export interface RememberedPage {
  /** JSON. */
  readonly body: string
  readonly ageSeconds: number
}

/** At most 2,000 pages in 16 MiB are remembered, each for an hour; the one not asked for the longest leaves first. */
export class HistoryPages {
  readonly #repository: ThemeHistoryRepository
  readonly #remembered: StaleCache<string, undefined>

  constructor(repository: ThemeHistoryRepository, caches: FastifyInstance['staleCache']) {
    this.#repository = repository
    this.#remembered = caches.create<string>('theme-history', {
      // Only requests fill it, with what they have read.
      load: async () => [],
      loadOnPeek: false,
      fallback: () => '',
      represent: false,
      freshMs: 0,
      staleMs: STALE_MS,
      maxEntries: MAX_PAGES,
      maxBytes: MAX_BYTES,
    })
  }

  /** The page of at most `limit` versions below `before`, as JSON. Rejects as the repository does. */
  async read(tenant: string, limit: number, before: bigint): Promise<string> {
    // One more than asked for tells whether there is another page.
    const versions = await this.#repository.versions(tenant, before, limit + 1)
    const body = JSON.stringify(historyPage(versions, limit))
    // Only tenants that exist get here, so nobody fills the memory with others.
    this.#remembered.set(keyOf(tenant, limit, before), { value: body })
    return body
  }

  /** The page as it was read last; undefined when that was never, or too long ago. */
  remembered(tenant: string, limit: number, before: bigint): RememberedPage | undefined {
    const { source, value, ageMs } = this.#remembered.peek(keyOf(tenant, limit, before))
    return source === 'default' ? undefined : { body: value, ageSeconds: Math.round(ageMs / 1000) }
  }
}

function keyOf(tenant: string, limit: number, before: bigint): string {
  return `${tenant} ${limit} ${before}`
}
