/**
 * Several processes of one service on one machine, as a primary keeps them: those that end by themselves are started
 * again, ever later when they keep ending; a restart replaces one after the other, and each only when its successor
 * serves, so that a version that does not start replaces nothing. Knows neither `node:cluster` nor signals: it is given
 * what forks.
 */

import { type Clock, holdProcess } from '@holdfast/footing'
import { OptionError, RestartFailedError, StoppedError, WorkerFailedError } from './errors.ts'
import type { LifecycleLog } from './options.ts'

/** A process that was forked. */
export interface ForkedWorker {
  readonly pid: number
  /** Resolves when it serves; never, when it ends before. */
  readonly ready: Promise<void>
  /** Resolves with its exit code; 1 where a signal ended it. */
  readonly exited: Promise<number>
  /** Tells it to end in order. */
  end(): void
  /** Ends it at once. */
  kill(): void
}

/** What a fleet is made of. */
export interface WorkerFleetSettings {
  /** How many, at least 1 and at most 256. */
  readonly workers: number
  /** Forks the worker of a place, which is counted from 0. */
  readonly fork: (place: number) => ForkedWorker
  readonly clock: Clock
  readonly log: LifecycleLog
  /** Longest time until one serves. Default 60,000 ms. */
  readonly readyTimeoutMs?: number
  /** Longest time until one that was told to end has ended. Default 60,000 ms; longer than its own way down. */
  readonly endTimeoutMs?: number
}

/** A fleet as plain data. */
export interface WorkerFleetSnapshot {
  /** The process of each place; undefined while there is none. */
  readonly pids: readonly (number | undefined)[]
  /** Workers that ended without having been told to. */
  readonly lost: number
  readonly restarting: boolean
}

interface Place {
  readonly place: number
  worker: ForkedWorker | undefined
  startedMs: number
  /** Ends in a row, each soon after a start. */
  failures: number
  replacing: boolean
  cancel: () => void
}

const MAX_WORKERS = 256
const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 30_000
/** Who has lived so long has not failed to start. */
const STABLE_MS = 60_000

/** The workers of one machine. */
export class WorkerFleet {
  readonly #settings: WorkerFleetSettings
  readonly #places: Place[]
  readonly #readyTimeoutMs: number
  readonly #endTimeoutMs: number
  #started = false
  #stopping: Promise<number> | undefined
  #restarting: Promise<void> | undefined
  #lost = 0

