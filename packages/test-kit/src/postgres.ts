import { unprivilegedIdentity } from './identity.ts'
import { copyCluster } from './kept-cluster.ts'
import { startPersistentPostgres } from './persistent-postgres.ts'
import { postgresBinaries } from './postgres-binaries.ts'
import type { PostgresOptions, PostgresServer } from './postgres-options.ts'
import { postgresSpec } from './postgres-spec.ts'
import { startRealServer } from './real-server.ts'
import { temporaryDirectory } from './temporary-directory.ts'

export type { PostgresSettings } from './postgres-settings.ts'
export { isRunning } from './process-tree.ts'
export type { RealServer } from './real-server.ts'
export type { PostgresOptions, PostgresServer }

/**
 * Starts a PostgreSQL on loopback with a database `postgres` and a superuser `postgres`. As root it runs as the
 * user `postgres`, which is created when it does not exist. It ends with this process, however that ends.
 *
 * Throws `HOLDFAST_ERR_TEST_KIT_MISSING_PROGRAM`, `..._START_FAILED` (with the end of the log) and
 * `..._DATA_DIRECTORY`.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const { dataDirectory } = options
  if (dataDirectory !== undefined) return startPersistentPostgres({ ...options, dataDirectory })
  return startTemporaryPostgres(options)
}

async function startTemporaryPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const identity = unprivilegedIdentity()
  const binaries = await postgresBinaries(identity, options.programs)
  const { path, remove } = temporaryDirectory('postgres', identity)
  const url = (port: number) => `postgresql://postgres@127.0.0.1:${port}/postgres`
  await copyCluster(binaries, path, identity)
  const server = await startRealServer({
    port: options.port,
    url,
    cleanUp: remove,
    spec: (port) => ({
      ...postgresSpec(binaries, path, identity, options, url, port, false),
      // Fast, and it gives back the shared memory, which a SIGKILL would not.
      orphanSignal: 'QUIT',
      orphanDirectory: path,
    }),
  })
  return Object.assign(server, { dataDirectory: path, shared: false })
}
