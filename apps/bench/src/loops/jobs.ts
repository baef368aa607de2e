/**
 * The same jobs for everybody: `put` in one after the other, then done by four at a time in one process. Nobody's work is
 * believed: what was begun is counted here, what is done in the database, and what a job wrote in the table `done`.
 */
import { Pool } from 'pg'

/** Jobs at a time. */
export const AT_A_TIME = 4
/** Between two questions when there is nothing to do; the same for all. */
export const POLL_MS = 1000

/** What a job does, given its number. */
export type Work = (job: number) => Promise<void>

/** A queue of jobs. */
export interface Queue {
  put(job: number): Promise<void>
  /** Does jobs until the answer is called, which resolves when nothing runs any more. */
  work(work: Work): Promise<() => Promise<void>>
  /** How many of them are done for good. */
  readonly completed: string
  close(): Promise<void>
}

/** Opens the queue of a contender in a database. */
export type OpenQueue = (url: string) => Promise<Queue>

/** What the loops are given first: the database of each contender, as JSON. */
export function urlOf(urls: string, contender: string): string {
  const found = (JSON.parse(urls) as Readonly<Record<string, string>>)[contender]
  if (found === undefined) throw new RangeError(`no such contender: ${contender}`)
  return found
}

/** What has been asked of a database, by its own account, and of it what a contender counts as done. */
export class Account {
  readonly #pool: Pool
  readonly #completed: string

  constructor(url: string, completed: string) {
    this.#pool = new Pool({ connectionString: url, max: 1 })
    this.#completed = completed
  }

  async read(): Promise<{ readonly statements: number; readonly completed: number }> {
    const { rows } = await this.#pool.query(
      `select (${this.#completed}) as completed,
         (select coalesce(sum(calls), 0) from pg_stat_statements
          where dbid = (select oid from pg_database where datname = current_database())
            and query not like '%pg_stat_statements%'
            -- What PostgreSQL asks itself about references that are looked at last.
            and query not like '% FOR KEY SHARE OF x') as statements`,
    )
    return { statements: Number(rows[0].statements), completed: Number(rows[0].completed) }
  }
}