  /** Raises `HOLDFAST_ERR_LIFECYCLE_OPTION`. */
  constructor(settings: WorkerFleetSettings) {
    const { workers, readyTimeoutMs = 60_000, endTimeoutMs = 60_000 } = settings
    if (!(Number.isInteger(workers) && workers >= 1 && workers <= MAX_WORKERS)) {
      throw new OptionError('workers', `a whole number from 1 to ${MAX_WORKERS}`, String(workers))
    }
    this.#settings = settings
    this.#readyTimeoutMs = readyTimeoutMs
    this.#endTimeoutMs = endTimeoutMs
    this.#places = Array.from({ length: workers }, (_, place) => ({
      place,
      worker: undefined,
      startedMs: 0,
      failures: 0,
      replacing: false,
      cancel: () => {},
    }))
  }

  /**
   * Starts all, and resolves when all serve. When one does not, the others end and this rejects with
   * `HOLDFAST_ERR_LIFECYCLE_WORKER_FAILED`: what keeps one from starting keeps all.
   */
  async start(): Promise<void> {
    const begun = this.#places.map(async (place) => {
      const outcome = await this.#outcome(this.#begin(place))
      if (outcome === 'ready') return
      const what = outcome === 'late' ? 'does not serve in time' : `ended with ${outcome}`
      throw new WorkerFailedError(place.place, what)
    })
    try {
      await Promise.all(begun)
      this.#started = true
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /**
   * Replaces each in turn: its successor first, and when that serves it is told to end. Rejects with
   * `HOLDFAST_ERR_LIFECYCLE_RESTART_FAILED` at the first successor that does not serve; it and those after it stay what
   * they were. Who calls while one runs waits for that one.
   */
  restart(): Promise<void> {
    if (this.#stopping !== undefined) return Promise.reject(new StoppedError('a restart cannot begin'))
    this.#restarting ??= this.#replaceAll().finally(() => {
      this.#restarting = undefined
    })
    return this.#restarting
  }

  /** Tells all to end, and resolves with the worst exit code when all have; those that do not in time are killed. */
  stop(): Promise<number> {
    this.#stopping ??= this.#endAll()
    return this.#stopping
  }

  /** Tells all that are left again, on a further signal: each shortens what is left of its own way down. */
  endAgain(): void {
    for (const { worker } of this.#places) worker?.end()
  }

  /** Everything, as plain data. */
  snapshot(): WorkerFleetSnapshot {
    return {
      pids: this.#places.map(({ worker }) => worker?.pid),
      lost: this.#lost,
      restarting: this.#restarting !== undefined,
    }
  }

  #begin(place: Place): ForkedWorker {
    const worker = this.#settings.fork(place.place)
    place.worker = worker
    place.startedMs = this.#settings.clock.nowMs()
    worker.exited.then((code) => this.#ended(place, worker, code))
    return worker
  }

  #ended(place: Place, worker: ForkedWorker, code: number): void {
    // One that was replaced is nobody's any more.
    if (place.worker !== worker) return
    place.worker = undefined
    if (this.#stopping !== undefined || !this.#started) return
    const { clock, log } = this.#settings
    this.#lost += 1
    const livedMs = clock.nowMs() - place.startedMs
    place.failures = livedMs >= STABLE_MS ? 1 : place.failures + 1
    const waitMs = Math.min(FIRST_WAIT_MS * 2 ** (place.failures - 1), LONGEST_WAIT_MS)
    log.error(
      { place: place.place, pid: worker.pid, code, livedMs: Math.round(livedMs), waitMs },
      'a worker has ended',
    )
    if (place.replacing) return
    const release = holdProcess()
    const cancel = clock.schedule(waitMs, () => {
      release()
      this.#begin(place)
    })
    place.cancel = () => {
      release()
      cancel()
    }
  }

  async #replaceAll(): Promise<void> {
    for (const place of this.#places) {
      if (this.#stopping !== undefined) throw new StoppedError('the restart was interrupted')
      await this.#replace(place)
    }
  }

  async #replace(place: Place): Promise<void> {
    const { log, fork, clock } = this.#settings
    place.replacing = true
    place.cancel()
    const old = place.worker
    try {
      const successor = fork(place.place)
      const outcome = await this.#outcome(successor)
      if (outcome !== 'ready' || this.#stopping !== undefined) {
        successor.kill()
        await successor.exited
        // It may have been lost meanwhile.
        if (place.worker === undefined && this.#stopping === undefined) this.#begin(place)
        throw new RestartFailedError(place.place)
      }
      const before = place.worker
      place.worker = successor
      place.startedMs = clock.nowMs()
      place.failures = 0
      successor.exited.then((code) => this.#ended(place, successor, code))
      log.info({ place: place.place, pid: successor.pid, instead_of: old?.pid }, 'a worker is replaced')
      if (before !== undefined) await this.#end(before)
    } finally {
      place.replacing = false
    }
  }

  /** Whether it serves, ended before, or took too long. */
  #outcome(worker: ForkedWorker): Promise<'ready' | 'late' | number> {
    const late = Promise.withResolvers<'late'>()
    const release = holdProcess()
    const cancel = this.#settings.clock.schedule(this.#readyTimeoutMs, () => late.resolve('late'))
    const ready = worker.ready.then(() => 'ready' as const)
    return Promise.race([worker.exited, ready, late.promise]).finally(() => {
      cancel()
      release()
    })
  }

  /** Tells one to end; answers its exit code. */
  async #end(worker: ForkedWorker): Promise<number> {
    const release = holdProcess()
    const cancel = this.#settings.clock.schedule(this.#endTimeoutMs, () => {
      this.#settings.log.error({ pid: worker.pid }, 'a worker does not end and is killed')
      worker.kill()
    })
    worker.end()
    try {
      return await worker.exited
    } finally {
      cancel()
      release()
    }
  }

  async #endAll(): Promise<number> {
    for (const place of this.#places) place.cancel()
    const workers = this.#places.flatMap(({ worker }) => worker ?? [])
    const codes = await Promise.all(workers.map((worker) => this.#end(worker)))
    return Math.max(0, ...codes)
  }
}
