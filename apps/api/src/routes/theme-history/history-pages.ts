// Pages of the history. The database is asked at every request; where it has no room or no answer, the page that was
// read last stands in, and where there is none the request is refused.

import type { StaleCache } from '@holdfast/stale-cache'
import type { FastifyInstance } from 'fastify'
import { unavailability } from '../../db/unavailable.ts'
import { historyPage } from './theme-history.ts'
import type { ThemeHistoryRepository } from './theme-history-repository.ts'

const MAX_PAGES = 2000
const MAX_BYTES = 16 * 1024 * 1024
const STALE_MS = 3_600_000

/** A page as it is sent. */
export interface SentPage {
  /** JSON. */
  readonly body: string
  /** Seconds since the database answered it; undefined when that was just now. */
  readonly staleSeconds: number | undefined
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

  /**
   * The page of at most `limit` versions below `before`. Rejects as the repository does; when the database is
   * unavailable, only if this page was not read in the last hour.
   */
  async read(tenant: string, limit: number, before: bigint): Promise<SentPage> {
    const key = `${tenant} ${limit} ${before}`
    try {
      // One more than asked for tells whether there is another page.
      const body = JSON.stringify(
        historyPage(await this.#repository.versions(tenant, before, limit + 1), limit),
      )
      // Only tenants that exist get here, so nobody fills the memory with others.
      this.#remembered.set(key, { value: body })
      return { body, staleSeconds: undefined }
    } catch (error) {
      if (unavailability(error) === undefined) throw error
      const { source, value, ageMs } = this.#remembered.peek(key)
      if (source === 'default') throw error
      return { body: value, staleSeconds: Math.round(ageMs / 1000) }
    }
  }
}
