/*
 * What is answered when nothing else is held, ready before the first request.
 *
 * The general default is compiled once. Keys whose default differs from it are compiled when first asked for
 * and remembered up to two bounds, so that made-up keys cannot grow anything. A `fallback` that throws for a
 * key answers with the general default: there is always an answer.
 */

import { RecencyTable, type TableBounds } from './recency-table.ts'
import type { Representation } from './representation.ts'

export interface Compiled<V> {
  readonly value: V
  readonly representation: Representation | undefined
  readonly bytes: number
}

export class CompiledDefaults<V> {
  readonly #fallback: (key: string) => V
  readonly #compile: (value: V, key: string) => Compiled<V>
  readonly #others: RecencyTable<Compiled<V>>
  #general: Compiled<V>
  #failures = 0

  /** Throws what `fallback` or `compile` throws for the empty key. */
  constructor(
    fallback: (key: string) => V,
    compile: (value: V, key: string) => Compiled<V>,
    bounds: TableBounds,
  ) {
    this.#fallback = fallback
    this.#compile = compile
    this.#others = new RecencyTable(bounds)
    this.#general = compile(fallback(''), '')
  }

  get general(): Compiled<V> {
    return this.#general
  }

  get size(): number {
    return this.#others.size
  }

  /** How often `fallback` or `represent` threw for a key. */
  get failures(): number {
    return this.#failures
  }

  /** The general default in more encodings than it was first compiled in. */
  complete(representation: Representation): void {
    this.#general = { ...this.#general, representation }
  }

  of(key: string): Compiled<V> {
    const known = this.#others.get(key)
    if (known !== undefined) return known
    try {
      const value = this.#fallback(key)
      if (Object.is(value, this.#general.value)) return this.#general
      const compiled = this.#compile(value, key)
      this.#others.set(key, compiled, compiled.bytes)
      return compiled
    } catch {
      this.#failures += 1
      return this.#general
    }
  }
}
