/*
 * Adds the compressed encodings to representations that are already being served plain.
 *
 * Two at a time, so that a sweep over thousands of values leaves zlib's threads to others; the latest job of a
 * key replaces an earlier one, and whoever lets go of a key drops its job: what waits is never more than is held.
 */
import { createRepresentation, type Representation, type RepresentationOptions } from './representation.ts'

const MAX_CONCURRENT = 2

interface Job {
  readonly plain: Representation
  readonly onDone: (complete: Representation) => void
  /** Settles when the job is done, replaced or dropped. */
  readonly over: PromiseWithResolvers<void>
}

export class CompressionQueue {
  readonly #options: RepresentationOptions
  readonly #waiting = new Map<string, Job>()
  readonly #running = new Set<Job>()
  #failures = 0
  #closed = false

  constructor(options: RepresentationOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#waiting.size + this.#running.size
  }

  /** Representations that stayed plain because they could not be compressed. */
  get failures(): number {
    return this.#failures
  }

  add(key: string, plain: Representation, onDone: (complete: Representation) => void): void {
    if (this.#closed) return
    this.#waiting.get(key)?.over.resolve()
    this.#waiting.set(key, { plain, onDone, over: Promise.withResolvers() })
    this.#next()
  }

  /** Nobody holds this key any more: its bytes need not wait here. */
  drop(key: string): void {
    this.#waiting.get(key)?.over.resolve()
    this.#waiting.delete(key)
  }

  /** Settles when everything that was asked for before this call is over. */
  async settled(): Promise<void> {
    const jobs = [...this.#running, ...this.#waiting.values()]
    await Promise.all(jobs.map((job) => job.over.promise))
  }

  close(): void {
    this.#closed = true
    for (const job of this.#waiting.values()) job.over.resolve()
    this.#waiting.clear()
  }

  #next(): void {
    for (const [key, job] of this.#waiting) {
      if (this.#running.size >= MAX_CONCURRENT) return
      this.#waiting.delete(key)
      this.#running.add(job)
      void this.#compress(job)
    }
  }

  async #compress(job: Job): Promise<void> {
    try {
      const { contentType, identity } = job.plain
      job.onDone(await createRepresentation({ body: identity.body, contentType }, this.#options))
    } catch {
      this.#failures += 1
    } finally {
      this.#running.delete(job)
      job.over.resolve()
      this.#next()
    }
  }
}
