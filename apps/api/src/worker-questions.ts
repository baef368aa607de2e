// What the primary asks its workers, and tells all of them: none that hangs is waited for longer than a moment. At the
// management port whoever answers first speaks for the instance.

import type { Worker } from 'node:cluster'
import type { Clock } from '@holdfast/footing'
import {
  type InsideAnswer,
  type Level,
  type LevelOrder,
  type Question,
  readMessage,
  tellWorker,
} from './worker-messages.ts'

/** A worker that says nothing in so long is not waited for. */
export const ANSWER_MS = 1000
const MOST_AT_ONCE = 1000

/** What is needed of `node:cluster`. */
export interface ClusterPort {
  on(event: 'message', listener: (worker: Worker, message: unknown) => void): unknown
  on(event: 'disconnect', listener: (worker: Worker) => void): unknown
}

/** What nobody has answered. */
const NOBODY: InsideAnswer = {
  status: 503,
  headers: {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
    'retry-after': '1',
  },
  body: '{"status":"error","reason":"no worker answers"}',
}

/** Asks the workers that serve. */
export class WorkerQuestions {
  readonly #clock: Pick<Clock, 'schedule'>
  readonly #serving = new Set<Worker>()
  readonly #open = new Map<number, (said: InsideAnswer | 'done') => void>()
  #ids = 0

  constructor(cluster: ClusterPort, clock: Pick<Clock, 'schedule'>) {
    this.#clock = clock
    cluster.on('message', (worker, message) => {
      const heard = readMessage(message)
      if (heard.kind === 'holdfast:api:serving') this.#serving.add(worker)
      if (heard.kind === 'holdfast:api:answer') this.#open.get(heard.id)?.(heard.answer)
      if (heard.kind === 'holdfast:api:done') this.#open.get(heard.id)?.('done')
    })
    cluster.on('disconnect', (worker) => this.#serving.delete(worker))
  }

  /** Those that serve. */
  get serving(): ReadonlySet<Worker> {
    return this.#serving
  }

  /**
   * The first answer that is no 5xx: an instance lives, and is ready, as long as one of its workers is. Else what was
   * said last, when all have answered or `ANSWER_MS` are over; a 503 when nobody has.
   */
  async ask(question: Omit<Question, 'kind' | 'id'>): Promise<InsideAnswer> {
    let last = NOBODY
    await this.#round(
      (id) => ({ kind: 'holdfast:api:question', id, ...question }),
      (said) => {
        if (said !== 'done') last = said
        return last.status < 500
      },
    )
    return last
  }

  /** Puts a level of the log in force in all of them; answers how many took it within `ANSWER_MS`, and of how many. */
  async order(order: LevelOrder): Promise<{ readonly taken: number; readonly of: number }> {
    let taken = 0
    const of = await this.#round(
      (id) => ({ kind: 'holdfast:api:level', id, order }),
      () => {
        taken += 1
        return false
      },
    )
    return { taken, of }
  }

  /**
   * Says one thing to all, until `heard` has enough of what they say to it, all have spoken, or `ANSWER_MS` are over.
   * Answers to how many.
   */
  async #round(
    message: (id: number) => Question | Level,
    heard: (said: InsideAnswer | 'done') => boolean,
  ): Promise<number> {
    const asked = [...this.#serving]
    if (asked.length === 0 || this.#open.size >= MOST_AT_ONCE) return asked.length
    this.#ids += 1
    const id = this.#ids
    const { promise, resolve } = Promise.withResolvers<void>()
    let left = asked.length
    this.#open.set(id, (said) => {
      left -= 1
      if (heard(said) || left === 0) resolve()
    })
    const cancel = this.#clock.schedule(ANSWER_MS, resolve)
    for (const worker of asked) tellWorker(worker, message(id))
    await promise
    cancel()
    this.#open.delete(id)
    return asked.length
  }
}
