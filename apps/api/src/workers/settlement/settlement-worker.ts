// Takes the jobs of settlement. A job settles the bets of its event in parts; what is left after `maxParts` of them, after
// `maxMs`, or when this process is told to end, is the next job, which the last part's transaction writes: a job is short
// however many bets an event has and however slow the database is, and nothing is lost between two of them.

import { type Clock, systemClock } from '@holdfast/footing'
import type { Logs } from '@holdfast/logging'
import { type Job, type JobQueue, PermanentJobError } from '../../jobs/job-queue.ts'
import { parseSettlePayload, type SettlePayload } from './settle-payload.ts'
import type { SettledPart, Settlement } from './settlement.ts'
import type { CountSettled } from './settlement-metrics.ts'

/** What a worker needs, and how much it does at once. */
export interface SettlementWorkerOptions {
  readonly queue: Pick<JobQueue, 'enqueue' | 'work'>
  readonly settlement: Pick<Settlement, 'settleNext'>
  readonly logs: Pick<Logs, 'event'>
  /** Undefined: nothing is counted. */
  readonly count?: CountSettled | undefined
  /** Bets in one transaction. Default 50. */
  readonly betsAtOnce?: number
  /** Transactions of one job. Default 50. */
  readonly maxParts?: number
  /** No part begins later in a job than that, in ms. Default 20,000: a third of what a try may take. */
  readonly maxMs?: number
  readonly clock?: Pick<Clock, 'nowMs'>
}

/** A worker in numbers. */
export interface SettlementSnapshot {
  readonly state: 'new' | 'working' | 'stopping'
  /** Jobs under way. */
  readonly active: number
  /** Jobs that came to their end here. */
  readonly jobs: number
  /** Bets that were settled here. */
  readonly bets: SettledPart['bets']
}

const BETS_AT_ONCE = 50
const MAX_PARTS = 50
/** A try that runs out of time counts as a failure, although its parts are settled: with the last one the rest would lie. */
const MAX_MS = 20_000

export class SettlementWorker {
  readonly #queue: Pick<JobQueue, 'enqueue' | 'work'>
  readonly #settlement: Pick<Settlement, 'settleNext'>
  readonly #logs: SettlementWorkerOptions['logs']
  readonly #count: CountSettled | undefined
  readonly #betsAtOnce: number
  readonly #maxParts: number
  readonly #maxMs: number
  readonly #clock: Pick<Clock, 'nowMs'>
  readonly #active = new Set<Promise<void>>()
  #state: SettlementSnapshot['state'] = 'new'
  #jobs = 0
  #bets: SettledPart['bets'] = { won: 0, lost: 0, void: 0 }

  constructor(options: SettlementWorkerOptions) {
    const { queue, settlement, logs, count, betsAtOnce = BETS_AT_ONCE, maxParts = MAX_PARTS } = options
    const { maxMs = MAX_MS, clock = systemClock } = options
    this.#queue = queue
    this.#settlement = settlement
    this.#logs = logs
    this.#count = count
    this.#betsAtOnce = betsAtOnce
    this.#maxParts = maxParts
    this.#maxMs = maxMs
    this.#clock = clock
  }

  /** Begins to take jobs. */
  async start(): Promise<void> {
    this.#state = 'working'
    await this.#queue.work('settle', {
      parse: parseSettlePayload,
      handle: (job) => this.handle(job),
    })
  }

  /** Ends what is under way with the part that it is at; the rest is a job again. Close the queue after it. */
  async stop(): Promise<void> {
    this.#state = 'stopping'
    await Promise.allSettled(this.#active)
  }

  snapshot(): SettlementSnapshot {
    return { state: this.#state, active: this.#active.size, jobs: this.#jobs, bets: this.#bets }
  }

  /**
   * Settles an event, or the beginning of it.
   * @throws {PermanentJobError} when there is no such event.
   */
  async handle(job: Pick<Job<SettlePayload>, 'payload' | 'signal'>): Promise<void> {
    const running = this.#settle(job)
    this.#active.add(running)
    try {
      await running
      this.#jobs += 1
    } finally {
      this.#active.delete(running)
    }
  }

  async #settle({ payload, signal }: Pick<Job<SettlePayload>, 'payload' | 'signal'>): Promise<void> {
    const { event_id: eventId } = payload
    const settled = { won: 0, lost: 0, void: 0 }
    const endMs = this.#clock.nowMs() + this.#maxMs
    for (let part = 1; ; part += 1) {
      let left = false
      const found = await this.#settlement
        .settleNext({
          eventId,
          limit: this.#betsAtOnce,
          signal,
          leaveRest: async (tx) => {
            left = part >= this.#maxParts || this.#clock.nowMs() >= endMs || this.#state === 'stopping'
            if (left) await this.#queue.enqueue(tx, 'settle', payload, { key: eventId })
          },
        })
        .catch((error: unknown) => {
          throw isUnknownEvent(error)
            ? new PermanentJobError(String((error as Error).message), { cause: error })
            : error
        })
      for (const outcome of ['won', 'lost', 'void'] as const) settled[outcome] += found.bets[outcome]
      this.#note(found.bets)
      if (found.more && !left) continue
      const state = !found.isOver ? 'not_over' : found.more ? 'continued' : 'done'
      this.#logs.event('SYSTEM_EVENT', 'event.settled', { event_id: eventId, state, parts: part, ...settled })
      return
    }
  }

  #note(bets: SettledPart['bets']): void {
    const { won, lost, void: voided } = this.#bets
    this.#bets = { won: won + bets.won, lost: lost + bets.lost, void: voided + bets.void }
    this.#count?.(bets)
  }
}

function isUnknownEvent(error: unknown): boolean {
  return (Object(error) as { code?: unknown }).code === 'HOLDFAST_ERR_API_SETTLE_EVENT_UNKNOWN'
}
