// Pages of lists whose cursor is the id of the last row of the page before.

import { bigintOf, MAX_BIGINT } from './db/bigint.ts'
import { ApiCursorInvalidError } from './errors.ts'

/** What a list answers. */
export interface Page<Item> {
  readonly items: readonly Item[]
  /** For the next page; null on the last one. */
  readonly next_cursor: string | null
}

const LIMIT = { type: 'integer', minimum: 1, maximum: 100, default: 20 } as const
/** The digits of an id. */
const MAX_CURSOR = 19

/** What a list takes, as JSON schema: a page, and which of its rows. */
export function pageQuery<Filter extends object = object>(
  filter?: Filter,
  { maxCursor = MAX_CURSOR }: { readonly maxCursor?: number } = {},
) {
  return {
    type: 'object',
    additionalProperties: false,
    properties: {
      ...filter,
      limit: LIMIT,
      cursor: {
        type: 'string',
        maxLength: maxCursor,
        description: 'The `next_cursor` of the page before; left out for the first one.',
      },
    },
  } as const
}

/** The id below which the page of this cursor begins, in a list with the newest first. */
export function idBefore(cursor: string | undefined): bigint {
  return cursor === undefined ? MAX_BIGINT : idOf(cursor)
}

/** The id after which the page of this cursor begins, in a list with the oldest first. */
export function idAfter(cursor: string | undefined): bigint {
  return cursor === undefined ? 0n : idOf(cursor)
}

/** A page out of one row more than it may hold, which tells whether there is another page. */
export function pageOf<Row extends { readonly id: string }, Item>(
  rows: readonly Row[],
  limit: number,
  itemOf: (row: Row) => Item,
): Page<Item> {
  return pageBy(rows, limit, itemOf, ({ id }) => id)
}

/** The same of a list whose cursor says another place of its last row. */
export function pageBy<Row, Item>(
  rows: readonly Row[],
  limit: number,
  itemOf: (row: Row) => Item,
  cursorOf: (row: Row) => string,
): Page<Item> {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return {
    items: shown.map(itemOf),
    next_cursor: rows.length > limit && last !== undefined ? cursorOf(last) : null,
  }
}

function idOf(cursor: string): bigint {
  const id = bigintOf(cursor)
  if (id === undefined) throw new ApiCursorInvalidError()
  return id
}
