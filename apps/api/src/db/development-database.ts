// The PostgreSQL that the service starts for itself when DATABASE_URL is unset: kept under the data directory,
// shared by all processes of this service on the same directory, ended with the process that started it, and started
// again when it ends before. Its address stands in a file that only the owner may read, for the commands of this
// service. What starts it is a devDependency, loaded only when it is wanted: an installation without devDependencies
// has its own DATABASE_URL.

import { access, constants, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, systemClock } from '@holdfast/footing'
import type { PostgresServer } from '@holdfast/test-kit/postgres'
import type { FastifyBaseLogger } from 'fastify'
import { ApiDatabaseFolderError, ApiNoDevelopmentDatabaseError } from '../errors.ts'
import { reasonOf } from '../reason.ts'
import { keepAlive } from './revival.ts'

const ADDRESS_FILE = 'development-database.json'
/** For people: `kill -9 $(cat postgres.pid)`. PostgreSQL's own file can be somewhere else. */
const PID_FILE = 'postgres.pid'
const LOOK_MS = 500
/** Long enough to see what the service does without its database. */
const FIRST_WAIT_MS = 10_000
const MAX_WAIT_MS = 60_000

/** A development database that runs. */
export interface DevelopmentDatabase {
  /** Holds a password. */
  readonly url: string
  /** The process that a person would kill to see what happens; another one after that. */
  readonly pid: number
  /** What a person should know about it, such as that the data is not where it was wished for. */
  readonly notice: string | undefined
  /** Another process started it, and it ends with that one. */
  readonly shared: boolean
  /** Ends the database in order, unless another process started it. */
  stop(): Promise<void>
  /** Ends it at once, for a process that does not wait any longer; unless another one started it. */
  kill(): void
}

/** How it is started. */
export interface DevelopmentDatabaseOptions {
  /** Told when the database has ended, and when it runs again. */
  readonly log: FastifyBaseLogger
  readonly clock?: Clock
  /** Milliseconds until a database that has ended by itself is started again. Default 10 seconds. */
  readonly firstWaitMs?: number
}

/**
 * Starts the database of this data directory, or joins the one that another process runs there.
 * @throws {ApiNoDevelopmentDatabaseError} when the service was installed without devDependencies.
 * @throws {ApiDatabaseFolderError} when nothing can be kept in this directory.
 */
export async function startDevelopmentDatabase(
  dataDirectory: string,
  { log, clock = systemClock, firstWaitMs = FIRST_WAIT_MS }: DevelopmentDatabaseOptions,
): Promise<DevelopmentDatabase> {
  const { isRunning, startPostgres } = await launcher()
  await makeFolder(dataDirectory)
  const server = await startPostgres({ dataDirectory: join(dataDirectory, 'postgres') })
  await writeAddress(dataDirectory, server)
  const { directUrl: url, notice, shared } = server
  if (shared) return { url, pid: server.pid, notice, shared, stop: () => server.stop(), kill: () => {} }
  const endWatch = keepAlive({
    isRunning: () => isRunning(server.pid),
    async start() {
      await server.restart()
      await writeAddress(dataDirectory, server)
    },
    firstWaitMs,
    maxWaitMs: MAX_WAIT_MS,
    lookEveryMs: LOOK_MS,
    clock,
    onGone: (startInMs) =>
      log.warn({ pid: server.pid, startInMs }, 'the own PostgreSQL has ended; it will be started again'),
    onStarted: () => log.info({ pid: server.pid }, 'the own PostgreSQL runs again'),
    onFailed: (error, retryInMs) =>
      log.warn({ reason: reasonOf(error), retryInMs }, 'the own PostgreSQL cannot be started again'),
  })
  return {
    url,
    get pid() {
      return server.pid
    },
    notice,
    shared,
    async stop() {
      await endWatch()
      for (const file of [ADDRESS_FILE, PID_FILE]) await rm(join(dataDirectory, file), { force: true })
      await server.stop()
    },
    kill() {
      try {
        process.kill(server.pid, 'SIGKILL')
      } catch {
        // It has ended already.
      }
    },
  }
}

/** The URL of the database that was started last on this data directory; it may have ended since. */
export async function findDevelopmentDatabase(dataDirectory: string): Promise<string | undefined> {
  try {
    const address: unknown = JSON.parse(await readFile(join(dataDirectory, ADDRESS_FILE), 'utf8'))
    if (
      typeof address === 'object' &&
      address !== null &&
      'url' in address &&
      typeof address.url === 'string'
    ) {
      return address.url
    }
  } catch {
    // No such file, or one that was cut off: nothing to be found either way.
  }
  return undefined
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true })
    await access(path, constants.W_OK)
  } catch (cause) {
    throw new ApiDatabaseFolderError(path, reasonOf(cause), { cause })
  }
}

async function launcher() {
  try {
    return await import('@holdfast/test-kit/postgres')
  } catch (cause) {
    const absent = cause instanceof Error && 'code' in cause && cause.code === 'ERR_MODULE_NOT_FOUND'
    throw absent ? new ApiNoDevelopmentDatabaseError({ cause }) : cause
  }
}

async function writeAddress(dataDirectory: string, { directUrl, pid }: PostgresServer): Promise<void> {
  await mkdir(dataDirectory, { recursive: true })
  for (const [file, text] of [
    [ADDRESS_FILE, JSON.stringify({ url: directUrl, pid })],
    [PID_FILE, String(pid)],
  ] as const) {
    const unfinished = join(dataDirectory, `${file}.${process.pid}`)
    await writeFile(unfinished, `${text}\n`, { mode: 0o600 })
    await rename(unfinished, join(dataDirectory, file))
  }
}
