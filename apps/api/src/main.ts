// configuration -> a database of its own, when it has none -> app -> listen, and back again on a signal.

import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { type App, buildApp } from './app.ts'
import {
  type Config,
  ConfigError,
  dataDirectory,
  isStartedByPackageManager,
  type LoadedConfig,
  loadConfig,
} from './config.ts'
import { DEMO_CREDENTIALS_FILE } from './db/demo-tenants.ts'
import { startDevelopmentDatabase } from './db/development-database.ts'
import {
  ApiDatabaseUnsafeError,
  ApiListenError,
  ApiMigrationChangedError,
  ApiMigrationsPendingError,
  ApiNoDevelopmentDatabaseError,
} from './errors.ts'
import { onLauncherGone } from './launcher.ts'
import { createLogger } from './logger.ts'
import { Once } from './once.ts'
import { reasonOf } from './reason.ts'
import type { ThemeTurn } from './routes/public-theme/theme-refresher.ts'
import { Secret } from './secret.ts'
import { type Running, startSummary } from './start-summary.ts'
import { stopOnSignals } from './stop-signals.ts'

// How long the start waits for the first look into the database: it either answers soon or is not waited for.
const DATABASE_BUDGET_MS = 2000
const CLOSE_DEADLINE_MS = 10_000
const IDLE_SWEEP_MS = 100

async function main({ config, warnings }: LoadedConfig): Promise<void> {
  const isTerminal = process.stdout.isTTY === true
  const logger = createLogger(config, isTerminal)
  for (const warning of warnings) logger.warn(warning)
  const directory = dataDirectory(config)
  const usableDirectory = makeDirectory(directory, logger)
  const own = new Once(() => startDevelopmentDatabase(directory, { log: logger }))
  let app: App | undefined

  let closing = false
  const stop = async (reason: string) => {
    closing = true
    logger.info({ reason }, 'closing')
    if (app !== undefined) await close(app.fastify)
    await (await own.settled())?.stop()
    logger.info('closed')
  }
  const end = stopOnSignals({
    stop,
    force: (reason) => {
      logger.fatal(`ending at once: ${reason}`)
      own.value?.kill()
    },
    deadlineMs: CLOSE_DEADLINE_MS,
  })
  if (isStartedByPackageManager()) onLauncherGone(() => end('the package manager above has ended'))

  try {
    const databaseUrl = config.databaseUrl ?? new Secret((await own.get()).url)
    app = await buildApp({ config, logger, dataDirectory: usableDirectory, databaseUrl })
    // A signal that came meanwhile found nothing to close yet.
    if (closing) return await close(app.fastify)
    const { fastify, firstTurn } = app
    await fastify.ready()
    const turn = await within(firstTurn, DATABASE_BUDGET_MS)
    if (turn?.ok === false && isRefusal(turn.error)) throw turn.error
    if (closing) return
    await listen(fastify, config)
    tell(logger, isTerminal, {
      config,
      url: localUrl(fastify.server.address()),
      managementUrl: fastify.health.management && localUrl(fastify.health.management.server.address()),
      dataDirectory: usableDirectory,
      demoCredentials: demoCredentials(usableDirectory),
      ownDatabase: own.value,
      themes: describe(turn),
      startedInMs: Math.round(performance.now()),
    })
  } catch (error) {
    // A signal during the start closes what the start still works with; what fails then is no error.
    if (closing) return
    await stop('the start failed')
    throw error
  }
}

/** Where they are, when there are any. */
function demoCredentials(directory: string | undefined): string | undefined {
  const path = directory === undefined ? undefined : join(directory, DEMO_CREDENTIALS_FILE)
  return path !== undefined && existsSync(path) ? path : undefined
}

async function listen(fastify: App['fastify'], { apiHost, apiPort }: Config): Promise<void> {
  try {
    await fastify.listen({ host: apiHost, port: apiPort })
  } catch (cause) {
    throw new ApiListenError(`${apiHost}:${apiPort}`, reasonOf(cause), { cause })
  }
}

async function close(fastify: App['fastify']): Promise<void> {
  // Fastify waits for connections that nobody uses any more; a browser keeps some open for a minute.
  const sweep = setInterval(() => fastify.server.closeIdleConnections(), IDLE_SWEEP_MS)
  await fastify.close()
  clearInterval(sweep)
}

/** The directory, made if need be; undefined when nothing can be kept there, which is said once. */
function makeDirectory(path: string, logger: Logger): string | undefined {
  try {
    mkdirSync(path, { recursive: true })
    accessSync(path, constants.W_OK)
    return path
  } catch (error) {
    logger.warn({ path, reason: reasonOf(error) }, 'no data directory: themes will not outlive a restart')
    return undefined
  }
}

function tell(logger: Logger, isTerminal: boolean, running: Running): void {
  const { url, themes, startedInMs, config } = running
  logger.info({ url, themes, startedInMs }, 'started')
  // Standard output holds nothing but JSON lines when no person reads it.
  if (isTerminal) console.log(startSummary(running))
  else if (config.environment !== 'production') console.error(startSummary(running))
}

/** Errors whose message says all that a person needs; the stack of others helps to find a bug. */
function isExplained(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  const code = 'code' in error ? String(error.code) : ''
  return (
    error instanceof ConfigError ||
    error instanceof ApiListenError ||
    isRefusal(error) ||
    code === 'HOLDFAST_ERR_HEALTH_MANAGEMENT_LISTEN'
  )
}

/** Errors that a person has to put right before the service may run. */
function isRefusal(error: unknown): error is Error {
  return [
    ApiDatabaseUnsafeError,
    ApiMigrationsPendingError,
    ApiMigrationChangedError,
    ApiNoDevelopmentDatabaseError,
  ].some((refusal) => error instanceof refusal)
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
