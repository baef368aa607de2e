/*
 * Turns single requests into calls for many: what is asked for in one tick, or while all places are taken,
 * goes out together.
 *
 * Guarantees: at most `maxConcurrent` calls are out, each with at most `maxBatch` keys of one lane; every
 * request settles when its call does. Bounded by whoever asks (the flights of a cache are).
 */
import type { Lane } from './refresh-queue.ts'

interface Job<R> {
  readonly key: string
  /** Place in the order of requests. */
  readonly number: number
  readonly resolve: (result: R) => void
  readonly reject: (error: unknown) => void
  readonly onBegin: () => void
}

export interface BatcherOptions<R> {
  /** Must answer every key; a rejection rejects them all. */
  readonly run: (keys: readonly string[]) => Promise<(key: string) => R>
  readonly maxBatch: number
  readonly maxConcurrent: number
}

export class Batcher<R> {
  readonly #options: BatcherOptions<R>
  readonly #lanes: Record<Lane, Job<R>[]> = { known: [], unknown: [] }
  #requests = 0
  #running = 0
  #scheduled = false
  #idle: PromiseWithResolvers<void> | undefined = undefined

  constructor(options: BatcherOptions<R>) {
    this.#options = options
  }

  /** Requests that wait for a place. */
  get waiting(): number {
    return this.#lanes.known.length + this.#lanes.unknown.length
  }

  /** Calls that are out. */
  get running(): number {
    return this.#running
  }

  get full(): boolean {
    return this.#running >= this.#options.maxConcurrent
  }

  /** Settles when no call is out and nothing waits. */
  idle(): Promise<void> {
    if (this.#running === 0 && this.waiting === 0) return Promise.resolve()
    this.#idle ??= Promise.withResolvers()
    return this.#idle.promise
  }

  /** Asks for one key. `onBegin` is called when its call starts. */
  want(key: string, lane: Lane, onBegin: () => void): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      this.#requests += 1
      this.#lanes[lane].push({ key, number: this.#requests, resolve, reject, onBegin })
      if (this.#scheduled) return
      this.#scheduled = true
      queueMicrotask(() => {
        this.#scheduled = false
        this.#dispatch()
      })
    })
  }

  #dispatch(): void {
    while (!this.full && this.waiting > 0) {
      void this.#execute(this.#longestWaiting().splice(0, this.#options.maxBatch))
    }
    if (this.#running > 0) return
    this.#idle?.resolve()
    this.#idle = undefined
  }

  #longestWaiting(): Job<R>[] {
    const { known, unknown } = this.#lanes
    const firstKnown = known[0]?.number ?? Number.POSITIVE_INFINITY
    const firstUnknown = unknown[0]?.number ?? Number.POSITIVE_INFINITY
    return firstKnown < firstUnknown ? known : unknown
  }

  async #execute(jobs: readonly Job<R>[]): Promise<void> {
    this.#running += 1
    for (const job of jobs) job.onBegin()
    try {
      const resultOf = await this.#options.run(jobs.map((job) => job.key))
      for (const job of jobs) {
        // One key may have failed on its own.
        try {
          job.resolve(resultOf(job.key))
        } catch (error) {
          job.reject(error)
        }
      }
    } catch (error) {
      for (const job of jobs) job.reject(error)
    } finally {
      this.#running -= 1
      this.#dispatch()
    }
  }
}
