import { type Clock, holdProcess, LONGEST_TIMER_MS } from '@holdfast/footing'
import type { QueryResult, QueryResultRow } from 'pg'
import type { GateLog } from './gate.ts'
import type { QueryOptions } from './guarded-client.ts'
import { LazyTimer } from './lazy-timer.ts'
import { checks } from './option-checks.ts'
import type { PressureState } from './pressure.ts'
import { type Criticality, runInScope } from './request-scope.ts'
import type { Transaction, TransactionOptions } from './transaction.ts'

/** What `find` answers when it was too early to look: neither a success nor a failure. */
export const NOT_YET: unique symbol = Symbol('not yet')

/** How a round of a worker ended. */
export interface WorkerRound {
  /** `nothing`: there was nothing to save; `waited`: it was too early to look; `skipped`: the pool was under pressure. */
  readonly outcome: 'saved' | 'nothing' | 'waited' | 'skipped' | 'failed'
  /** Failures in a row, this one included; 0 after a success. What waited or was skipped is neither. */
  readonly failures: number
  /** What it failed with. */
  readonly error?: unknown
  /** How long a connection was held for the save, in ms; undefined where there was none. */
  readonly heldMs?: number | undefined
}

/** What one round of a worker does. Nothing but `save` has a connection, and `save` has no way to sleep. */
export interface WorkerOptions<Found> {
  /** Its name in logs, and the `route` of its connections. */
  readonly name: string
  /** The pause between two rounds, in ms; doubled after every failure in a row, up to `maxPauseMs`. */
  readonly intervalMs: number
  /** Longest pause after failures, in ms. Default 10 times `intervalMs`. */
  readonly maxPauseMs?: number
  /** Each pause is shorter by up to this share, and the first round begins within one, so that workers are staggered. Default 0.2. */
  readonly jitter?: number
  /** The pause before the first round, in ms, where somebody else staggers. Default up to `jitter` of `intervalMs`, at random. */
  readonly firstPauseMs?: number
  /**
   * The pause after a round, in ms, in place of `intervalMs`, `maxPauseMs` and `jitter`: where whoever is asked says when
   * to come again. What is no pause that a timer can wait becomes `intervalMs`. Default: none.
   */
  readonly pauseMs?: (round: WorkerRound) => number
  /** Told how a round ended. What it throws is logged. Default: nobody. */
  readonly onRound?: (round: WorkerRound) => void
  /** The class of its work. Default `background`. */
  readonly criticality?: Criticality
  /** Whether a round is skipped while the pool is under pressure. Default true for `background`, else false. */
  readonly pauseUnderPressure?: boolean
  /** A connection on which nothing runs for so long inside `save` is reported, in ms. Default 500. */
  readonly idleWarnMs?: number
  /**
   * Finds out what is to be saved: asks others, computes, waits. Has no connection. `undefined`: nothing to save;
   * `NOT_YET`: it was too early to look, which ends no row of failures.
   */
  readonly find: (context: { readonly signal: AbortSignal }) => Promise<Found | typeof NOT_YET | undefined>
  /** Saves it, in one transaction. The connection is held for as long as this takes: wait for nothing else here. */
  readonly save: (tx: Pick<Transaction, 'query'>, found: Found) => Promise<unknown>
}

/** What a worker needs of the pool guard. */
export interface WorkerParts {
  readonly clock: Clock
  readonly random: () => number
  readonly log: GateLog | undefined
  readonly pressure: () => PressureState
  readonly transaction: <T>(options: TransactionOptions, work: (tx: Transaction) => Promise<T>) => Promise<T>
  /** Called when the worker has stopped. */
  readonly onStopped: (worker: Worker) => void
}

/** A worker as plain data. */
export interface WorkerSnapshot {
  readonly name: string
  readonly state: 'pausing' | 'finding' | 'saving' | 'stopped'
  readonly rounds: number
  readonly saved: number
  readonly failed: number
  /** Rounds that were skipped under pressure. */
  readonly skipped: number
  /** Times a connection lay idle inside `save`. */
  readonly heldIdle: number
}

/** A running worker. */
export interface Worker {
  snapshot(): WorkerSnapshot
  /** Ends the pause and the search, lets a save finish, and resolves when all is over. Never rejects. */
  stop(): Promise<void>
}

type Optional = 'firstPauseMs' | 'pauseMs' | 'onRound'

