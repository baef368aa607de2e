// Work that is done later, by whichever process has time: the port. What is behind it only `boss-store.ts` knows.
//
// Guarantees: a job is there when the transaction that put it in is committed, and not otherwise; it is tried until it
// has succeeded or stands among the dead letters, whatever processes end in between.
// Does not guarantee that it runs once, or that two jobs never run at the same time: whoever is cut off from the
// database goes on for a while beside the next try. What a job does has to be right when it is done twice.

import type { Transaction } from '@holdfast/pool-guard'
import type { QueueName } from './queues.ts'

/** Statements of one transaction. */
export type Statements = Pick<Transaction, 'query'>

/** How a job is put in. */
export interface EnqueueOptions {
  /**
   * Of several jobs with one key only one waits, for later (`afterMs`) or not, so the payload must follow from the key.
   * It is not begun before the transaction has ended, so it sees what that has written. One that runs, or waits for
   * another try, is no reason not to put one in. 1 to 200 characters. Default: every job waits.
   */
  readonly key?: string
  /** Not before so many ms. Default 0. */
  readonly afterMs?: number
}

/** One try of a job. */
export interface Job<Payload = unknown> {
  readonly id: string
  readonly queue: QueueName
  readonly payload: Payload
  /** 1 for the first one. */
  readonly attempt: number
  /** Of the request, or the job, that has put it in. */
  readonly correlationId: string | undefined
  /** Aborts when the time is up, when somebody else has the job, or when the process ends. */
  readonly signal: AbortSignal
}

/** What is done with the jobs of a queue. */
export interface JobHandler<Payload> {
  /** The payload as it is needed. What it throws for is never tried again. */
  parse(payload: unknown): Payload
  /**
   * Does it. What it throws is tried again, unless it is a `PermanentJobError`. Until it has ended after its signal has
   * aborted, it takes the place of another job.
   */
  handle(job: Job<Payload>): Promise<void>
}

/** How many jobs there are of a queue. */
export interface QueueDepth {
  /** Not begun, those that wait for another try included. */
  readonly waiting: number
  readonly active: number
  /** Dead letters that nobody has dealt with. */
  readonly failed: number
  /** For how long the first of those that could be begun has waited; 0 when there is none. */
  readonly oldestReadySeconds: number
  /** How long ago the first dead letter died that nobody has dealt with; 0 when there is none. */
  readonly oldestFailedSeconds: number
}

/** Every queue, by name. */
export type QueueDepths = Readonly<Record<QueueName, QueueDepth>>

/** Puts jobs in, and runs them. */
export interface JobQueue {
  /**
   * In the transaction of what it is for: rolled back, there is no job. Answers its id, or undefined when one with this
   * key waits already.
   * @throws {ApiJobPayloadError} when the payload is larger than 65,536 bytes, or is no JSON.
   */
  enqueue(
    tx: Statements,
    queue: QueueName,
    payload: object,
    options?: EnqueueOptions,
  ): Promise<string | undefined>
  /**
   * Runs jobs until `close()`.
   * @throws {ApiJobQueuesError} when the database lacks a queue, or where its dead letters go. One that cannot be asked
   *   is asked again later.
   */
  work<Payload>(queue: QueueName, handler: JobHandler<Payload>): Promise<void>
  depths(): Promise<QueueDepths>
  /**
   * Begins nothing any more; what runs may end within the grace, and what has not is given back, for somebody else.
   * Never rejects.
   */
  close(): Promise<void>
}

/** Trying again is of no use: the job goes straight to the dead letters. */
export class PermanentJobError extends Error {
  override readonly name = 'PermanentJobError'
}
