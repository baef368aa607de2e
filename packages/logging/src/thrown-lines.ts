// A destination of somebody else's. Guarantees: what it throws costs the line, and neither a request nor, where nobody
// would catch it, the process; such lines are counted, and the first is told.

import type { Destination } from './options.ts'

/** Writes to a destination that may throw. */
export class ThrownLines implements Destination {
  readonly #destination: Destination
  readonly #onError: (error: unknown) => void
  #dropped = 0

  constructor(destination: Destination, onError: (error: unknown) => void) {
    this.#destination = destination
    this.#onError = onError
  }

  /** Lines that were lost. */
  get dropped(): number {
    return this.#dropped
  }

  write(line: string): void {
    try {
      this.#destination.write(line)
    } catch (error) {
      this.#dropped += 1
      if (this.#dropped === 1) this.#onError(error)
    }
  }
}
