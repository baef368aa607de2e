// Several processes on one machine. This one starts them, starts those again that end, replaces them one after the other
// on SIGHUP, ends them, and answers at the management port; it serves nobody else, so there is little in it that could
// fail.

import cluster, { type Worker } from 'node:cluster'
import type { Server } from 'node:http'
import { constants } from 'node:os'
import { systemClock } from '@holdfast/footing'
import {
  type ForkedWorker,
  type Lifecycle,
  type LifecycleOptions,
  type ProcessPort,
  WorkerFleet,
} from '@holdfast/lifecycle'
import { collectCluster, OwnRegistry } from '@holdfast/metrics'
import type { Logger } from 'pino'
import { type Config, NUMBER_VARIABLE, workersOf } from './config.ts'
import type { DevelopmentDatabase } from './db/development-database.ts'
import { ApiWorkerEndedError } from './errors.ts'
import { fleetMetrics } from './fleet-metrics.ts'
import { insideServer, listenInside } from './inside-port.ts'
import type { Once } from './once.ts'
import { securityHeaders } from './security-headers.ts'
import { shutdownTimes } from './shutdown-times.ts'
import { WORKER_GAUGES } from './worker-gauges.ts'
import { passOnLevels } from './worker-level.ts'
import { type Cordon, readMessage, type Serving, tellWorker } from './worker-messages.ts'
import { isWorker } from './worker-process.ts'
import { WorkerQuestions } from './worker-questions.ts'

const READY_BUDGET_MS = 120_000
/** Beyond what a worker takes for its own way down: aborting, closing, and a process that ends. */
const CLOSING_MS = 15_000

/** Whether this process is to start others. */
export function isPrimary(config: Config): boolean {
  return !isWorker && workersOf(config) > 1
}

/** A signal that begins the way down is for the lifecycle; further ones are for those who have somebody to serve. */
class PrimaryProcess implements ProcessPort {
  further: () => void = () => {}
  /** Whatever began it. */
  isEnding = false

  on(event: string, listener: (first: unknown) => void): void {
    if (!event.startsWith('SIG')) {
      process.on(event, listener)
      return
    }
    process.on(event, (name) => {
      if (this.isEnding) this.further()
      else listener(name)
      this.isEnding = true
    })
  }

  /** Signals are heard until the process has ended: nobody must end it in between. */
  off(event: string, listener: (first: unknown) => void): void {
    process.off(event, listener)
  }

  exit(code: number): void {
    process.exit(code)
  }
}

const primaryProcess = new PrimaryProcess()

/** How a lifecycle of a process of this kind differs. */
export function lifecycleOf(config: Config): LifecycleOptions {
  // A primary has nobody to serve meanwhile: its workers hold.
  if (isPrimary(config)) return { drainMs: 0, minDrainMs: 0, process: primaryProcess }
  // One worker goes and the instance stays: a proxy that is turned away would leave all of it alone.
  return isWorker ? { signals: ['SIGTERM'], turnAwayMs: 0 } : {}
}

/** What runs then. */
export interface PrimaryFacts extends Pick<Serving, 'url' | 'themes'> {
  /** The management port, where there is one. */
  readonly inside: Server | undefined
}

/** Starts the workers; from then on the primary runs until it is told to end. */
export async function runPrimary(
  config: Config,
  life: Lifecycle,
  logger: Logger,
  own: Once<DevelopmentDatabase>,
): Promise<PrimaryFacts> {
  const database =
    config.databaseUrl === undefined
      ? await life.phase('connect', async () => ({ DATABASE_URL: (await own.get()).url }))
      : {}
  // All of this before there is a worker that could tell.
  const registry = new OwnRegistry()
  const told = config.enableMetrics
    ? collectCluster(cluster, systemClock, { aggregates: WORKER_GAUGES, registry })
    : undefined
  const questions = new WorkerQuestions(cluster, systemClock)
  const served = Promise.withResolvers<Serving>()
  cluster.on('message', (_worker, message: unknown) => {
    const heard = readMessage(message)
    if (heard.kind === 'holdfast:api:serving') served.resolve(heard)
  })
  shareCordon(questions.serving)
  passOnLevels(questions)
  const inside = await servePort(config, life, questions, told?.text)

  const { drainMs, requestTimeoutMs, closeTimeoutMs } = shutdownTimes(config)
  const endTimeoutMs = drainMs + requestTimeoutMs + closeTimeoutMs + CLOSING_MS
  const numbers = new Set<number>()
  const fleet = new WorkerFleet({
    workers: workersOf(config),
    fork: () => forkWorker(numbers, database),
    clock: systemClock,
    log: logger,
    readyTimeoutMs: READY_BUDGET_MS,
    endTimeoutMs,
    stuckAfterMs: config.apiWorkerStuckAfterMs,
  })
  fleetMetrics(registry, fleet)
  const end = async () => {
    primaryProcess.isEnding = true
    const code = await fleet.stop()
    if (code !== 0) throw new ApiWorkerEndedError(code)
  }
  life.onDrain('workers', end, { timeoutMs: endTimeoutMs + CLOSING_MS })
  primaryProcess.further = () => fleet.endAgain()
  process.on('SIGHUP', () => {
    fleet.restart().then(
      () => logger.info(fleet.snapshot(), 'all workers are replaced'),
      (error: unknown) => logger.error({ err: error }, 'not all workers are replaced'),
    )
  })
  await life.phase('listen', () => fleet.start(), { timeoutMs: READY_BUDGET_MS + CLOSING_MS })
  const { url, themes } = await served.promise
  life.started({ url, workers: fleet.snapshot().pids })
  return { url, themes, inside }
}

