// Pages of lists. The database is asked at every request; where it has no room or no answer, the page that was read last
// stands in.

import type { FastifyInstance } from 'fastify'
import { type RememberedPage, RememberedPages } from './remembered-pages.ts'

/** A list of which pages are read. */
export interface PagedList<Selection> {
  /** That of the cache, in metrics. */
  readonly name: string
  /** What tells a page from all others, of all users. */
  readonly keyOf: (selection: Selection) => string
  /** The page, as it is answered. */
  readonly read: (selection: Selection) => Promise<object>
}

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
    // Only users that exist get here, so nobody fills the memory with others.
    this.#remembered.keep(this.#list.keyOf(selection), body)
    return body
  }

  /** The page as it was read last; undefined when that was never, or too long ago. */
  remembered(selection: Selection): RememberedPage | undefined {
    return this.#remembered.find(this.#list.keyOf(selection))
  }
}
