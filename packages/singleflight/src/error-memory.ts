/*
 * Remembers, for a short while, why keys failed, so that a failing source sees one call per window instead of
 * one per herd. Every error lives equally long, so insertion order is expiry order: old ones are dropped from
 * the front when a new one comes, and the number of errors never exceeds the maximum.
 */
interface Failure {
  readonly error: unknown
  readonly untilMs: number
}

export class ErrorMemory {
  readonly #failures = new Map<string, Failure>()
  readonly #ttlMs: number
  readonly #maximum: number

  constructor(ttlMs: number, maximum: number) {
    this.#ttlMs = ttlMs
    this.#maximum = maximum
  }

  get size(): number {
    return this.#failures.size
  }

  remember(key: string, error: unknown, nowMs: number): void {
    if (this.#ttlMs === 0) return
    // Deleted first, so that a key that fails again moves to the end.
    this.#failures.delete(key)
    for (const [oldest, failure] of this.#failures) {
      if (failure.untilMs > nowMs && this.#failures.size < this.#maximum) break
      this.#failures.delete(oldest)
    }
    this.#failures.set(key, { error, untilMs: nowMs + this.#ttlMs })
  }

  recall(key: string, nowMs: number): { readonly error: unknown } | undefined {
    const failure = this.#failures.get(key)
    if (failure === undefined || failure.untilMs > nowMs) return failure
    this.#failures.delete(key)
    return undefined
  }

  forget(key: string): boolean {
    return this.#failures.delete(key)
  }

  clear(): void {
    this.#failures.clear()
  }
}
