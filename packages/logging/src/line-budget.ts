// How many lines a flood may write: some at once, then so many in a second, and the rest is counted.
// Pure: time comes as an argument.

/** How large a budget is. */
export interface LineBudgetOptions {
  /** Lines at once, after a quiet time. */
  readonly burst: number
  readonly perSecond: number
}

/** A bucket of lines. */
export class LineBudget {
  readonly #options: LineBudgetOptions
  #left: number
  #atMs = Number.NEGATIVE_INFINITY
  #refused = 0

  constructor(options: LineBudgetOptions) {
    this.#options = options
    this.#left = options.burst
  }

  /** Lines that were refused, since the start. */
  get refused(): number {
    return this.#refused
  }

  /** Whether one more line may be written. */
  take(nowMs: number): boolean {
    const { burst, perSecond } = this.#options
    this.#left = Math.min(burst, this.#left + ((nowMs - this.#atMs) / 1000) * perSecond)
    this.#atMs = nowMs
    if (this.#left < 1) {
      this.#refused++
      return false
    }
    this.#left -= 1
    return true
  }
}
