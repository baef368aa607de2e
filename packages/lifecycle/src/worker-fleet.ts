/**
 * Several processes of one service on one machine, as a primary keeps them: those that end by themselves are started
 * again, ever later when they keep ending; those that do not answer any more are ended, one at a time; a restart replaces
 * one after the other, and each only when its successor serves, so that a version that does not start replaces nothing.
 * Knows neither `node:cluster` nor signals: it is given what forks.
 */

import { type Clock, holdProcess } from '@holdfast/footing'
import { OptionError, RestartFailedError, StoppedError, WorkerFailedError } from './errors.ts'
import { checks, type LifecycleLog } from './options.ts'
import { type Watched, WorkerWatch } from './worker-watch.ts'

/** Why a worker is told to end: others serve in its place, all of them end, or it did not answer any more. */
export type EndReason = 'replaced' | 'stopping' | 'stuck'

/**
 * How workers are lost: they ended, a signal that was not from here ended them, they did not serve in time when they were
 * started again, or they did not answer any more.
 */
export const LOSS_REASONS = ['ended', 'killed', 'late', 'stuck'] as const

/** How a worker was lost. */
export type LossReason = (typeof LOSS_REASONS)[number]

/** A process that was forked. `answers()` is asked of those that serve. */
export interface ForkedWorker extends Watched {
  readonly pid: number
  /** Resolves when it serves; never, when it ends before. */
  readonly ready: Promise<void>
  /** Resolves with its exit code; with 128 and the number of the signal where one ended it. */
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
  /**
   * One that serves and has not answered for so long is stuck: it is told to end, killed five seconds later unless it has
   * answered by then, and started again. One at a time, and only while half of the others serve. Time for which this
   * process is late itself does not count. Default 30,000 ms; 0: nobody is asked.
   */
  readonly stuckAfterMs?: number
}

/** A fleet as plain data. */
export interface WorkerFleetSnapshot {
  /** The process of each place; undefined while there is none. */
  readonly pids: readonly (number | undefined)[]
  /** Places with a worker that has begun to serve and has not ended. */
  readonly serving: number
  /** Workers that ended without having been told to, or had to be ended, because they were late or stuck. */
  readonly lost: number
  /** The same by reason. */
  readonly lostBy: Readonly<Record<LossReason, number>>
  /** Workers that a restart has replaced. */
  readonly replaced: number
  /** The longest time for which one of those that serve has not answered; a sixth of `stuckAfterMs` is the least. */
  readonly silentMs: number
  readonly restarting: boolean
}

interface Place {
  readonly place: number
  worker: ForkedWorker | undefined
  /** Somebody has served here: whoever ends from now on is started again. */
  served: boolean
  /** Its worker has begun to. */
  serves: boolean
  /** The one that was stuck, until its successor serves, or has failed once. */
  stuck: ForkedWorker | undefined
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
const STUCK_AFTER_MS = 30_000
/** One that is stuck is killed so long after it was told to end. */
const LAST_WORD_MS = 5000
/** What shells add to the number of a signal that ended a process. */
const BY_SIGNAL = 128

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
  readonly #watch: WorkerWatch<ForkedWorker>
  /** Whoever has been counted. */
  readonly #counted = new WeakSet<ForkedWorker>()
  readonly #lost: Record<LossReason, number> = { ended: 0, killed: 0, late: 0, stuck: 0 }
  #replaced = 0

