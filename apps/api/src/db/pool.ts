// The only place that opens connections to PostgreSQL. Every wait is bounded: for a connection, for a
// statement on the server, for the server's answer, and for a pause inside a transaction.

import {
  Kysely,
  type PostgresCursor,
  PostgresDialect,
  type PostgresPoolClient,
  type PostgresQueryResult,
} from 'kysely'
import { Pool, type PoolClient } from 'pg'
import type { Database } from './database.ts'

/** How long the client waits for an answer beyond the server's own statement time-out. */
const ANSWER_GRACE_MS = 1000
const IDLE_MS = 30_000

/** What a pool is allowed to do. Times are in milliseconds. */
export interface PoolSettings {
  readonly url: string
  /** Shown in `pg_stat_activity`. */
  readonly applicationName: string
  /** Most connections. */
  readonly max: number
  /** Connections kept open when idle. */
  readonly min: number
  readonly connectionTimeoutMs: number
  readonly statementTimeoutMs: number
  readonly idleInTransactionTimeoutMs: number
  /** Told about connections that died while nobody used them (a killed back end, a restarted server). */
  readonly onConnectionLost: (error: Error) => void
}

/** A pool with time-outs on everything. A connection that dies never ends the process. */
export function createPool(settings: PoolSettings): Pool {
  const pool = new Pool({
    connectionString: settings.url,
    application_name: settings.applicationName,
    max: settings.max,
    min: settings.min,
    idleTimeoutMillis: IDLE_MS,
    connectionTimeoutMillis: settings.connectionTimeoutMs,
    statement_timeout: settings.statementTimeoutMs,
    query_timeout: settings.statementTimeoutMs + ANSWER_GRACE_MS,
    idle_in_transaction_session_timeout: settings.idleInTransactionTimeoutMs,
    keepAlive: true,
  })
  pool.on('error', settings.onConnectionLost)
  // The pool listens only to idle clients; one that dies while in use would otherwise be an uncaught error.
  // Its running query is rejected either way, so there is nothing left to tell.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

/** Typed queries over a pool, which is asked for at the first query. Whoever made the pool ends it. */
export function createDatabase(openPool: () => Promise<Pool>): Kysely<Database> {
  return new Kysely<Database>({
    dialect: new PostgresDialect({
      pool: async () => {
        const pool = await openPool()
        return {
          options: pool.options,
          connect: async () => new ImpatientClient(await pool.connect()),
          end: () => pool.end(),
        }
      },
    }),
  })
}

/**
 * A client that is thrown away once the server did not answer in time. pg rejects such a query, and Kysely
 * gives the connection back to the pool, where the next query would queue behind an answer that may never come.
 */
class ImpatientClient implements PostgresPoolClient {
  readonly #client: PoolClient
  #unanswered = false

  constructor(client: PoolClient) {
    this.#client = client
  }

  query<R>(sql: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>>
  query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>
  query<R>(sql: string | PostgresCursor<R>, parameters: readonly unknown[] = []): unknown {
    if (typeof sql !== 'string') throw new TypeError('this service does not stream query results')
    return this.#client.query(sql, [...parameters]).catch((error: unknown) => {
      this.#unanswered ||= error instanceof Error && error.message === 'Query read timeout'
      throw error
    })
  }

  release(destroy = false): void {
    this.#client.release(destroy || this.#unanswered)
  }
}
