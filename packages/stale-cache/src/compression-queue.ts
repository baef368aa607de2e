/*
 * Adds the compressed encodings to representations that are already being served plain.
 *
 * Two at a time, so that a sweep over thousands of values leaves zlib's threads to others; the latest job of a
 * key replaces an earlier one, so that the queue never holds more than there are keys.
 */
import { createRepresentation, type Representation, type RepresentationOptions } from './representation.ts'

const MAX_CONCURRENT = 2

interface Job {
  readonly plain: Representation
  readonly onDone: (complete: Representation) => void
}

export class CompressionQueue {
  readonly #options: RepresentationOptions
  readonly #jobs = new Map<string, Job>()
  #running = 0
  #failures = 0
  #closed = false
  #idle: PromiseWithResolvers<void> | undefined = undefined

  constructor(options: RepresentationOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#jobs.size + this.#running
  }

  /** Representations that stayed plain because they could not be compressed. */
  get failures(): number {
    return this.#failures
  }

  add(key: string, plain: Representation, onDone: (complete: Representation) => void): void {
    if (this.#closed) return
    this.#jobs.set(key, { plain, onDone })
    this.#next()
  }

  /** Settles when nothing is left to do. */
  idle(): Promise<void> {
    if (this.size === 0) return Promise.resolve()
    this.#idle ??= Promise.withResolvers()
    return this.#idle.promise
  }

  close(): void {
    this.#closed = true
    this.#jobs.clear()
  }

  #next(): void {
    for (const [key, job] of this.#jobs) {
      if (this.#running >= MAX_CONCURRENT) return
      this.#jobs.delete(key)
      this.#running += 1
      void this.#compress(job)
    }
    if (this.#running > 0) return
    this.#idle?.resolve()
    this.#idle = undefined
  }

  async #compress({ plain, onDone }: Job): Promise<void> {
    try {
      const { contentType, identity } = plain
      onDone(await createRepresentation({ body: identity.body, contentType }, this.#options))
    } catch {
      this.#failures += 1
    } finally {
      this.#running -= 1
      this.#next()
    }
  }
}
