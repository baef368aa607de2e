// The management port of several workers: whoever of them answers first speaks for the instance, and none that hangs is
// waited for longer than a moment.

import type { Worker } from 'node:cluster'
import type { Clock } from '@holdfast/footing'
import { type InsideAnswer, type Question, readMessage } from './worker-messages.ts'

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
  readonly #open = new Map<number, (answer: InsideAnswer) => void>()
  #ids = 0

  constructor(cluster: ClusterPort, clock: Pick<Clock, 'schedule'>) {
    this.#clock = clock
    cluster.on('message', (worker, message) => {
      const heard = readMessage(message)
      if (heard.kind === 'holdfast:api:serving') this.#serving.add(worker)
      if (heard.kind === 'holdfast:api:answer') this.#open.get(heard.id)?.(heard.answer)
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
    const asked = [...this.#serving]
    if (asked.length === 0 || this.#open.size >= MOST_AT_ONCE) return NOBODY
    this.#ids += 1
    const id = this.#ids
    const { promise, resolve } = Promise.withResolvers<InsideAnswer>()
    let last = NOBODY
    let left = asked.length
    this.#open.set(id, (answer) => {
      last = answer
      left -= 1
      if (answer.status < 500 || left === 0) resolve(answer)
    })
    const cancel = this.#clock.schedule(ANSWER_MS, () => resolve(last))
    const message: Question = { kind: 'holdfast:api:question', id, ...question }
    // One that has just gone answers nothing.
    for (const worker of asked) if (worker.isConnected()) worker.send(message, () => {})
    try {
      return await promise
    } finally {
      cancel()
      this.#open.delete(id)
    }
  }
}
