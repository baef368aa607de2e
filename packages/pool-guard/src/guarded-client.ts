import type { QueryResult } from 'pg'

/** One connection, held by one piece of work. A placeholder for the seam until the connections arrive. */
export interface GuardedClient {
  readonly processId: number
  query(
    sql: string,
    parameters?: readonly unknown[],
    options?: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number | undefined },
  ): Promise<QueryResult>
  release(): void
}