/** The options with every default filled in. */
type ResolvedWorker<Found> = Required<Omit<WorkerOptions<Found>, Optional>> & {
  readonly [Name in Optional]: WorkerOptions<Found>[Name] | undefined
}

/** Fills in the defaults; raises `HOLDFAST_ERR_POOL_GUARD_OPTION` for a wrong value. */
function resolveWorker<Found>(options: WorkerOptions<Found>): ResolvedWorker<Found> {
  checks.object('worker', options)
  const intervalMs = checks.duration('worker.intervalMs', options.intervalMs, 1)
  const criticality = checks.oneOf('worker.criticality', options.criticality ?? 'background', [
    'critical',
    'normal',
    'background',
  ])
  const resolved = {
    name: checks.text('worker.name', options.name, 64),
    intervalMs,
    maxPauseMs: checks.duration('worker.maxPauseMs', options.maxPauseMs ?? 10 * intervalMs, intervalMs),
    jitter: checks.number('worker.jitter', options.jitter ?? 0.2, 0, 1),
    firstPauseMs:
      options.firstPauseMs === undefined
        ? undefined
        : checks.duration('worker.firstPauseMs', options.firstPauseMs),
    pauseMs: checks.callable('worker.pauseMs', options.pauseMs),
    onRound: checks.callable('worker.onRound', options.onRound),
    criticality,
    pauseUnderPressure: checks.flag(
      'worker.pauseUnderPressure',
      options.pauseUnderPressure ?? criticality === 'background',
    ),
    idleWarnMs: checks.duration('worker.idleWarnMs', options.idleWarnMs ?? 500, 1),
    find: options.find,
    save: options.save,
  }
  checks.having('worker', options, ['find', 'save'])
  checks.onlyKnown('worker.', options, Object.keys(resolved))
  return resolved
}

/**
 * Does one thing again and again: finds, saves, pauses. A connection is held for the save alone, so that neither a slow
 * source nor a pause costs the pool anything. A failed round is logged and tried again later; nothing ends the loop but
 * `stop()`.
 */
export class WorkerLoop<Found> implements Worker {
  readonly #options: ResolvedWorker<Found>
  readonly #parts: WorkerParts
  readonly #stopping = new AbortController()
  /** A worker is what its process is for: its pauses are not a reason to end. */
  readonly #letGo: () => void
  readonly #running: Promise<void>
  #state: WorkerSnapshot['state'] = 'pausing'
  #rounds = 0
  #saved = 0
  #failed = 0
  #skipped = 0
  #heldIdle = 0
  #failuresInARow = 0

  /** Starts at once. @throws `HOLDFAST_ERR_POOL_GUARD_OPTION` */
  constructor(options: WorkerOptions<Found>, parts: WorkerParts) {
    this.#options = resolveWorker(options)
    this.#parts = parts
    this.#letGo = holdProcess()
    this.#running = this.#run()
  }

