// Answers that are read: pages of lists, and what stands alone. The database is asked at every request; where it has no
// room or no answer, what was read last stands in, and where there is nothing the request is refused.

import { withRetryAfter } from '@holdfast/footing'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteGenericInterface } from 'fastify'
import { pageBody, type RememberedPage, RememberedPages } from './remembered-pages.ts'

/** A list of which pages are read. */
export interface PagedList<Selection> {
  /** That of the cache, in metrics. */
  readonly name: string
  /** What tells a page from all others, of all users. */
  readonly keyOf: (selection: Selection) => string
  /** The page, as it is answered. Rejects for what is not there, so that nobody fills the memory with it. */
  readonly read: (selection: Selection) => Promise<object>
}

/** What the database may take for one request in all. */
const BUDGET_MS = 1000

export class ListPages<Selection> {
  readonly #list: PagedList<Selection>
  readonly #remembered: RememberedPages

  constructor(list: PagedList<Selection>, caches: FastifyInstance['staleCache']) {
    this.#list = list
    this.#remembered = new RememberedPages(list.name, caches)
  }

  /** The page, as JSON. Rejects as the list does. */
  async read(selection: Selection): Promise<string> {
    const body = JSON.stringify(await this.#list.read(selection))
    this.#remembered.keep(this.#list.keyOf(selection), body)
    return body
  }

  /** The page as it was read last; undefined when that was never, or too long ago. */
  remembered(selection: Selection): RememberedPage | undefined {
    return this.#remembered.find(this.#list.keyOf(selection))
  }
}

/** What the routes of a list need of it. */
export type ReadPages<Selection> = Pick<ListPages<Selection>, 'read' | 'remembered'>

/** `config.poolGuard` of a route that reads; where nothing was read lately it throws an `Unavailable`. */
export function readingFrom<Selection, Route extends RouteGenericInterface>(
  pages: Pick<ReadPages<Selection>, 'remembered'>,
  selectionOf: (request: FastifyRequest<Route>) => Selection,
  Unavailable: new () => Error,
) {
  return {
    criticality: 'normal',
    budgetMs: BUDGET_MS,
    // Runs instead of the handler, or after it failed, when the database cannot be asked.
    fallback: (
      request: unknown,
      reply: FastifyReply,
      { retryAfterMs }: { readonly retryAfterMs: number },
    ) => {
      const found = pages.remembered(selectionOf(request as FastifyRequest<Route>))
      if (found === undefined) throw withRetryAfter(new Unavailable(), retryAfterMs)
      return pageBody(reply, found)
    },
  } as const
}

/**
 * Configuration and handler of a route that reads what users may see: for each of them, so many a minute (`RATE_LIMITS_READ`),
 * from the database, or from memory where that cannot be asked.
 */
export function userReads<Selection, Route extends RouteGenericInterface>(
  pages: ReadPages<Selection>,
  selectionOf: (request: FastifyRequest<Route>) => Selection,
  Unavailable: new () => Error,
) {
  return {
    config: {
      access: 'user',
      tenantRateLimit: { policy: 'read', by: 'user' },
      poolGuard: readingFrom(pages, selectionOf, Unavailable),
    },
    handler: async (request: FastifyRequest<Route>, reply: FastifyReply) =>
      pageBody(reply, await pages.read(selectionOf(request))),
  } as const
}
