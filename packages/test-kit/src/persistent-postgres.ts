import { statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type DataLocation, locateData } from './data-directory.ts'
import { DataDirectoryError } from './errors.ts'
import { type Identity, unprivilegedIdentity } from './identity.ts'
import { ensureCluster, passwordOf } from './persistent-cluster.ts'
import { postgresBinaries } from './postgres-binaries.ts'
import { endLeftovers } from './postgres-leftovers.ts'
import type { PostgresOptions, PostgresServer } from './postgres-options.ts'
import { probePostgres } from './postgres-probe.ts'
import { postgresSpec } from './postgres-spec.ts'
import { readPostmasterFile } from './postmaster-file.ts'
import { type ProcessLock, takeProcessLock } from './process-lock.ts'
import { startRealServer } from './real-server.ts'
import { SharedPostgres } from './shared-postgres.ts'

const startTimeoutMs = 60_000

/**
 * Starts PostgreSQL on a directory that is kept, or joins the one that another living process runs there.
 * Whoever holds the directory's lock owns the server. What a dead owner left behind is ended first.
 */
export async function startPersistentPostgres(
  options: PostgresOptions & { readonly dataDirectory: string },
): Promise<PostgresServer> {
  const identity = unprivilegedIdentity()
  const location = locateData(options.dataDirectory, identity)
  const endMs = performance.now() + startTimeoutMs
  for (;;) {
    const lock = await takeProcessLock(location.path)
    if (lock !== undefined) return own(options, location, identity, lock)
    const joined = await join(location)
    if (joined !== undefined) return joined
    if (performance.now() > endMs) {
      throw new DataDirectoryError(
        `${location.path} is in use by another process, whose PostgreSQL does not answer`,
      )
    }
    await sleep(50)
  }
}

async function own(
  options: PostgresOptions,
  { path, notice }: DataLocation,
  wished: Identity | undefined,
  lock: ProcessLock,
): Promise<PostgresServer> {
  try {
    const identity = ownerOf(path, wished)
    const binaries = await postgresBinaries(identity, options.programs)
    await endLeftovers(path)
    const damage = await ensureCluster(path, binaries, identity)
    const url = urlWith(await passwordOf(path))
    const server = await startRealServer({
      port: options.port,
      url,
      cleanUp: async () => lock.release(),
      spec: (port) => ({
        ...postgresSpec(binaries, path, identity, options, url, port, true),
        // A fast shutdown: the next start needs no recovery.
        orphanSignal: 'INT',
        startTimeoutMs,
      }),
    })
    const notices = [notice, damage].filter((text) => text !== undefined)
    return Object.assign(server, {
      dataDirectory: path,
      shared: false,
      notice: notices.join('. ') || undefined,
    })
  } catch (error) {
    lock.release()
    throw error
  }
}

async function join({ path, notice }: DataLocation): Promise<PostgresServer | undefined> {
  const found = await readPostmasterFile(path)
  const password = await passwordOf(path)
  if (!found?.ready || password === undefined) return undefined
  const url = urlWith(password)
  const answers = await probePostgres(url(found.port)).then(
    () => true,
    () => false,
  )
  if (!answers) return undefined
  return Object.assign(await SharedPostgres.join(path, found, url), {
    dataDirectory: path,
    shared: true,
    notice,
  })
}

/** Root runs PostgreSQL as the owner of existing data: it may come from a run as an ordinary user. */
function ownerOf(path: string, wished: Identity | undefined): Identity | undefined {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined || found.uid === 0 || wished === undefined) return wished
  return found.uid === wished.uid ? wished : { name: `with id ${found.uid}`, uid: found.uid, gid: found.gid }
}

function urlWith(password: string | undefined): (port: number) => string {
  return (port) => `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`
}
