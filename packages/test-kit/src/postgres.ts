import { Client } from 'pg'
import { unprivilegedIdentity } from './identity.ts'
import { postgresBinaries } from './postgres-binaries.ts'
import { createCluster } from './postgres-cluster.ts'
import { type PostgresSettings, settingArguments } from './postgres-settings.ts'
import { type RealServer, startRealServer } from './real-server.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** What kind of PostgreSQL to start. */
export interface PostgresOptions {
  /** By name as in postgresql.conf; they win over ours. */
  readonly settings?: PostgresSettings
  /** Libraries to load at the start. `pg_stat_statements` is also created as an extension. */
  readonly sharedPreload?: readonly string[]
  /** The direct port. Default: a free one. */
  readonly port?: number
}

/** A running PostgreSQL. */
export interface PostgresServer extends RealServer {
  /** Where the data is. */
  readonly dataDirectory: string
}

/**
 * Starts a PostgreSQL with an empty database `postgres`, superuser `postgres` and no password, in a temporary
 * directory, on loopback. As root it runs as the user `postgres`.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const identity = unprivilegedIdentity()
  const binaries = await postgresBinaries(identity)
  const { path: directory, remove } = temporaryDirectory('postgres', identity)
  await createCluster(binaries, directory, identity)
  const { settings = {}, sharedPreload = [], port } = options
  const url = (port: number) => `postgresql://postgres@127.0.0.1:${port}/postgres`
  const server = await startRealServer({
    port,
    url,
    cleanUp: remove,
    spec: (directPort) => ({
      name: 'PostgreSQL',
      command: binaries.postgres,
      args: ['-D', directory, '-p', String(directPort), ...settingArguments(false, sharedPreload, settings)],
      directory,
      identity,
      probe: () => prepare(url(directPort), sharedPreload),
      stopSignal: 'SIGINT',
      // Fast, and it gives back the shared memory, which a SIGKILL would not.
      orphanSignal: 'QUIT',
      orphanDirectory: directory,
    }),
  })
  return Object.assign(server, { dataDirectory: directory })
}

/** Fails as long as the server does not answer queries. */
async function prepare(connectionString: string, sharedPreload: readonly string[]): Promise<void> {
  const client = new Client({ connectionString, connectionTimeoutMillis: 2000, query_timeout: 5000 })
  client.on('error', () => {})
  try {
    await client.connect()
    const extension = sharedPreload.includes('pg_stat_statements')
    await client.query(extension ? 'create extension if not exists pg_stat_statements' : 'select 1')
  } finally {
    await client.end().catch(() => {})
  }
}
