// configuration -> checks -> a database of its own, when it has none -> app -> health -> listen, and back again on a
// signal.

import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { systemClock } from '@holdfast/footing'
import { checkDeployment, Lifecycle } from '@holdfast/lifecycle'
import type { Logs } from '@holdfast/logging'
import type { FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { App } from './app.ts'
import {
  type Config,
  ConfigError,
  dataDirectory,
  isStartedByPackageManager,
  type LoadedConfig,
  loadConfig,
  workerNumber,
} from './config.ts'
import { DEMO_CREDENTIALS_FILE } from './db/demo-tenants.ts'
import { startDevelopmentDatabase } from './db/development-database.ts'
import { checksOfStart, deploymentOf } from './deployment/deployment-checks.ts'
import {
  ApiDatabaseFolderError,
  ApiDatabaseUnsafeError,
  ApiDeploymentUnfitError,
  ApiListenError,
  ApiMigrationChangedError,
  ApiMigrationsPendingError,
  ApiNoDevelopmentDatabaseError,
} from './errors.ts'
import type { FirstLook } from './first-look.ts'
import { onLauncherGone } from './launcher.ts'
import { createLogs } from './logger.ts'
import { Once } from './once.ts'
import { isPrimary, lifecycleOf, runPrimary } from './primary.ts'
import { reasonOf } from './reason.ts'
import { Secret } from './secret.ts'
import { shutdownTimes } from './shutdown-times.ts'
import { type Running, startSummary } from './start-summary.ts'
import { isWorker, leaveTerminalToPrimary, serveUnderPrimary } from './worker-process.ts'

// How long the start waits for the first look into the database: it either answers soon or is not waited for.
const DATABASE_BUDGET_MS = 2000
/** The same for health: what is critical there answers soon, or the service says that it is not ready. */
const HEALTH_BUDGET_MS = 2000
const OWN_DATABASE_BUDGET_MS = 8000
/** A first start makes a whole PostgreSQL. */
const PATIENTLY = { timeoutMs: 120_000 }

/** Starts the service. `heard` is called as soon as it hears signals itself. */
export async function start(heard: () => void): Promise<void> {
  let life: Lifecycle | undefined
  try {
    const loaded = loadConfig()
    const { config } = loaded
    const logs = createLogs(config, process.stdout.isTTY === true, workerNumber())
    life = new Lifecycle({
      ...shutdownTimes(config),
      ...lifecycleOf(config),
      healthTimeoutMs: HEALTH_BUDGET_MS,
      log: logs.logger,
    })
    leaveTerminalToPrimary()
    heard()
    life.configured()
    await run(loaded, logs, life)
  } catch (error) {
    // A signal during the start closes what the start still works with; what fails then is no error.
    if (life?.stopping === true) return
    console.error(isExplained(error) ? error.message : error)
    if (life === undefined) process.exit(1)
    await life.stop('the start failed', { exitCode: 1, hold: false })
  }
}

async function run(loaded: LoadedConfig, logs: Logs<FastifyRequest>, life: Lifecycle): Promise<void> {
  const { config, warnings } = loaded
  const { logger } = logs
  // What the primary has said need not be said by every worker.
  if (!isWorker) {
    for (const warning of warnings) logger.warn(warning)
    await life.phase('checks', () => passGate(loaded, logger))
  }
  const directory = dataDirectory(config)
  const usableDirectory = makeDirectory(directory, logger)
  const own = new Once(() => startDevelopmentDatabase(directory, { log: logger }))
  life.onClose('own-database', async () => (await own.settled())?.stop(), {
    timeoutMs: OWN_DATABASE_BUDGET_MS,
  })
  life.onForce(() => own.value?.kill())
  if (!isWorker && isStartedByPackageManager())
    onLauncherGone(() => life.stop('the package manager above has ended'))

  const facts = () => ({
    config,
    dataDirectory: usableDirectory,
    demoCredentials: demoCredentials(usableDirectory),
    ownDatabase: own.value,
    startedInMs: Math.round(performance.now()),
  })
  if (isPrimary(config)) {
    const { inside, ...served } = await runPrimary(config, life, logger, own)
    tell(config, { ...facts(), ...served, managementUrl: inside && localUrl(inside.address()) })
    return
  }
  const { fastify, firstLook } = await life.phase(
    'connect',
    async () => {
      // A primary needs none of it.
      const { buildApp } = await import('./app.ts')
      const databaseUrl = config.databaseUrl ?? new Secret((await own.get()).url)
      return buildApp({
        config,
        warnings,
        logs,
        dataDirectory: usableDirectory,
        databaseUrl,
        lifecycle: life,
      })
    },
    PATIENTLY,
  )
  const look = await life.phase(
    'migrations',
    async () => {
      await fastify.ready()
      return within(firstLook, DATABASE_BUDGET_MS)
    },
    PATIENTLY,
  )
  if (look?.ok === false && isRefusal(look.error)) throw look.error
  const serving = await life.listen(
    async () => {
      await listen(fastify, config)
      return { url: localUrl(fastify.server.address()), themes: describe(look) }
    },
    (served) => served,
  )
  if (isWorker) return serveUnderPrimary(life, fastify, serving)
  const { management } = fastify.health
  tell(config, {
    ...facts(),
    ...serving,
    managementUrl: management && localUrl(management.server.address()),
  })
}

/**
 * What can be looked at without asking anybody. In production a failure ends the start, elsewhere it is told; the
 * database and its migrations have their turn when it is asked.
 */
async function passGate({ config }: LoadedConfig, logger: Logger): Promise<void> {
  // Its warnings are in the log already.
  const deployment = deploymentOf({ config, warnings: [] })
  const report = await checkDeployment(checksOfStart(deployment, systemClock), { clock: systemClock })
  const isProduction = config.environment === 'production'
  const findings = report.checks.flatMap(({ name, findings }) =>
    findings.map((found) => ({ name, ...found })),
  )
  const failed = findings.filter(({ verdict }) => verdict === 'fail')
  if (isProduction && failed.length > 0) {
    throw new ApiDeploymentUnfitError(
      failed.map(({ name, message, hint = '' }) => `\n  ${name}: ${message}. ${hint}`).join(''),
    )
  }
  for (const { name, rule, verdict, message, hint } of findings) {
    const isTold = verdict === 'fail' || (isProduction && verdict === 'warn')
    if (isTold) logger.warn({ check: name, rule, hint }, message)
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

function tell(config: Config, running: Running): void {
  // Standard output holds nothing but JSON lines when no person reads it.
  if (process.stdout.isTTY) console.log(startSummary(running))
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
    [
      'HOLDFAST_ERR_API_MANAGEMENT_LISTEN',
      'HOLDFAST_ERR_HEALTH_MANAGEMENT_LISTEN',
      'HOLDFAST_ERR_LIFECYCLE_PHASE_TIMEOUT',
    ].includes(code)
  )
}

/** Errors that a person has to put right before the service may run. */
function isRefusal(error: unknown): error is Error {
  return [
    ApiDatabaseUnsafeError,
    ApiMigrationsPendingError,
    ApiMigrationChangedError,
    ApiNoDevelopmentDatabaseError,
    ApiDatabaseFolderError,
    ApiDeploymentUnfitError,
  ].some((refusal) => error instanceof refusal)
}

function describe(look: FirstLook | undefined): string {
  if (look?.ok === true) return `${look.themes ?? 0} loaded from the database`
  return look === undefined
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
