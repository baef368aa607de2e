// Runs the jobs of one queue: asks for as many as there is room for, hands them to the handler, says to the database
// that it is still at them, and writes how they have ended.
//
// Guarantees: never more than `concurrency` handlers run, those included that do not heed their signal; what was fetched
// is ended or given back before `stop()` resolves, unless the database cannot be told, and then somebody else begins it
// when its heartbeat is over; of a try that is somebody else's nothing is written.

import { type Clock, holdProcess } from '@holdfast/footing'
import type { Carrier } from '@holdfast/logging'
import { runInScope } from '@holdfast/pool-guard'
import { unavailability } from '../db/unavailable.ts'
import { ApiJobDeadlineError, ApiJobLostError, ApiJobsClosedError } from '../errors.ts'
import type { BossLog, BossStore, Claim } from './boss-store.ts'
import { Completions } from './completions.ts'
import { opened } from './job-envelope.ts'
import { failureOf, UnreadablePayloadError } from './job-failure.ts'
import type { JobOutcome } from './job-metrics.ts'
import type { Job, JobHandler } from './job-queue.ts'
import { failurePauseMs, idlePauseMs } from './poll-pause.ts'
import type { QueueName } from './queues.ts'
import { RunningJob, type WorkEnd } from './running-job.ts'

/** The ids under which a job was asked for: `Logs`, or `app.logging`. */
export interface Correlation {
  carrier(): Carrier
  run<T>(carrier: Carrier, job: () => T): T
}

/** What a worker is made of. */
export interface QueueWorkerOptions<Payload> {
  readonly queue: QueueName
  readonly handler: JobHandler<Payload>
  readonly store: BossStore
  readonly correlation: Correlation
  readonly log: BossLog
  readonly onEnded: (outcome: JobOutcome, seconds: number) => void
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly concurrency: number
  /** Between two questions when there is nothing to do, in ms. */
  readonly pollMs: number
}

/** What it does at the moment, as plain data. */
export interface QueueWorkerSnapshot {
  readonly queue: QueueName
  readonly running: number
  /** Of those, handlers that were told to end and go on. */
  readonly deaf: number
  /** Times in a row that the database could not be asked for jobs. */
  readonly failures: number
}

const BEATS_PER_HEARTBEAT = 3
const SETTLE_TRIES = 3
const SETTLE_PAUSE_MS = 200

export class QueueWorker<Payload> {
  readonly #options: QueueWorkerOptions<Payload>
  readonly #completions: Completions
  /** Until the database knows how they have ended. Two may be of one job: a try that was lost, and the next one. */
  readonly #running = new Set<RunningJob>()
  readonly #settled = new Map<RunningJob, Promise<void>>()
  /** Handlers that go on although nobody waits for them. */
  #deaf = 0
  #failures = 0
  #stopping = false
  #loop: Promise<void> | undefined
  #wake: () => void = () => {}
  #cancelBeat: (() => void) | undefined
  #letGo: () => void = () => {}

  constructor(options: QueueWorkerOptions<Payload>) {
    this.#options = options
    const { store, queue } = options
    this.#completions = new Completions((claims) => store.complete(queue, claims))
  }

