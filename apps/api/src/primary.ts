// Several processes on one machine. This one starts them, starts those again that end, replaces them one after the other
// on SIGHUP, and ends them; it serves nobody itself, so there is little in it that could fail.

import cluster from 'node:cluster'
import { systemClock } from '@holdfast/footing'
import {
  type ForkedWorker,
  type Lifecycle,
  type LifecycleOptions,
  type ProcessPort,
  WorkerFleet,
} from '@holdfast/lifecycle'
import { collectCluster } from '@holdfast/metrics'
import type { Logger } from 'pino'
import { type Config, WORKER_PLACE } from './config.ts'
import type { DevelopmentDatabase } from './db/development-database.ts'
import { ApiWorkerEndedError } from './errors.ts'
import type { Once } from './once.ts'
import { shutdownTimes } from './shutdown-times.ts'

const SERVING = 'holdfast:serving'
const READY_BUDGET_MS = 120_000
/** Beyond what a worker takes for its own way down: aborting, closing, and a process that ends. */
const CLOSING_MS = 15_000

/** Whether this process is to start others. */
export function isPrimary({ apiWorkers }: Config): boolean {
  return cluster.isPrimary && apiWorkers > 1
}

/** Whether this process was started by a primary. */
export const isWorker = cluster.isWorker

/** The first signal is for the lifecycle; further ones are for those who have somebody to serve. */
class PrimaryProcess implements ProcessPort {
  further: () => void = () => {}
  #heard = false

  on(event: string, listener: (first: unknown) => void): void {
    if (!event.startsWith('SIG')) {
      process.on(event, listener)
      return
    }
    process.on(event, (name) => {
      if (this.#heard) this.further()
      else listener(name)
      this.#heard = true
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

/** What the terminal sends to all of them is for the primary to act on. */
export function leaveTerminalToPrimary(): void {
  if (isWorker) process.on('SIGINT', () => {})
}

/** Runs the primary until it is told to end. `own` is the database, where there is no other. */
export async function runPrimary(
  config: Config,
  life: Lifecycle,
  logger: Logger,
  own: Once<DevelopmentDatabase>,
): Promise<void> {
  const url =
    config.databaseUrl === undefined
      ? await life.phase('connect', async () => (await own.get()).url)
      : undefined
  // Before there is a worker that could tell.
  if (config.enableMetrics) collectCluster(cluster, systemClock)
  const { drainMs, requestTimeoutMs } = shutdownTimes(config)
  const endTimeoutMs = drainMs + requestTimeoutMs + CLOSING_MS
  const fleet = new WorkerFleet({
    workers: config.apiWorkers,
    fork: (place) =>
      forkWorker({ ...(url !== undefined && { DATABASE_URL: url }), [WORKER_PLACE]: String(place) }),
    clock: systemClock,
    log: logger,
    readyTimeoutMs: READY_BUDGET_MS,
    endTimeoutMs,
  })
  const end = async () => {
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
  life.started({ workers: fleet.snapshot().pids })
}

function forkWorker(environment: Readonly<Record<string, string>>): ForkedWorker {
  const worker = cluster.fork(environment)
  const { process: child } = worker
  return {
    pid: child.pid ?? 0,
    ready: new Promise((resolve) => {
      worker.on('message', (message: unknown) => {
        if (message === SERVING) resolve()
      })
    }),
    exited: new Promise((resolve) => {
      worker.once('exit', (code: number | null) => resolve(code ?? 1))
    }),
    end: () => void child.kill('SIGTERM'),
    kill: () => void child.kill('SIGKILL'),
  }
}

/** In a worker: tells the primary that it serves, and ends when there is none any more. */
export function serveUnderPrimary(life: Lifecycle): void {
  process.once('disconnect', () => life.stop('the primary process has gone'))
  process.send?.(SERVING)
}
