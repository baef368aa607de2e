/*
 * The breakers of a process by name: one per dependency, made once, found by everybody.
 */
import type { BreakerSnapshot } from './breaker-snapshot.ts'
import { CircuitBreaker } from './circuit-breaker.ts'
import { BreakersFullError, ClosedError, NameTakenError } from './errors.ts'
import { type CircuitBreakerOptions, checks } from './options.ts'

/** Settings of a `CircuitBreakers`. */
export interface CircuitBreakersOptions {
  /** Breakers that may exist. Default 2,000. */
  readonly maxBreakers?: number
  /** What every breaker starts from; the options given to `create` win. Default: the defaults. */
  readonly defaults?: CircuitBreakerOptions
}

export class CircuitBreakers {
  readonly #maxBreakers: number
  readonly #defaults: CircuitBreakerOptions
  readonly #breakers = new Map<string, CircuitBreaker>()
  /** Those made here; others have an owner who closes them. */
  readonly #own: CircuitBreaker[] = []
  #closed = false

  /** @throws `HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION` */
  constructor(options: CircuitBreakersOptions = {}) {
    checks.object('options', options)
    checks.onlyKnown('', options, ['maxBreakers', 'defaults'])
    this.#maxBreakers = checks.count('maxBreakers', options.maxBreakers ?? 2_000)
    this.#defaults = { ...checks.object('defaults', options.defaults ?? {}) }
    // A wrong default is refused here, and not when the first breaker is made.
    new CircuitBreaker('defaults', this.#defaults)
  }

  /**
   * Makes a breaker. Its name is a label of metrics: name the dependency.
   *
   * @throws `HOLDFAST_ERR_CIRCUIT_BREAKER_` + `NAME_TAKEN`, `BREAKERS_FULL`, `INVALID_OPTION`, `CLOSED`.
   */
  create(name: string, options?: CircuitBreakerOptions): CircuitBreaker {
    if (options !== undefined) checks.object('options', options)
    this.#checkPlace(name)
    const breaker = new CircuitBreaker(name, { ...this.#defaults, ...options })
    this.#own.push(breaker)
    this.#breakers.set(name, breaker)
    return breaker
  }

  /**
   * Takes in a breaker that was made elsewhere, so that it is found and shown like the others.
   *
   * @throws `HOLDFAST_ERR_CIRCUIT_BREAKER_` + `NAME_TAKEN`, `BREAKERS_FULL`, `CLOSED`.
   */
  add(breaker: CircuitBreaker): void {
    checks.having('breaker', checks.object('breaker', breaker), ['tryAcquire', 'settle', 'snapshot'])
    this.#checkPlace(breaker.name)
    this.#breakers.set(breaker.name, breaker)
  }

  get(name: string): CircuitBreaker | undefined {
    return this.#breakers.get(name)
  }

  /** In the order in which they were made. */
  list(): readonly CircuitBreaker[] {
    return [...this.#breakers.values()]
  }

  /** All breakers as plain data. */
  snapshot(): readonly BreakerSnapshot[] {
    return this.list().map((breaker) => breaker.snapshot())
  }

  /** Closes every breaker made here for good. */
  close(): void {
    this.#closed = true
    for (const breaker of this.#own) breaker.close()
  }

  #checkPlace(name: string): void {
    if (this.#closed) throw new ClosedError(String(name))
    if (this.#breakers.has(name)) throw new NameTakenError(name)
    if (this.#breakers.size >= this.#maxBreakers) throw new BreakersFullError(this.#maxBreakers)
  }
}
