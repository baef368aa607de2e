/**
 * Several processes of one service on one machine, as a primary keeps them: those that end by themselves are started
 * again, ever later when they keep ending; a restart replaces one after the other, and each only when its successor
 * serves, so that a version that does not start replaces nothing. Knows neither `node:cluster` nor signals: it is given
 * what forks.
 */

import { type Clock, holdProcess } from '@holdfast/footing'
import { OptionError, RestartFailedError, StoppedError, WorkerFailedError } from './errors.ts'
import type { LifecycleLog } from './options.ts'

/** Why a worker is told to end: others serve in its place, or all of them end. */
export type EndReason = 'replaced' | 'stopping'

/** A process that was forked. */
export interface ForkedWorker {
  readonly pid: number
  /** Resolves when it serves; never, when it ends before. */
  readonly ready: Promise<void>
  /** Resolves with its exit code; 1 where a signal ended it. */
  readonly exited: Promise<number>
  /** Tells it to end in order; told again, it shortens what is left of its way down. */
  end(reason: EndReason): void
  /** Ends it at once. */
  kill(): void
}

/** What a fleet is made of. */
export interface WorkerFleetSettings {
  /** How many, at least 1 and at most 256. */
  readonly workers: number
  /** Forks the worker of a place, which is counted from 0. What it throws counts as a worker that has ended. */
  readonly fork: (place: number) => ForkedWorker
  readonly clock: Clock
  readonly log: LifecycleLog
  /** Longest time until one serves; then it is killed. Default 60,000 ms. */
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
  /** Somebody has served here: whoever ends from now on is started again. */
  served: boolean
  startedMs: number
  /** Ends in a row, each soon after a start. */
  failures: number
  /** Whoever replaces its worker sees to it that there is one. */
  replacing: boolean
  /** Gives up the next start. */
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
  /** All that have not ended, those that are replaced and those that are to replace them included. */
  readonly #living = new Set<ForkedWorker>()
  /** Those that were told to end. */
  readonly #ending = new Map<ForkedWorker, Promise<number>>()
  readonly #readyTimeoutMs: number
  readonly #endTimeoutMs: number
  #starting: Promise<void> | undefined
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
      served: false,
      startedMs: 0,
      failures: 0,
      replacing: false,
      cancel: () => {},
    }))
  }

  /**
   * Starts all, once, and resolves when all serve. When one does not, the others end and this rejects with
   * `HOLDFAST_ERR_LIFECYCLE_WORKER_FAILED`: what keeps one from starting keeps all. A stop in between rejects it with
   * `HOLDFAST_ERR_LIFECYCLE_STOPPED`.
   */
  start(): Promise<void> {
    this.#starting ??= this.#startAll()
    return this.#starting
  }

  /**
   * Replaces each in turn, once all have started: its successor first, and when that serves it is told to end. Rejects
   * with `HOLDFAST_ERR_LIFECYCLE_RESTART_FAILED` at the first successor that does not serve: its place and those after it
   * stay what they were. Who calls while one runs waits for that one.
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

  /** Tells all that are left again, on a further signal. */
  endAgain(): void {
    for (const worker of this.#living) worker.end('stopping')
  }

  /** Everything, as plain data. */
  snapshot(): WorkerFleetSnapshot {
    return {
      pids: this.#places.map(({ worker }) => worker?.pid),
      lost: this.#lost,
      restarting: this.#restarting !== undefined,
    }
  }

  async #startAll(): Promise<void> {
    const begun = this.#places.map(async (place) => {
      const outcome = await this.#outcome(this.#begin(place))
      if (this.#stopping !== undefined) throw new StoppedError('the start was interrupted')
      if (outcome === 'ready') return
      throw new WorkerFailedError(place.place, wordOf(outcome))
    })
    try {
      await Promise.all(begun)
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  #begin(place: Place): ForkedWorker {
    const worker = this.#fork(place)
    this.#adopt(place, worker)
    return worker
  }

  #fork({ place }: Place): ForkedWorker {
    const worker = this.#tryToFork(place)
    this.#living.add(worker)
    worker.exited.then(() => this.#living.delete(worker))
    return worker
  }

  #tryToFork(place: number): ForkedWorker {
    try {
      return this.#settings.fork(place)
    } catch (error) {
      this.#settings.log.error({ place, err: error }, 'a worker cannot be forked')
      return unborn
    }
  }

  #adopt(place: Place, worker: ForkedWorker): void {
    place.worker = worker
    place.startedMs = this.#settings.clock.nowMs()
    worker.ready.then(() => {
      place.served = true
    })
    worker.exited.then((code) => this.#ended(place, worker, code))
  }

  #ended(place: Place, worker: ForkedWorker, code: number): void {
    // One that was replaced is nobody's any more.
    if (place.worker !== worker) return
    place.worker = undefined
    // Of a first one that never served start() tells.
    if (this.#stopping !== undefined || !place.served) return
    const { clock, log } = this.#settings
    this.#lost += 1
    const livedMs = clock.nowMs() - place.startedMs
    place.failures = livedMs >= STABLE_MS ? 1 : place.failures + 1
    const waitMs = Math.min(FIRST_WAIT_MS * 2 ** (place.failures - 1), LONGEST_WAIT_MS)
    log.error(
      { place: place.place, pid: worker.pid, code, livedMs: Math.round(livedMs), waitMs },
      'a worker has ended',
    )
    if (!place.replacing) this.#reviveIn(place, waitMs)
  }

  #reviveIn(place: Place, waitMs: number): void {
    const release = holdProcess()
    const cancel = this.#settings.clock.schedule(waitMs, () => {
      release()
      this.#revive(place)
    })
    place.cancel = () => {
      release()
      cancel()
    }
  }

  async #revive(place: Place): Promise<void> {
    const worker = this.#begin(place)
    const outcome = await this.#outcome(worker)
    // It may have been told to end, or replaced, meanwhile: others see to that.
    if (place.worker !== worker || this.#ending.has(worker)) return
    const { pid } = worker
    if (outcome === 'ready') this.#settings.log.info({ place: place.place, pid }, 'a worker serves again')
    if (outcome !== 'late') return
    this.#settings.log.error({ place: place.place, pid }, 'a worker does not serve in time and is killed')
    worker.kill()
  }

  async #replaceAll(): Promise<void> {
    await this.start()
    for (const place of this.#places) await this.#replace(place)
  }

  async #replace(place: Place): Promise<void> {
    if (this.#stopping !== undefined) throw new StoppedError('the restart was interrupted')
    place.replacing = true
    place.cancel()
    const successor = this.#fork(place)
    const outcome = await this.#outcome(successor)
    place.replacing = false
    // It ends with all the others.
    if (this.#stopping !== undefined) throw new StoppedError('the restart was interrupted')
    const before = place.worker
    if (outcome !== 'ready') {
      successor.kill()
      // Lost meanwhile.
      if (before === undefined) this.#revive(place)
      throw new RestartFailedError(place.place, wordOf(outcome))
    }
    place.failures = 0
    this.#adopt(place, successor)
    this.#settings.log.info(
      { place: place.place, pid: successor.pid, instead_of: before?.pid },
      'a worker is replaced',
    )
    if (before !== undefined) await this.#end(before, 'replaced')
  }

  /** Whether it serves, ended before, or took too long. */
  #outcome(worker: ForkedWorker): Promise<Outcome> {
    const late = Promise.withResolvers<'late'>()
    const release = holdProcess()
    const cancel = this.#settings.clock.schedule(this.#readyTimeoutMs, () => late.resolve('late'))
    const ready = worker.ready.then(() => 'ready' as const)
    return Promise.race([worker.exited, ready, late.promise]).finally(() => {
      cancel()
      release()
    })
  }

  /** Tells one to end, once; answers its exit code. */
  #end(worker: ForkedWorker, reason: EndReason): Promise<number> {
    const under = this.#ending.get(worker)
    if (under !== undefined) return under
    const release = holdProcess()
    const cancel = this.#settings.clock.schedule(this.#endTimeoutMs, () => {
      this.#settings.log.error({ pid: worker.pid }, 'a worker does not end and is killed')
      worker.kill()
    })
    const ended = worker.exited.finally(() => {
      cancel()
      release()
      this.#ending.delete(worker)
    })
    this.#ending.set(worker, ended)
    worker.end(reason)
    return ended
  }

  async #endAll(): Promise<number> {
    for (const place of this.#places) place.cancel()
    const codes = await Promise.all([...this.#living].map((worker) => this.#end(worker, 'stopping')))
    return Math.max(0, ...codes)
  }
}

/** Whether a worker serves, ended with a code, or took too long. */
type Outcome = 'ready' | 'late' | number

function wordOf(outcome: Outcome): string {
  return outcome === 'late' ? 'does not serve in time' : `ended with ${outcome}`
}

/** In place of one that could not be forked. */
const unborn: ForkedWorker = {
  pid: 0,
  ready: new Promise(() => {}),
  exited: Promise.resolve(1),
  end() {},
  kill() {},
}
