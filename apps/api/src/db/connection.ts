// The service's way to its database: where it is, the pool, and whether it is prepared. Everything happens on
// the first call that needs it, once when it succeeds, and again on the next call when it failed.

import type { Kysely } from 'kysely'
import type { Pool } from 'pg'
import type { Config } from '../config.ts'
import { ApiDatabaseClosedError } from '../errors.ts'
import { Once } from '../once.ts'
import type { Database } from './database.ts'
import { createDatabase, createPool } from './pool.ts'
import { type Prepared, prepareDatabase } from './preparation.ts'

/** Migrations may take longer than the statements of a running service. */
const PREPARATION_STATEMENT_TIMEOUT_MS = 30_000

/** What a connection needs. */
export interface DatabaseConnectionOptions {
  readonly config: Config
  /** Answers the URL of the database; may start it first. */
  readonly locate: () => Promise<string>
  /** Whether the schema may be changed and demo data inserted. */
  readonly mayChange: boolean
  readonly onPrepared: (prepared: Prepared) => void
  readonly onConnectionLost: (error: Error) => void
}

/** See the top of the file. */
export class DatabaseConnection {
  /** Typed queries. They reject as long as the database cannot be located. */
  readonly db: Kysely<Database>
  readonly #options: DatabaseConnectionOptions
  readonly #pool = new Once(() => this.#openPool())
  readonly #prepared = new Once(() => this.#prepare())
  #closed = false

  constructor(options: DatabaseConnectionOptions) {
    this.#options = options
    this.db = createDatabase(() => this.#pool.get())
  }

  /** Migrates and seeds, or checks that nothing is missing. Resolves at once after it has succeeded. */
  prepare(): Promise<void> {
    return this.#prepared.get()
  }

  /** Resolves when the database answers; gives the connection up when the signal aborts first. */
  async ping(signal: AbortSignal): Promise<void> {
    const pool = await this.#pool.get()
    const client = await pool.connect()
    let released = false
    const release = (broken: boolean) => {
      if (!released) client.release(broken)
      released = true
    }
    const giveUp = () => release(true)
    signal.addEventListener('abort', giveUp, { once: true })
    try {
      signal.throwIfAborted()
      await client.query('select 1')
      release(false)
    } finally {
      signal.removeEventListener('abort', giveUp)
      release(true)
    }
  }

  /** Ends the pool. */
  async close(): Promise<void> {
    this.#closed = true
    const pool = await this.#pool.settled()
    await pool?.end()
  }

  async #openPool(): Promise<Pool> {
    const { config, locate, onConnectionLost } = this.#options
    const url = await locate()
    if (this.#closed) throw new ApiDatabaseClosedError()
    return createPool({
      url,
      applicationName: 'holdfast-api',
      max: config.dbWebPoolMax,
      min: config.dbPoolMin,
      connectionTimeoutMs: config.dbConnTimeoutMs,
      statementTimeoutMs: config.dbStatementTimeoutMs,
      idleInTransactionTimeoutMs: config.dbIdleInTransactionTimeoutMs,
      onConnectionLost,
    })
  }

  async #prepare(): Promise<void> {
    const { config, locate, mayChange, onPrepared, onConnectionLost } = this.#options
    const pool = createPool({
      url: await locate(),
      applicationName: 'holdfast-api-preparation',
      max: 1,
      min: 0,
      connectionTimeoutMs: config.dbConnTimeoutMs,
      statementTimeoutMs: PREPARATION_STATEMENT_TIMEOUT_MS,
      idleInTransactionTimeoutMs: PREPARATION_STATEMENT_TIMEOUT_MS,
      onConnectionLost,
    })
    try {
      onPrepared(await prepareDatabase(pool, { mayChange }))
    } finally {
      await pool.end()
    }
  }
}
