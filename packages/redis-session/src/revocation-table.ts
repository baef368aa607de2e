/*
 * The log as rows of a table of PostgreSQL, for processes that share a database: `tableLogSql` makes it. Whoever gives
 * the query says how long one may take.
 */
import { checks } from './options.ts'
import type { LogEntry, RevocationLog } from './revocation-log.ts'

/** As `query` of `pg`. */
export type TableQuery = (
  text: string,
  values: readonly unknown[],
) => Promise<{ readonly rows: readonly object[] }>

/** Makes the table; for a migration. */
export const tableLogSql = `create table if not exists session_revocations (
  name text primary key check (length(name) <= 160),
  entry text not null check (length(entry) <= 1024),
  noted_at timestamptz not null default clock_timestamp()
)`

export class TableLog implements RevocationLog {
  readonly #query: TableQuery

  /** Raises `HOLDFAST_ERR_REDIS_SESSION_OPTION`. */
  constructor(query: TableQuery) {
    if (typeof query !== 'function') checks.refuse('query', 'a function', query)
    this.#query = query
  }

  async append({ name, text }: LogEntry): Promise<void> {
    await this.#query(
      'insert into session_revocations (name, entry) values ($1, $2) on conflict (name) do update set entry = $2',
      [name, text],
    )
  }

  async read(maximum: number): Promise<readonly LogEntry[]> {
    const { rows } = await this.#query(
      'select name, entry as text from session_revocations order by noted_at limit $1',
      [maximum],
    )
    return rows as readonly LogEntry[]
  }

  async remove(names: readonly string[]): Promise<void> {
    if (names.length === 0) return
    await this.#query('delete from session_revocations where name = any($1)', [names])
  }
}