  snapshot(): WorkerSnapshot {
    return {
      name: this.#options.name,
      state: this.#state,
      rounds: this.#rounds,
      saved: this.#saved,
      failed: this.#failed,
      skipped: this.#skipped,
      heldIdle: this.#heldIdle,
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    // A search that does not heed its signal must not keep the process.
    this.#letGo()
    await this.#running
  }

  async #run(): Promise<void> {
    const { intervalMs, jitter, firstPauseMs = intervalMs * jitter * this.#parts.random() } = this.#options
    const { signal } = this.#stopping
    try {
      await this.#pause(firstPauseMs)
      while (!signal.aborted) {
        const round = await this.#round()
        if (round === undefined) break
        this.#tell(round)
        await this.#pause(this.#pauseAfter(round))
      }
    } finally {
      this.#state = 'stopped'
      this.#parts.onStopped(this)
    }
  }

  /** Undefined: it was ended by `stop()`. */
  async #round(): Promise<WorkerRound | undefined> {
    const { name, find, pauseUnderPressure } = this.#options
    const { signal } = this.#stopping
    if (pauseUnderPressure && this.#parts.pressure() === 'pressed') {
      this.#skipped += 1
      return { outcome: 'skipped', failures: this.#failuresInARow }
    }
    this.#rounds += 1
    try {
      this.#state = 'finding'
      // Whoever asks the pool in here does so in the name of the worker, and briefly.
      const found = await runInScope(this.#scope, () => find({ signal }))
      if (found === NOT_YET) return { outcome: 'waited', failures: this.#failuresInARow }
      const heldMs = found === undefined || signal.aborted ? undefined : await this.#save(found)
      this.#failuresInARow = 0
      return { outcome: heldMs === undefined ? 'nothing' : 'saved', failures: 0, heldMs }
    } catch (error) {
      if (signal.aborted) return undefined
      this.#failed += 1
      this.#failuresInARow += 1
      const failures = this.#failuresInARow
      const { code, message } = error as { code?: unknown; message?: unknown }
      const fields = { worker: name, code, reason: message, failures }
      this.#parts.log?.warn(fields, `worker "${name}" failed and tries again later`)
      return { outcome: 'failed', failures, error }
    }
  }

  /** How long the connection was held, in ms. */
  async #save(found: Found): Promise<number> {
    const { name, save, idleWarnMs } = this.#options
    const { clock, log, transaction } = this.#parts
    this.#state = 'saving'
    const askedMs = clock.nowMs()
    let openedMs = askedMs
    const timer = new LazyTimer(clock, () => {
      this.#heldIdle += 1
      log?.warn(
        { worker: name, idle_ms: idleWarnMs },
        `worker "${name}" holds a connection and does nothing with it: wait in find(), not in save()`,
      )
    })
    try {
      await transaction({ ...this.#scope }, (tx) => {
        openedMs = clock.nowMs()
        timer.set(openedMs + idleWarnMs, openedMs)
        return save(watched(tx, timer, clock, idleWarnMs), found)
      })
    } finally {
      timer.stop()
    }
    this.#saved += 1
    const heldMs = clock.nowMs() - openedMs
    const fields = { worker: name, waited_ms: Math.round(openedMs - askedMs), held_ms: Math.round(heldMs) }
    log?.info(fields, `worker "${name}": opened, saved, closed`)
    return heldMs
  }

  #pauseAfter(round: WorkerRound): number {
    const { intervalMs, maxPauseMs, jitter, pauseMs } = this.#options
    if (pauseMs !== undefined) {
      const wishedMs = this.#heeded('pauseMs', () => pauseMs(round))
      const fits = typeof wishedMs === 'number' && wishedMs >= 0 && wishedMs <= LONGEST_TIMER_MS
      return fits ? wishedMs : intervalMs
    }
    const longMs = Math.min(maxPauseMs, intervalMs * 2 ** Math.min(this.#failuresInARow, 30))
    return longMs * (1 - jitter * this.#parts.random())
  }

  #tell(round: WorkerRound): void {
    const { onRound } = this.#options
    if (onRound !== undefined) this.#heeded('onRound', () => onRound(round))
  }

  /** A mistake of a listener must not end the loop. */
  #heeded<T>(option: string, call: () => T): T | undefined {
    try {
      return call()
    } catch (error) {
      const { message } = Object(error) as { message?: unknown }
      this.#parts.log?.warn(
        { worker: this.#options.name, reason: message },
        `worker option "${option}" failed`,
      )
      return undefined
    }
  }

  get #scope(): { readonly criticality: Criticality; readonly route: string } {
    const { name, criticality } = this.#options
    return { criticality, route: `worker ${name}` }
  }

  #pause(delayMs: number): Promise<void> {
    this.#state = 'pausing'
    const { signal } = this.#stopping
    return new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const wake = (): void => {
        cancel()
        signal.removeEventListener('abort', wake)
        resolve()
      }
      const cancel = this.#parts.clock.schedule(delayMs, wake)
      signal.addEventListener('abort', wake, { once: true })
    })
  }
}

/** The same transaction, whose silences are timed. */
function watched(
  tx: Transaction,
  timer: LazyTimer,
  clock: Clock,
  idleWarnMs: number,
): Pick<Transaction, 'query'> {
  let running = 0
  return {
    async query<R extends QueryResultRow>(
      sql: string,
      parameters?: readonly unknown[],
      options?: QueryOptions,
    ): Promise<QueryResult<R>> {
      running += 1
      timer.lift()
      try {
        return await tx.query<R>(sql, parameters, options)
      } finally {
        running -= 1
        const nowMs = clock.nowMs()
        if (running === 0) timer.set(nowMs + idleWarnMs, nowMs)
      }
    },
  }
}
