// configuration -> database -> app -> listen, and back again on a signal.

import { mkdirSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { buildApp } from './app.ts'
import { type Config, ConfigError, dataDirectory, type LoadedConfig, loadConfig } from './config.ts'
import { Once } from './db/connection.ts'
import { type DevelopmentDatabase, startDevelopmentDatabase } from './db/development-database.ts'
import { ApiMigrationChangedError, ApiMigrationsPendingError } from './errors.ts'
import { createLogger } from './logger.ts'
import type { ThemeTurn } from './routes/public-theme/theme-refresher.ts'
import { type Running, startSummary } from './start-summary.ts'
import { stopOnSignals } from './stop-signals.ts'

// How long the start waits for the first look into the database. A database of our own may have to be created;
// one that is somebody else's business either answers soon or is not waited for.
const OWN_DATABASE_BUDGET_MS = 15_000
const DATABASE_BUDGET_MS = 2000
const CLOSE_DEADLINE_MS = 10_000
const IDLE_SWEEP_MS = 100

async function main({ config, warnings }: LoadedConfig): Promise<void> {
  const isTerminal = process.stdout.isTTY === true
  const logger = createLogger(config, isTerminal)
  for (const warning of warnings) logger.warn(warning)
  const directory = dataDirectory(config)
  mkdirSync(directory, { recursive: true })

  const own = new Once(() => startDevelopmentDatabase(directory))
  const { fastify, firstTurn } = await buildApp({
    config,
    logger,
    dataDirectory: directory,
    locateDatabase: async () => config.databaseUrl?.reveal() ?? (await own.get()).url,
  })

  const stop = async (signal: string) => {
    logger.info({ signal }, 'closing')
    // Fastify waits for connections that nobody uses any more; a browser keeps some open for a minute.
    const sweep = setInterval(() => fastify.server.closeIdleConnections(), IDLE_SWEEP_MS)
    await fastify.close()
    clearInterval(sweep)
    await (await own.settled())?.stop()
    logger.info('closed')
  }
  stopOnSignals({
    stop,
    force: (reason) => {
      logger.fatal(`ending at once: ${reason}`)
      own.value?.kill()
    },
    deadlineMs: CLOSE_DEADLINE_MS,
  })

  await fastify.ready()
  const turn = await within(
    firstTurn,
    config.databaseUrl === undefined ? OWN_DATABASE_BUDGET_MS : DATABASE_BUDGET_MS,
  )
  if (turn !== undefined && !turn.ok && isRefusal(turn.error)) {
    await stop('refused')
    throw turn.error
  }
  await fastify.listen({ host: config.apiHost, port: config.apiPort })
  tell(config, own.value, isTerminal)

  function tell(config: Config, database: DevelopmentDatabase | undefined, isTerminal: boolean): void {
    const running: Running = {
      config,
      url: localUrl(fastify.server.address()),
      managementUrl: fastify.health.management && localUrl(fastify.health.management.server.address()),
      dataDirectory: directory,
      ownDatabase: database,
      themes: describe(turn),
      startedInMs: Math.round(performance.now()),
    }
    logger.info({ url: running.url, themes: running.themes, startedInMs: running.startedInMs }, 'started')
    // Standard output holds nothing but JSON lines when no person reads it.
    if (isTerminal) console.log(startSummary(running))
    else if (config.environment !== 'production') console.error(startSummary(running))
  }
}

/** Errors whose message says all that a person needs; the stack of others helps to find a bug. */
function isExplained(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  const code = 'code' in error ? String(error.code) : ''
  return (
    error instanceof ConfigError ||
    isRefusal(error) ||
    ['EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL'].includes(code)
  )
}

/** Errors that a person has to put right before the service may run. */
function isRefusal(error: unknown): error is Error {
  return error instanceof ApiMigrationsPendingError || error instanceof ApiMigrationChangedError
}

function describe(turn: ThemeTurn | undefined): string {
  if (turn?.ok === true) return `${turn.themes} loaded from the database`
  return turn === undefined
    ? 'the database has not answered yet; last known or default ones are served'
    : 'the database cannot be used at the moment; last known or default ones are served'
}

/** A URL that works on this machine, whatever the address of the listener. */
function localUrl(address: AddressInfo | string | null): string {
  if (address === null || typeof address === 'string') return String(address)
  const anywhere = address.address === '0.0.0.0' || address.address === '::'
  const host = anywhere ? '127.0.0.1' : address.address
  return `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`
}

/** The answer of a promise, or undefined when it takes longer. */
async function within<T>(promise: Promise<T>, budgetMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), budgetMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

try {
  await main(loadConfig())
} catch (error) {
  console.error(isExplained(error) ? error.message : error)
  process.exit(1)
}
