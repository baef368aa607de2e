import { HandClock } from '@holdfast/test-kit'
import type { Row } from '../src/options.ts'
import { StaleCache } from '../src/stale-cache.ts'

type Answer = Iterable<Row<Thing>> | Promise<Iterable<Row<Thing>>>

export interface Thing {
  readonly text: string
}

/** A source whose every call is recorded, and answered when and how the test says. */
export class Source {
  readonly calls: { readonly keys: readonly string[]; readonly signal: AbortSignal }[] = []
  /** What exists. */
  readonly rows = new Map<string, Omit<Row<Thing>, 'key'>>()
  answer: (keys: readonly string[]) => Answer = (keys) => this.found(keys)

  has(key: string, text: string, more: Partial<Row<Thing>> = {}): void {
    this.rows.set(key, { value: { text }, ...more })
  }

  found(keys: readonly string[]): Row<Thing>[] {
    return keys.flatMap((key) => {
      const row = this.rows.get(key)
      return row === undefined ? [] : [{ key, ...row }]
    })
  }

  readonly load = async (keys: readonly string[], { signal }: { signal: AbortSignal }) => {
    this.calls.push({ keys, signal })
    return await this.answer(keys)
  }
}

type Options = Partial<ConstructorParameters<typeof StaleCache<Thing>>[1]>

/** A cache over a `Source`, on a clock that stands still, without jitter unless the test wants it. */
export function cacheOver(options: Options = {}) {
  const clock = new HandClock()
  const source = new Source()
  const cache = new StaleCache<Thing>('things', {
    load: source.load,
    fallback: () => ({ text: 'default' }),
    freshMs: 1_000,
    staleMs: 10_000,
    ttlJitter: 0,
    random: () => 0.5,
    clock,
    ...options,
  })
  return { clock, source, cache }
}

/** A promise whose end a test decides. */
export function pending<T>() {
  return Promise.withResolvers<T>()
}

export function fail(message: string) {
  return () => Promise.reject(new Error(message))
}