  /** Raises `HOLDFAST_ERR_LIFECYCLE_OPTION`. */
  constructor(settings: WorkerFleetSettings) {
    const { workers, readyTimeoutMs = 60_000, endTimeoutMs = 60_000 } = settings
    if (!(Number.isInteger(workers) && workers >= 1 && workers <= MAX_WORKERS)) {
      throw new OptionError('workers', `a whole number from 1 to ${MAX_WORKERS}`, String(workers))
    }
    this.#settings = settings
    this.#readyTimeoutMs = readyTimeoutMs
    this.#endTimeoutMs = endTimeoutMs
    this.#watch = new WorkerWatch({
      clock: settings.clock,
      stuckAfterMs: checks.duration('stuckAfterMs', settings.stuckAfterMs ?? STUCK_AFTER_MS),
      watched: () => this.#watched(),
      stuck: (worker, silentMs) => this.#relieve(worker, silentMs),
    })
    this.#places = Array.from({ length: workers }, (_, place) => ({
      place,
      worker: undefined,
      served: false,
      serves: false,
      stuck: undefined,
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
      serving: this.#places.filter(({ serves }) => serves).length,
      lost: Object.values(this.#lost).reduce((sum, count) => sum + count, 0),
      lostBy: { ...this.#lost },
      replaced: this.#replaced,
      silentMs: Math.max(0, ...[...this.#watched()].map((worker) => this.#watch.silentMs(worker))),
      restarting: this.#restarting !== undefined,
    }
  }

  async #startAll(): Promise<void> {
    this.#watch.begin()
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
    place.serves = false
    place.startedMs = this.#settings.clock.nowMs()
    worker.ready.then(() => {
      place.served = true
      if (place.worker !== worker) return
      place.serves = true
      place.stuck = undefined
    })
    worker.exited.then((code) => this.#ended(place, worker, code))
  }

  #ended(place: Place, worker: ForkedWorker, code: number): void {
    // One that was replaced is nobody's any more.
    if (place.worker !== worker) return
    place.worker = undefined
    place.serves = false
    if (place.stuck !== worker) place.stuck = undefined
    // Of a first one that never served start() tells.
    if (this.#stopping !== undefined || !place.served) return
    const { clock, log } = this.#settings
    this.#count(worker, code > BY_SIGNAL ? 'killed' : 'ended')
    const livedMs = clock.nowMs() - place.startedMs
    place.failures = livedMs >= STABLE_MS ? 1 : place.failures + 1
    const waitMs = Math.min(FIRST_WAIT_MS * 2 ** (place.failures - 1), LONGEST_WAIT_MS)
    log.error(
      { place: place.place, pid: worker.pid, code, livedMs: Math.round(livedMs), waitMs },
      'a worker has ended',
    )
    if (!place.replacing) this.#reviveIn(place, waitMs)
  }

  /** Once for each worker: what it was first counts. */
  #count(worker: ForkedWorker, reason: LossReason): void {
    if (this.#counted.has(worker)) return
    this.#counted.add(worker)
    this.#lost[reason] += 1
  }

  /** Those that serve and were not told to end. */
  *#watched(): Generator<ForkedWorker, void, void> {
    for (const { worker, serves } of this.#places) {
      if (worker !== undefined && serves && !this.#ending.has(worker)) yield worker
    }
  }

  /** Ends one that does not answer any more, where the others can do without it; else the next look asks again. */
  #relieve(worker: ForkedWorker, silentMs: number): void {
    const place = this.#places.find((each) => each.worker === worker)
    if (place === undefined || !this.#canLose(place)) return
    const { clock, log } = this.#settings
    const { pid } = worker
    place.stuck = worker
    this.#count(worker, 'stuck')
    log.error({ place: place.place, pid, silentMs }, 'a worker does not answer and is told to end')
    const cancel = clock.schedule(LAST_WORD_MS, () => {
      // Else it has come round, and ends in order.
      if (!this.#watch.isSilent(worker)) return
      log.error({ place: place.place, pid }, 'a worker does not answer and is killed')
      worker.kill()
    })
    this.#end(worker, 'stuck').finally(cancel)
  }

  #canLose(place: Place): boolean {
    // Its successor is on its way, or that of another one.
    if (place.replacing || this.#places.some(({ stuck }) => stuck !== undefined)) return false
    const others = this.#places.filter((other) => other !== place && other.serves)
    return others.length >= Math.floor(this.#places.length / 2)
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
    this.#count(worker, 'late')
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
    this.#replaced += 1
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
    this.#watch.end()
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
