// The queue of jobs on pg-boss' tables: what `job-queue.ts` promises, put together of the statements (`boss-store.ts`)
// and a worker for each queue that this process works at (`queue-worker.ts`).

import { randomUUID } from 'node:crypto'
import { type Clock, systemClock } from '@holdfast/footing'
import type { Metrics } from '@holdfast/metrics'
import type { PoolGuard } from '@holdfast/pool-guard'
import { unavailability } from '../db/unavailable.ts'
import { ApiJobsClosedError } from '../errors.ts'
import { type BossLog, BossStore } from './boss-store.ts'
import { sealed } from './job-envelope.ts'
import { type JobRecorder, jobMetrics } from './job-metrics.ts'
import type { EnqueueOptions, JobHandler, JobQueue, QueueDepths, Statements } from './job-queue.ts'
import { failurePauseMs, idlePauseMs } from './poll-pause.ts'
import { type Correlation, QueueWorker, type QueueWorkerSnapshot } from './queue-worker.ts'
import type { QueueName } from './queues.ts'

/** What the queue is made of. */
export interface BossQueueOptions {
  readonly pool: Pick<PoolGuard, 'query' | 'transaction'>
  /** `Logs`, or `app.logging`. */
  readonly correlation: Correlation
  /** As pino has it. */
  readonly log: Readonly<Record<'warn' | 'error', (fields: object, message: string) => void>>
  /** Default: nothing is counted. */
  readonly metrics?: Pick<Metrics, 'counter' | 'gauge' | 'histogram'> | undefined
  /** Jobs of one queue at a time in this process. Default 4. */
  readonly concurrency?: number
  /** Between two questions for jobs when there are none, in ms; half of it to half more. Default 1000. */
  readonly pollMs?: number
  /** How often all processes together look for tries that nobody makes any more, in whole seconds. Default 5. */
  readonly lookSeconds?: number
  /**
   * What runs when `close()` is called may take so long, in ms; then a second is left to heed the signal, before the
   * job is given back. Default 3000.
   */
  readonly graceMs?: number
  readonly clock?: Clock
  /** In [0, 1). */
  readonly random?: () => number
}

const MAX_KEY = 200

/** Puts jobs in and runs them. */
export class BossQueue implements JobQueue {
  readonly #store: BossStore
  readonly #options: Required<Omit<BossQueueOptions, 'metrics' | 'pool' | 'log'>>
  readonly #log: BossLog
  readonly #record: JobRecorder
  readonly #workers = new Map<
    QueueName,
    { start(): void; stop(graceMs: number): Promise<void>; snapshot(): QueueWorkerSnapshot }
  >()
  #cancelLook: (() => void) | undefined
  #looking: Promise<void> = Promise.resolve()
  #closing: Promise<void> | undefined

  constructor({ pool, log, metrics, correlation, ...rest }: BossQueueOptions) {
    const { clock = systemClock, random = Math.random } = rest
    const { concurrency = 4, pollMs = 1000, lookSeconds = 5, graceMs = 3000 } = rest
    this.#options = { correlation, clock, random, concurrency, pollMs, lookSeconds, graceMs }
    this.#log = (level, fields, message) => log[level](fields, message)
    this.#store = new BossStore({ pool, log: this.#log, lookSeconds })
    this.#record = metrics === undefined ? () => {} : jobMetrics(metrics, () => this.depths(), clock)
  }

  async enqueue(
    tx: Statements,
    queue: QueueName,
    payload: object,
    options: EnqueueOptions = {},
  ): Promise<string | undefined> {
    const { key } = options
    if (key !== undefined && (key === '' || key.length > MAX_KEY)) {
      throw new RangeError(`the key of a job has 1 to ${MAX_KEY} characters, received ${key.length}`)
    }
    const id = randomUUID()
    const envelope = sealed(payload, this.#options.correlation.carrier())
    return (await this.#store.put(tx, queue, id, envelope, options)) ? id : undefined
  }

  async work<Payload>(queue: QueueName, handler: JobHandler<Payload>): Promise<void> {
    if (this.#closing !== undefined) throw new ApiJobsClosedError()
    if (this.#workers.has(queue)) throw new RangeError(`this process works at the queue ${queue} already`)
    const { correlation, clock, random, concurrency, pollMs } = this.#options
    const worker = new QueueWorker({
      queue,
      handler,
      store: this.#store,
      correlation,
      log: this.#log,
      onEnded: (outcome, seconds) => this.#record(queue, outcome, seconds),
      clock,
      random,
      concurrency,
      pollMs,
    })
    this.#workers.set(queue, worker)
    await this.#store.verify().catch((error: unknown) => {
      // A database that is away ends no start: it is asked for jobs until it is there.
      if (unavailability(error) === undefined) {
        this.#workers.delete(queue)
        throw error
      }
      this.#log('warn', { queue, err: error }, 'the database is not there yet')
    })
    if (this.#closing !== undefined) throw new ApiJobsClosedError()
    worker.start()
    this.#lookLater(0)
  }

  depths(): Promise<QueueDepths> {
    return this.#store.depths()
  }

  /** What this process works at, as plain data. */
  snapshot(): { readonly workers: readonly QueueWorkerSnapshot[] } {
    return { workers: [...this.#workers.values()].map((worker) => worker.snapshot()) }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#cancelLook?.()
    this.#cancelLook = undefined
    const { graceMs } = this.#options
    await Promise.all([this.#looking, ...[...this.#workers.values()].map((worker) => worker.stop(graceMs))])
  }

  /** Whose turn it is the database decides, so that all processes together look as often as one would. */
  #lookLater(failures: number): void {
    if (this.#closing !== undefined) return
    const { clock, random, lookSeconds } = this.#options
    const usualMs = lookSeconds * 1000
    const pauseMs =
      failures === 0 ? idlePauseMs(usualMs, random()) : failurePauseMs(usualMs, failures, random())
    this.#cancelLook ??= clock.schedule(pauseMs, () => {
      this.#cancelLook = undefined
      this.#looking = this.#store.supervise().then(
        () => this.#lookLater(0),
        (error: unknown) => {
          if (failures === 0) this.#log('warn', { err: error }, 'jobs could not be looked after')
          this.#lookLater(failures + 1)
        },
      )
    })
  }
}
