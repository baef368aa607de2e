import { checks } from './options.ts'

/** Settings of a `RetryBudget`. */
export interface RetryBudgetOptions {
  /** Retries per successful call, from 0 (none but the burst) to 1. Default 0.1: one retry for ten successes. */
  readonly ratio?: number
  /** Retries that may happen at once, and with which the budget begins. Default 10. */
  readonly burst?: number
}

/** Counts since the start, and what may be retried now. */
export interface RetryBudgetSnapshot {
  readonly ratio: number
  readonly burst: number
  /** Retries that may happen at once now; a fraction is a retry in the making. */
  readonly tokens: number
  readonly successes: number
  readonly retries: number
  readonly refused: number
}

/**
 * How many retries a dependency is asked to bear: a token bucket that a success fills by `ratio` and a retry
 * empties by one. While all goes well every failure is retried; when a dependency fails for everybody, the retries
 * dry up after `burst`, so that they add at most `ratio` to its load instead of multiplying it.
 *
 * One budget belongs to one dependency and is shared by all who call it. Memory and time per call are constant.
 */
export class RetryBudget {
  readonly #ratio: number
  readonly #burst: number
  #tokens: number
  #successes = 0
  #retries = 0
  #refused = 0

  /** @throws `HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION` */
  constructor(options: RetryBudgetOptions = {}) {
    checks.onlyKnown('', checks.object('options', options), ['ratio', 'burst'])
    this.#ratio = checks.number('ratio', options.ratio ?? 0.1, 0, 1)
    this.#burst = checks.count('burst', options.burst ?? 10, 0)
    this.#tokens = this.#burst
  }

  /** A call went well. */
  deposit(): void {
    this.#successes += 1
    this.#tokens = Math.min(this.#burst, this.#tokens + this.#ratio)
  }

  /** Takes one retry; `false` when there is none left. */
  withdraw(): boolean {
    // Ten times 0.1 is a hair less than 1.
    if (this.#tokens < 1 - 1e-9) {
      this.#refused += 1
      return false
    }
    this.#tokens = Math.max(0, this.#tokens - 1)
    this.#retries += 1
    return true
  }

  snapshot(): RetryBudgetSnapshot {
    return {
      ratio: this.#ratio,
      burst: this.#burst,
      tokens: this.#tokens,
      successes: this.#successes,
      retries: this.#retries,
      refused: this.#refused,
    }
  }
}