  /** Until `stop()` it keeps the process alive: without a connection, while the database is away, nothing else would. */
  start(): void {
    if (this.#loop !== undefined) return
    this.#letGo = holdProcess()
    this.#loop = this.#ask()
  }

  snapshot(): QueueWorkerSnapshot {
    const { queue } = this.#options
    return { queue, running: this.#running.size + this.#deaf, deaf: this.#deaf, failures: this.#failures }
  }

  /** Asks for nothing more, lets what runs end for `graceMs`, and gives the rest back. Never rejects. */
  async stop(graceMs: number): Promise<void> {
    const { clock } = this.#options
    const letGo = holdProcess()
    this.#stopping = true
    this.#wake()
    await this.#loop
    const all = Promise.all(this.#settled.values())
    await Promise.race([all, new Promise<void>((resolve) => clock.schedule(graceMs, resolve))])
    for (const job of this.#running) job.end('closing', new ApiJobsClosedError())
    await all
    this.#cancelBeat?.()
    this.#letGo()
    letGo()
  }

  async #ask(): Promise<void> {
    const { queue, store, clock, random, concurrency, pollMs, log } = this.#options
    while (!this.#stopping) {
      const room = concurrency - this.#running.size - this.#deaf
      if (room <= 0) {
        await this.#pause(Number.POSITIVE_INFINITY)
        continue
      }
      const askedMs = clock.nowMs()
      try {
        const claims = await store.claim(queue, room)
        this.#failures = 0
        for (const claim of claims) this.#begin(claim, askedMs)
        if (claims.length < room) await this.#pause(idlePauseMs(pollMs, random()))
      } catch (error) {
        this.#failures += 1
        // The first of an outage, and then less and less of it.
        if (isPowerOfTwo(this.#failures)) {
          log('warn', { queue, failures: this.#failures, err: error }, 'jobs cannot be asked for')
        }
        await this.#pause(failurePauseMs(pollMs, this.#failures, random()))
      }
    }
  }

  #begin(claim: Claim, askedMs: number): void {
    const { queue, clock } = this.#options
    const job = new RunningJob(
      claim,
      askedMs,
      clock,
      ({ deadlineMs }) => new ApiJobDeadlineError(queue, deadlineMs / 1000),
    )
    this.#running.add(job)
    // What was fetched while this process began to end is not begun here.
    if (this.#stopping) job.end('closing', new ApiJobsClosedError())
    const settled = this.#run(job).finally(() => {
      this.#settled.delete(job)
      this.#wake()
    })
    this.#settled.set(job, settled)
    this.#beatLater()
  }

  async #run(job: RunningJob): Promise<void> {
    const { queue, correlation, clock, log, onEnded } = this.#options
    const { payload, carrier } = opened(job.claim.data)
    const startedMs = clock.nowMs()
    await correlation.run({ ...carrier, job: queue }, async () => {
      const work = this.#work(job, payload)
      const end = await job.endOf(work)
      const outcome = await this.#settle(job, end).catch((error: unknown): JobOutcome => {
        log('error', { queue, job_id: job.claim.id, err: error }, 'the end of a job could not be stored')
        return 'unsettled'
      })
      // Its place goes from the one to the other, and is never two.
      this.#running.delete(job)
      if (end.end === 'ignored') this.#waitForDeaf(work)
      onEnded(outcome, (clock.nowMs() - startedMs) / 1000)
    })
  }

  async #work({ claim, signal }: RunningJob, stored: unknown): Promise<void> {
    const { queue, handler, correlation } = this.#options
    signal.throwIfAborted()
    const payload = parsed(handler, stored)
    const job: Job<Payload> = {
      id: claim.id,
      queue,
      payload,
      attempt: claim.retryCount + 1,
      correlationId: correlation.carrier().correlationId,
      signal,
    }
    await runInScope({ route: `job ${queue}` }, () => handler.handle(job))
  }

