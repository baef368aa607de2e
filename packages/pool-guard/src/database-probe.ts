import type { Clock } from '@holdfast/footing'

/** What a probe needs. */
export interface DatabaseProbeOptions {
  /** Asks the database on a connection of its own; `signal` aborts when the time of the probe is over. */
  readonly ask: (signal: AbortSignal) => Promise<unknown>
  readonly clock: Clock
  /** A number in [0, 1). */
  readonly random: () => number
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly onResult: (answered: boolean, error: unknown) => void
}

/** The intervals of several processes drift apart by up to this share, so that they do not probe at once. */
const JITTER = 0.2

/**
 * Asks whether the database answers: once, or by timer until it is told to stop. One question at a time; an answer
 * after its time counts for nothing.
 */
export class DatabaseProbe {
  readonly #options: DatabaseProbeOptions
  #running = false
  #repeating = false
  #cancelTimer: (() => void) | undefined
  #controller: AbortController | undefined
  #closed = false

  constructor(options: DatabaseProbeOptions) {
    this.#options = options
  }

  /** Whether a question is under way. */
  get running(): boolean {
    return this.#running
  }

  /** Asks at once, and then by timer until `stop()`. */
  start(): void {
    if (this.#repeating || this.#closed) return
    this.#repeating = true
    this.once()
  }

  /** Asks no more by timer. */
  stop(): void {
    this.#repeating = false
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  /** Stops for good, and ends the question that is under way. */
  close(): void {
    this.#closed = true
    this.stop()
    this.#controller?.abort()
  }

  /** Asks now, unless a question is under way. */
  once(): void {
    if (this.#running || this.#closed) return
    const { ask, clock, timeoutMs } = this.#options
    const controller = new AbortController()
    this.#running = true
    this.#controller = controller
    let cancelTimeout: () => void = () => {}
    const settle = (answered: boolean, error: unknown): void => {
      if (this.#controller !== controller) return
      this.#controller = undefined
      this.#running = false
      cancelTimeout()
      if (!this.#closed) this.#options.onResult(answered, error)
      if (!answered) controller.abort()
      this.#again()
    }
    cancelTimeout = clock.schedule(timeoutMs, () => settle(false, new Error(`no answer in ${timeoutMs} ms`)))
    Promise.resolve()
      .then(() => ask(controller.signal))
      .then(
        () => settle(true, undefined),
        (error: unknown) => settle(false, error),
      )
  }

  #again(): void {
    if (!this.#repeating || this.#closed) return
    const { clock, random, intervalMs } = this.#options
    this.#cancelTimer = clock.schedule(intervalMs * (1 - JITTER * random()), () => {
      this.#cancelTimer = undefined
      this.once()
    })
  }
}
