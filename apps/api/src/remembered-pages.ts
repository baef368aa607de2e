// Answers to reads that were given before, for when the database has no room or no answer.

import type { StaleCache } from '@holdfast/stale-cache'
import type { FastifyInstance, FastifyReply } from 'fastify'

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
export class RememberedPages {
  readonly #pages: StaleCache<string, undefined>

  /** The name is that of the cache, in metrics. */
  constructor(name: string, caches: FastifyInstance['staleCache']) {
    this.#pages = caches.create<string>(name, {
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

  /** Remembers what was just read. */
  keep(key: string, body: string): void {
    this.#pages.set(key, { value: body })
  }

  /** The page as it was read last; undefined when that was never, or too long ago. */
  find(key: string): RememberedPage | undefined {
    const { source, value, ageMs } = this.#pages.peek(key)
    return source === 'default' ? undefined : { body: value, ageSeconds: Math.round(ageMs / 1000) }
  }
}

/** The body of an answer in JSON that was just read, or is remembered: then it says how old it is. */
export function pageBody(reply: FastifyReply, page: string | RememberedPage): string {
  reply.type('application/json; charset=utf-8')
  if (typeof page === 'string') {
    reply.header('cache-control', 'private, no-cache')
    return page
  }
  // The pool guard adds `Warning: 110`.
  reply.header('cache-control', 'no-store').header('age', page.ageSeconds)
  reply.header('cache-status', 'holdfast; hit; detail=stale')
  return page.body
}