  /** Writes how it has ended. */
  async #settle(job: RunningJob, end: WorkEnd): Promise<JobOutcome> {
    const { queue, store, log } = this.#options
    const { claim, reason } = job
    const told = { queue, job_id: claim.id, attempt: claim.retryCount + 1 }
    if (end.end === 'done') {
      return (await this.#persist(() => this.#completions.add(claim))) ? 'completed' : this.#lost(told)
    }
    // Somebody else has it, or will have it: what he makes of it counts.
    if (reason === 'lost') return this.#lost(told)
    if (reason === 'closing') {
      await this.#persist(() => store.giveBack(queue, [claim]))
      log('warn', told, 'a job is given back')
      return 'returned'
    }
    // What a handler throws because it was told to end says less than why it was.
    const error = end.end === 'failed' && reason === undefined ? end.error : job.signal.reason
    const failure = failureOf(error)
    const isLast = failure.kind !== 'retryable' || claim.retryCount >= claim.retryLimit
    const isOurs = await this.#persist(() =>
      failure.kind === 'retryable' ? store.fail(queue, claim, failure) : store.bury(queue, claim, failure),
    )
    if (!isOurs) return this.#lost(told)
    if (isLast) {
      log('error', { ...told, kind: failure.kind, err: error }, 'a job has become a dead letter')
      return failure.kind === 'poison' ? 'poison' : 'dead'
    }
    log('warn', { ...told, err: error }, 'a job has failed and is tried again')
    return 'retried'
  }

  #lost(told: object): JobOutcome {
    this.#options.log('warn', told, 'a job was not ours any more when it ended')
    return 'lost'
  }

  /** Tried again while the database is away; a heartbeat goes on meanwhile. */
  async #persist<T>(write: () => Promise<T>): Promise<T> {
    const { clock, random } = this.#options
    for (let tries = 1; ; tries += 1) {
      try {
        return await write()
      } catch (error) {
        if (tries === SETTLE_TRIES || unavailability(error) === undefined) throw error
        const pauseMs = failurePauseMs(SETTLE_PAUSE_MS, tries, random())
        await new Promise<void>((resolve) => clock.schedule(pauseMs, resolve))
      }
    }
  }

  /** It keeps its place: however many handlers are deaf, not more than there are places. */
  #waitForDeaf(work: Promise<void>): void {
    this.#deaf += 1
    const over = () => {
      this.#deaf -= 1
      this.#wake()
    }
    work.then(over, over)
  }

  #beatLater(): void {
    const shortestMs = Math.min(...[...this.#running].map(({ claim }) => claim.heartbeatMs))
    if (shortestMs === Number.POSITIVE_INFINITY) return
    this.#cancelBeat ??= this.#options.clock.schedule(shortestMs / BEATS_PER_HEARTBEAT, () => {
      this.#cancelBeat = undefined
      void this.#beat()
    })
  }

  async #beat(): Promise<void> {
    const { queue, store, clock } = this.#options
    const askedMs = clock.nowMs()
    this.#endOverdue(askedMs)
    // The next beat does not wait for this one: the answer may never come.
    this.#beatLater()
    const asked = [...this.#running].filter(({ reason }) => reason !== 'lost')
    if (asked.length === 0) return
    const ours = await store
      .touch(
        queue,
        asked.map(({ claim }) => claim),
      )
      .catch(() => undefined)
    // Nothing is known then; the end of each heartbeat decides.
    if (ours === undefined) return
    for (const job of asked) {
      if (ours.has(job.claim.id)) job.oursUntilMs = Math.max(job.oursUntilMs, askedMs + job.claim.heartbeatMs)
      else job.end('lost', new ApiJobLostError(queue, 'somebody else has it'))
    }
    this.#endOverdue(clock.nowMs())
  }

  #endOverdue(nowMs: number): void {
    for (const job of this.#running) {
      if (job.oursUntilMs <= nowMs)
        job.end('lost', new ApiJobLostError(this.#options.queue, 'no heartbeat got through'))
    }
  }

  /** Until there is something to do, or the time is up. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel =
        ms === Number.POSITIVE_INFINITY ? () => {} : this.#options.clock.schedule(ms, () => this.#wake())
      this.#wake = () => {
        cancel()
        this.#wake = () => {}
        resolve()
      }
      if (this.#stopping) this.#wake()
    })
  }
}

function parsed<Payload>(handler: JobHandler<Payload>, stored: unknown): Payload {
  try {
    return handler.parse(stored)
  } catch (error) {
    throw new UnreadablePayloadError('the payload cannot be read', { cause: error })
  }
}

function isPowerOfTwo(count: number): boolean {
  return (count & (count - 1)) === 0
}
