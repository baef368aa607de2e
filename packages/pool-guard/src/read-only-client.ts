import type { QueryResult, QueryResultRow } from 'pg'
import type { GuardedClient, QueryOptions } from './guarded-client.ts'
import type { BeginOptions } from './guardrails.ts'

/** The text begins a transaction that its caller wants to stay open. */
const begins = /^\s*(begin|start\s+transaction)\b/i

/**
 * A client on which the server refuses whatever changes something (SQLSTATE 25006): every transaction begins READ ONLY,
 * and a statement outside of one gets one of its own, which costs two round trips more. That holds behind PgBouncer,
 * too, where a setting of the session would not. It is no wall against a text that ends the transaction itself
 * (`commit; delete ...`): it is for code that writes where it should not.
 */
export class ReadOnlyClient implements GuardedClient {
  readonly #client: GuardedClient
  /** One after the other: a statement must not end the transaction of another. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(client: GuardedClient) {
    this.#client = client
  }

  get processId(): number {
    return this.#client.processId
  }

  get transactionStatus(): 'I' | 'T' | 'E' {
    return this.#client.transactionStatus
  }

  query<R extends QueryResultRow = QueryResultRow>(
    sql: string,
    parameters?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<QueryResult<R>> {
    const run = () => this.#client.query<R>(sql, parameters, options)
    return this.#inTurn(() => (this.transactionStatus === 'I' ? this.#runInItsOwn(run, sql) : run()))
  }

  begin(options?: BeginOptions): Promise<void> {
    return this.#inTurn(() => this.#client.begin({ ...options, readOnly: true }))
  }

  commit(): Promise<void> {
    return this.#inTurn(() => this.#client.commit())
  }

  rollback(): Promise<void> {
    return this.#client.rollback()
  }

  cancel(reason: Error): void {
    this.#client.cancel(reason)
  }

  release(): void {
    this.#client.release()
  }

  destroy(): void {
    this.#client.destroy()
  }

  async #runInItsOwn<T>(run: () => Promise<T>, sql: string): Promise<T> {
    await this.#client.begin({ readOnly: true })
    try {
      const result = await run()
      // A second BEGIN is a warning to the server, and its transaction is this one.
      if (!begins.test(sql) && this.transactionStatus === 'T') await this.#client.commit()
      return result
    } catch (error) {
      if (this.transactionStatus !== 'I') await this.#client.rollback().catch(() => {})
      throw error
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => {})
    return result
  }
}
