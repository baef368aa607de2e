import type { PostgresSettings } from './postgres-settings.ts'
import type { RealServer } from './real-server.ts'

/** What kind of PostgreSQL to start. */
export interface PostgresOptions {
  /** By name as in postgresql.conf; they win over ours. */
  readonly settings?: PostgresSettings
  /** Libraries to load at the start. `pg_stat_statements` is also created as an extension. */
  readonly sharedPreload?: readonly string[]
  /** The direct port. Default: a free one. */
  readonly port?: number
  /** The directory of `initdb` and `postgres`. Default: `HOLDFAST_POSTGRES_BIN`, else the ones from npm. */
  readonly programs?: string
  /**
   * Where the data is kept. Without it the server is for one test: in a temporary directory, without a
   * password, and careless about power failures. With it the data stays, is written through to the disk, and
   * is guarded by a random password (see `url`).
   */
  readonly dataDirectory?: string
}

/** A running PostgreSQL. */
export interface PostgresServer extends RealServer {
  /** Where the data is: not where it was wished for when the server's user may not enter there. */
  readonly dataDirectory: string
  /** The server belongs to another process, which started it on the same directory: `stop` leaves it alone. */
  readonly shared: boolean
  /** What a person should know, such as that the data is elsewhere. */
  readonly notice?: string | undefined
}
