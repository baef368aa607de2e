// How many passwords are hashed at once, and how many wait for it.
//
// Guarantees: never more than `concurrency` at work, never more than `maxWaiting` in line, first come first served;
// whoever finds the line full is refused at once and told when to come back; whoever has left is not worked for.
// Does not guarantee that work which has begun ends: nothing can stop a hash.

import { type Clock, withRetryAfter } from '@holdfast/footing'
import { ApiPasswordsBusyError } from '../../errors.ts'

/** The bounds of a queue. */
export interface HashingQueueOptions {
  /** At work at one time. */
  readonly concurrency: number
  /** In line at one time; 0: whoever cannot begin at once is refused. */
  readonly maxWaiting: number
  readonly clock: Clock
}

/** What a queue looks like, as plain data. */
export interface HashingQueueSnapshot {
  readonly running: number
  readonly waiting: number
  /** The most that have ever waited at one time. */
  readonly mostWaiting: number
  readonly done: number
  readonly refused: number
}

interface Waiter {
  begin(): void
}

/** What one computation is thought to take until the first has been measured. */
const FIRST_GUESS_MS = 100
/** How much the newest measurement counts. */
const NEWEST = 0.2

/** Lets a few computations run at a time. */
export class HashingQueue {
  readonly #concurrency: number
  readonly #maxWaiting: number
  readonly #clock: Clock
  readonly #waiters = new Set<Waiter>()
  #running = 0
  #mostWaiting = 0
  #done = 0
  #refused = 0
  #meanMs = FIRST_GUESS_MS

  constructor({ concurrency, maxWaiting, clock }: HashingQueueOptions) {
    this.#concurrency = concurrency
    this.#maxWaiting = maxWaiting
    this.#clock = clock
  }

  /**
   * Runs the work when it is its turn. Rejects as the work does, or as the signal says when it aborts before.
   * @throws {ApiPasswordsBusyError} when the line is full.
   */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted()
    const refused = this.refusal()
    if (refused !== undefined) throw refused
    if (this.#running < this.#concurrency) this.#running += 1
    else await this.#turn(signal)
    const beganMs = this.#clock.nowMs()
    try {
      return await work()
    } finally {
      this.#meanMs += (this.#clock.nowMs() - beganMs - this.#meanMs) * NEWEST
      this.#done += 1
      const [next] = this.#waiters
      if (next === undefined) this.#running -= 1
      else next.begin()
    }
  }

  /** For whoever would find the line full, before anything else is done for him; it counts as refused. */
  refusal(): ApiPasswordsBusyError | undefined {
    if (this.#running < this.#concurrency || this.#waiters.size < this.#maxWaiting) return undefined
    this.#refused += 1
    const lineMs = ((this.#waiters.size + 1) * this.#meanMs) / this.#concurrency
    return withRetryAfter(new ApiPasswordsBusyError(), lineMs)
  }

  snapshot(): HashingQueueSnapshot {
    return {
      running: this.#running,
      waiting: this.#waiters.size,
      mostWaiting: this.#mostWaiting,
      done: this.#done,
      refused: this.#refused,
    }
  }

  /** Whoever ends hands over the place that he had. */
  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiters.delete(waiter)
        reject(signal?.reason)
      }
      const waiter = {
        begin: () => {
          this.#waiters.delete(waiter)
          signal?.removeEventListener('abort', leave)
          resolve()
        },
      }
      this.#waiters.add(waiter)
      this.#mostWaiting = Math.max(this.#mostWaiting, this.#waiters.size)
      signal?.addEventListener('abort', leave, { once: true })
    })
  }
}
