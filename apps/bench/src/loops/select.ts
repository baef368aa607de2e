/** One primary-key select per operation, ten callers at a time, each waiting for its own. */
import { type Dialect, Kysely } from 'kysely'
import type { CreateLoop } from '../harness/row.ts'

const CALLERS = 10
const ROWS = 1_000

export interface Tables {
  readonly item: { readonly id: number; readonly name: string }
}

/** The loop over a dialect for one of the two addresses: `[direct, pooler, 'direct' | 'pooler']`. */
export function selectLoop(dialectFor: (url: string) => Dialect): CreateLoop {
  return async ([direct = '', pooler = '', way]) => {
    const db = new Kysely<Tables>({ dialect: dialectFor(way === 'pooler' ? pooler : direct) })
    return {
      resultsPerOperation: 1,
      async run(operations) {
        let next = 0
        let results = 0
        const caller = async () => {
          for (let operation = next++; operation < operations; operation = next++) {
            const id = operation % ROWS
            const row = await db.selectFrom('item').selectAll().where('id', '=', id).executeTakeFirst()
            if (row?.name === `item ${id}`) results += 1
          }
        }
        await Promise.all(Array.from({ length: CALLERS }, caller))
        return { results }
      },
    }
  }
}