/** The management port, where there is one. */
async function servePort(
  config: Config,
  life: Lifecycle,
  questions: WorkerQuestions,
  metrics: Parameters<typeof insideServer>[0]['metrics'],
): Promise<Server | undefined> {
  if (config.managementPort === undefined) return undefined
  const headers = await securityHeaders({
    contentSecurityPolicy: config.securityCsp,
    xssProtection: config.securityXssProtection,
  })
  const server = insideServer({ metrics, ask: (question) => questions.ask(question), headers })
  await listenInside(server, config)
  // When all workers have ended.
  life.onClose('management', () => {
    server.close()
    server.closeAllConnections()
  })
  return server
}

/** Whoever of the workers is cordoned, or is so no more: so are the others, and those that come. */
function shareCordon(serving: ReadonlySet<Worker>): void {
  let cordon: string | undefined
  const message = (): Cordon => ({
    kind: 'holdfast:api:cordon',
    ...(cordon !== undefined && { reason: cordon }),
  })
  cluster.on('message', (worker, received: unknown) => {
    const heard = readMessage(received)
    if (heard.kind === 'holdfast:api:serving' && cordon !== undefined) tellWorker(worker, message())
    if (heard.kind !== 'holdfast:api:cordon' || heard.reason === cordon) return
    cordon = heard.reason
    for (const other of serving) tellWorker(other, message())
  })
}

/** `numbers` are those of the workers that live. */
function forkWorker(numbers: Set<number>, environment: Readonly<Record<string, string>>): ForkedWorker {
  let number = 1
  while (numbers.has(number)) number += 1
  const worker = cluster.fork({ ...environment, [NUMBER_VARIABLE]: String(number) })
  numbers.add(number)
  const { process: child } = worker
  let serves = false
  let heardPulse = () => {}
  const ready = new Promise<void>((resolve) => {
    worker.on('message', (message: unknown) => {
      const { kind } = readMessage(message)
      if (kind === 'holdfast:api:pulse') heardPulse()
      if (kind !== 'holdfast:api:serving') return
      serves = true
      resolve()
    })
  })
  const exited = new Promise<number>((resolve) => {
    worker.once('exit', (code: number | null, signal: string | null) => {
      // One that such a signal ends has not begun to hear them: it serves nobody.
      resolve(code ?? (signal === 'SIGTERM' || signal === 'SIGINT' ? 0 : codeOf(signal)))
    })
    // Where the system has no process to give there is none that could exit.
    worker.on('error', () => {
      if (child.pid === undefined) resolve(1)
    })
  })
  exited.then(() => numbers.delete(number))
  return {
    pid: child.pid ?? 0,
    ready,
    exited,
    end(reason) {
      // One that was stuck and comes round makes room as well: others serve.
      if (reason !== 'stopping' && serves && worker.isConnected()) {
        tellWorker(worker, { kind: 'holdfast:api:replaced' })
      } else child.kill('SIGTERM')
    },
    kill: () => void child.kill('SIGKILL'),
    answers: () =>
      new Promise((resolve) => {
        heardPulse = resolve
        tellWorker(worker, { kind: 'holdfast:api:pulse' })
      }),
  }
}

/** As a shell has it. */
function codeOf(signal: string | null): number {
  return 128 + (Object.entries(constants.signals).find(([name]) => name === signal)?.[1] ?? 0)
}
