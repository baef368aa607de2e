// Begins to deliver as soon as the database can be used, however long that takes; nobody waits for it.

import type { Clock } from '@holdfast/footing'
import type { FastifyBaseLogger } from 'fastify'
import type { JobQueue } from '../jobs/job-queue.ts'
import { reasonOf } from '../reason.ts'
import type { Delivery } from './delivery.ts'

/** What it is made of. */
export interface StartParts {
  readonly queue: Pick<JobQueue, 'work'>
  readonly delivery: Delivery
  /** Resolves when the tables are there. */
  readonly prepare: () => Promise<unknown>
  readonly clock: Pick<Clock, 'schedule'>
  readonly log: Pick<FastifyBaseLogger, 'warn'>
}

const PAUSE_MS = 5000

/** Tries until it has begun, or is stopped. */
export class StartOfDelivery {
  readonly #parts: StartParts
  #cancel: (() => void) | undefined
  #failures = 0
  #stopped = false

  constructor(parts: StartParts) {
    this.#parts = parts
  }

  /** Answers at once. */
  try(): void {
    const { queue, delivery, prepare, clock, log } = this.#parts
    const begin = async () => {
      await prepare()
      if (!this.#stopped) await queue.work('notify', delivery)
    }
    begin().catch((error: unknown) => {
      if (this.#stopped) return
      this.#failures += 1
      // Once: that the database is away is told by those who ask it for somebody.
      if (this.#failures === 1) log.warn({ reason: reasonOf(error) }, 'notifications are not delivered yet')
      this.#cancel = clock.schedule(PAUSE_MS, () => this.try())
    })
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }
}
