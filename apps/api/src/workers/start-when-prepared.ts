// Begins what needs the database as soon as that can be used, however long it takes; nobody waits for it.

import type { Clock } from '@holdfast/footing'
import type { FastifyBaseLogger } from 'fastify'
import { reasonOf } from '../reason.ts'

/** What it is made of. */
export interface StartParts {
  /** What begins, for the log: `notifications`. */
  readonly what: string
  /** Called until it resolves. */
  readonly begin: () => Promise<void> | void
  /** Resolves when the tables are there. */
  readonly prepare: () => Promise<unknown>
  readonly clock: Pick<Clock, 'schedule'>
  readonly log: Pick<FastifyBaseLogger, 'warn'>
}

const PAUSE_MS = 5000

/** Tries until it has begun, or is stopped. */
export class StartWhenPrepared {
  readonly #parts: StartParts
  #cancel: (() => void) | undefined
  #failures = 0
  #stopped = false

  constructor(parts: StartParts) {
    this.#parts = parts
  }

  /** Answers at once. */
  try(): void {
    const { what, begin, prepare, clock, log } = this.#parts
    const run = async () => {
      await prepare()
      if (!this.#stopped) await begin()
    }
    run().catch((error: unknown) => {
      if (this.#stopped) return
      this.#failures += 1
      // Once: that the database is away is told by those who ask it for somebody.
      if (this.#failures === 1) log.warn({ what, reason: reasonOf(error) }, 'work has not begun yet')
      this.#cancel = clock.schedule(PAUSE_MS, () => this.try())
    })
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }
}
