import type { QueryResult, QueryResultRow } from 'pg'
import type { BeginOptions } from './guardrails.ts'

/** Settings of one statement. */
export interface QueryOptions {
  /** Cancels the statement on the server, too. */
  readonly signal?: AbortSignal | undefined
  /** Its limit in ms. Default: that of the pool. It is never longer than what is left of the deadline. */
  readonly timeoutMs?: number | undefined
  /** Makes it a named statement, where the pool allows these. */
  readonly name?: string | undefined
}

/**
 * A connection on loan. All errors are coded, or those of the server with their SQLSTATE as `code`.
 *
 * Statements run one after the other, whoever gives them. A statement that takes longer than it may, or whose caller
 * leaves, is cancelled on the server; see `QUERY_TIMEOUT`, `DEADLINE_EXCEEDED` and `ABORTED`.
 */
export interface GuardedClient {
  /** As the server or the pooler calls it; PgBouncer's are made up. */
  readonly processId: number
  /** `I` outside of a transaction, `T` in one, `E` in one that failed. */
  readonly transactionStatus: 'I' | 'T' | 'E'
  /** Of several statements in one text, the result is that of the last. */
  query<R extends QueryResultRow = QueryResultRow>(
    sql: string,
    parameters?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<QueryResult<R>>
  /** Begins a transaction with the guardrails in the same message. */
  begin(options?: BeginOptions): Promise<void>
  /** Rejects with `TX_ROLLED_BACK` or `TX_OUTCOME_UNKNOWN`. It is not cancelled when the caller leaves. */
  commit(): Promise<void>
  /** Never takes long: a connection that does not answer it is destroyed. */
  rollback(): Promise<void>
  /** Cancels what runs, and rejects what waits, with `reason`. */
  cancel(reason: Error): void
  /** Gives the connection back. A second call does nothing. Whatever is left of the work on it is ended first. */
  release(): void
  /** Closes the connection instead of giving it back. */
  destroy(): void
}
