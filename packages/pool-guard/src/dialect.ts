/*
 * The entry `@holdfast/pool-guard/kysely`, apart from the other so that whoever writes plain SQL needs no kysely.
 *
 * A Kysely dialect over the pool guard: every query of `db` passes the door with the scope of its request. It begins
 * transactions with the guardrails, cancels by protocol (which works behind PgBouncer, where the process ids that
 * `pg_cancel_backend` would need are made up), and a failing ROLLBACK never hides the error that led to it.
 */
import {
  type AbortableOperationOptions,
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
  type TransactionSettings,
} from 'kysely'
import { AbortedError, StreamError } from './errors.ts'
import type { GuardedClient } from './guarded-client.ts'
import { currentScope, type PoolScope } from './request-scope.ts'

/** What the dialect needs of a pool: `app.poolGuard`, or a `PoolGuard`. */
export interface DialectSource {
  acquire(scope: PoolScope): Promise<GuardedClient>
}

/**
 * For `new Kysely({ dialect: guardedDialect(app.poolGuard) })`: all of its queries pass the door, and reject as
 * `acquire` and `query` of the pool. `db.destroy()` leaves the pool open: it belongs to whoever made it.
 */
export function guardedDialect(pool: DialectSource): Dialect {
  return {
    createDriver: () => new GuardedDriver(pool),
    createAdapter: () => new PostgresAdapter(),
    createQueryCompiler: () => new PostgresQueryCompiler(),
    createIntrospector: (db) => new PostgresIntrospector(db),
  }
}

class GuardedDriver implements Driver {
  readonly #source: DialectSource

  constructor(source: DialectSource) {
    this.#source = source
  }

  async init(): Promise<void> {}

  async acquireConnection(options?: AbortableOperationOptions): Promise<GuardedConnection> {
    return new GuardedConnection(await this.#source.acquire(scopeWith(options?.signal)))
  }

  async releaseConnection(connection: GuardedConnection): Promise<void> {
    connection.client.release()
  }

  beginTransaction(connection: GuardedConnection, settings: TransactionSettings): Promise<void> {
    return connection.client.begin({
      isolation: settings.isolationLevel,
      readOnly: settings.accessMode === 'read only',
    })
  }

  async commitTransaction(connection: GuardedConnection): Promise<void> {
    try {
      await connection.client.commit()
    } catch (error) {
      // By this Kysely knows that there is nothing left to roll back.
      const { code } = error as { code?: unknown }
      const rolledBack = code === 'HOLDFAST_ERR_POOL_GUARD_TX_ROLLED_BACK'
      throw rolledBack ? Object.assign(error as Error, { [abortedTransaction]: true }) : error
    }
  }

  /** Its failure would take the place of the error that led to it; the connection is destroyed then. */
  async rollbackTransaction(connection: GuardedConnection): Promise<void> {
    await connection.client.rollback().catch(() => {})
  }

  async savepoint(connection: GuardedConnection, name: string): Promise<void> {
    await connection.client.query(`savepoint ${quoted(name)}`)
  }

  async rollbackToSavepoint(connection: GuardedConnection, name: string): Promise<void> {
    await connection.client.query(`rollback to ${quoted(name)}`)
  }

  async releaseSavepoint(connection: GuardedConnection, name: string): Promise<void> {
    await connection.client.query(`release ${quoted(name)}`)
  }

  /** The pool guard belongs to whoever made it. */
  async destroy(): Promise<void> {}
}

/** As in Kysely's `AbortedTransactionError`. */
const abortedTransaction = Symbol.for('kysely.AbortedTransactionError')

class GuardedConnection implements DatabaseConnection {
  readonly client: GuardedClient
  #cursors = 0

  constructor(client: GuardedClient) {
    this.client = client
  }

  async executeQuery<R>(
    compiledQuery: CompiledQuery,
    options?: AbortableOperationOptions,
  ): Promise<QueryResult<R>> {
    const { sql, parameters } = compiledQuery
    const signal = options?.signal
    try {
      const { command, rowCount, rows } = await this.client.query(sql, parameters, { signal })
      return changing.has(command)
        ? { numAffectedRows: BigInt(rowCount ?? 0), rows: rows as R[] }
        : { rows: rows as R[] }
    } catch (error) {
      // Kysely has told its caller, and would write to the console that nobody listens to this error.
      if (signal?.aborted === true) return { rows: [] }
      throw withCaller(error)
    }
  }

  /** A SELECT through a cursor of the server, in a transaction of its own when there is none. */
  async *streamQuery<R>(
    compiledQuery: CompiledQuery,
    chunkSize: number,
    options?: AbortableOperationOptions,
  ): AsyncIterableIterator<QueryResult<R>> {
    const { kind } = compiledQuery.query
    if (kind !== 'SelectQueryNode' && kind !== 'RawNode') throw new StreamError(kind)
    const { client } = this
    const settings = { signal: options?.signal }
    const own = client.transactionStatus === 'I'
    if (own) await client.begin()
    this.#cursors += 1
    const cursor = `holdfast_cursor_${this.#cursors}`
    let failed = true
    try {
      await client.query(
        `declare ${cursor} no scroll cursor for ${compiledQuery.sql}`,
        compiledQuery.parameters,
        settings,
      )
      for (;;) {
        const { rows } = await client.query(`fetch ${chunkSize} from ${cursor}`, [], settings)
        if (rows.length > 0) yield { rows: rows as R[] }
        if (rows.length < chunkSize) break
      }
      failed = false
    } finally {
      if (own && failed) await client.rollback().catch(() => {})
      else if (own) await client.commit()
      else if (client.transactionStatus === 'T') await client.query(`close ${cursor}`)
    }
  }

  /** The signal of a query cancels it already; this is for whoever asks Kysely for it. */
  async cancelQuery(): Promise<void> {
    this.client.cancel(new AbortedError('its query was cancelled'))
  }

  /** No session can be ended behind a pooler but by leaving it: the statement is cancelled, the connection closed. */
  async killSession(): Promise<void> {
    this.client.destroy()
  }
}

const changing = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

/** The signal of one operation beside that of the request. */
function scopeWith(signal: AbortSignal | undefined): PoolScope {
  if (signal === undefined) return {}
  const around = currentScope()?.signal
  return { signal: around === undefined ? signal : AbortSignal.any([signal, around]) }
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** The stack of an error that came in by a socket, followed by that of whoever sent the query. */
function withCaller(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const here = new Error().stack?.split('\n').slice(1).join('\n') ?? ''
  error.stack = `${error.stack}\n${here}`
  return error
}
