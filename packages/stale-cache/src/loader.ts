/*
 * The load pipeline: one call of the source for many keys, and everything that follows from its answer.
 *
 * Guarantees: a load that does not settle within `maxLoadMs` is given up, and its late answer is still taken.
 * Every key that was asked for is dealt with once: stored, kept, missing or failed; one that failed rests.
 * Does not decide which keys are loaded, or when; what may replace what is decided where values are placed. (A
 * second level and a lease across processes belong around the one call of `load` below.)
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { LoadGivenUpError, RowInvalidError } from './errors.ts'
import { channels, type LoadEvent } from './events.ts'
import { type Arrival, type Entry, type Holdings, type Placement, shown } from './holdings.ts'
import type { ResolvedOptions, Row } from './options.ts'

/** What a load did to one key. */
export interface Loaded<V> {
  readonly outcome: 'stored' | 'kept' | 'missing'
  readonly value: V | undefined
}

interface Failed {
  readonly outcome: 'failed'
  readonly error: unknown
}

/** Where the rows of a load go. */
export interface LoadTarget<V> {
  readonly holdings: Holdings<V>
  /** Takes a row. Throws when it cannot be stored. */
  readonly place: (arrival: Arrival<V>) => Placement
  /** Takes that a key is unknown at the source. Answers what is held because it was read later. */
  readonly miss: (key: string, order: number) => Entry<V> | undefined
}

/** When a load began: its place in the order of loads and writes, and the time of its values. */
interface Beginning {
  readonly order: number
  readonly asOfMs: number
}

export class Loader<V> {
  readonly #name: string
  readonly #options: ResolvedOptions<V>
  readonly #target: LoadTarget<V>
  readonly #running = new Set<AbortController>()
  readonly #neutral = AsyncLocalStorage.snapshot()
  readonly #counts = {
    loads: 0,
    loadsFailed: 0,
    loadsGivenUp: 0,
    keysLoaded: 0,
    keysMissing: 0,
    keysKept: 0,
    keysFailed: 0,
    rowsUnasked: 0,
  }

  constructor(name: string, options: ResolvedOptions<V>, target: LoadTarget<V>) {
    this.#name = name
    this.#options = options
    this.#target = target
  }

  /** Since construction. */
  counts() {
    return { ...this.#counts }
  }

  /** Aborts the signals of the loads that are out. */
  abort(reason: Error): void {
    for (const load of this.#running) load.abort(reason)
  }

  /**
   * Asks the source for these keys. What comes back tells of each of them what became of it, or throws why it
   * failed. Rejects when all of them failed: with what `load` rejected with, or because the load was given up.
   */
  async load(keys: readonly string[]): Promise<(key: string) => Loaded<V>> {
    const { clock, load, maxLoadMs } = this.#options
    const { holdings } = this.#target
    const order = holdings.changes.begin()
    const asOfMs = clock.nowMs()
    const controller = new AbortController()
    this.#running.add(controller)
    this.#counts.loads += 1
    const answered = this.#neutral(async () => load(keys, { signal: controller.signal }))
    // Also after the load was given up: a late answer is an answer, and cannot replace anything newer.
    const stored = answered
      .then((rows) => this.#store(keys, rows, { order, asOfMs }))
      .finally(() => {
        holdings.changes.end(order)
        this.#running.delete(controller)
      })
    const limit = Promise.withResolvers<never>()
    const cancelLimit = clock.schedule(maxLoadMs, () => {
      const error = new LoadGivenUpError(maxLoadMs)
      limit.reject(error)
      controller.abort(error)
    })
    try {
      const loaded = await Promise.race([stored, limit.promise])
      this.#publish(keys, asOfMs, 'loaded', undefined)
      return loaded
    } catch (error) {
      const givenUp = error instanceof LoadGivenUpError
      if (givenUp) this.#counts.loadsGivenUp += 1
      else this.#counts.loadsFailed += 1
      for (const key of keys) this.#fail(key, order, error)
      this.#publish(keys, asOfMs, givenUp ? 'given-up' : 'failed', error)
      throw error
    } finally {
      cancelLimit()
    }
  }

  #store(keys: readonly string[], rows: Iterable<Row<V>>, beginning: Beginning): (key: string) => Loaded<V> {
    const unanswered = new Set(keys)
    const outcomes = new Map<string, Loaded<V> | Failed>()
    let unreadable = false
    for (const row of rows) {
      if (typeof row?.key !== 'string') unreadable = true
      else if (unanswered.delete(row.key)) outcomes.set(row.key, this.#take(row, beginning))
      else this.#counts.rowsUnasked += 1
    }
    for (const key of unanswered) {
      outcomes.set(key, unreadable ? this.#unread(key, beginning) : this.#miss(key, beginning))
    }
    return (key) => {
      const result = outcomes.get(key) as Loaded<V> | Failed
      if (result.outcome === 'failed') throw result.error
      return result
    }
  }

  #take(row: Row<V>, { order, asOfMs }: Beginning): Loaded<V> | Failed {
    const { key, value } = row
    try {
      const placement = this.#target.place({ ...row, order, asOfMs, origin: 'source' })
      return placement === 'stored' || placement === 'confirmed'
        ? this.#stored(value)
        : this.#kept(key, value, placement, order)
    } catch (error) {
      return this.#fail(key, order, error)
    }
  }

  #stored(value: V): Loaded<V> {
    this.#counts.keysLoaded += 1
    return { outcome: 'stored', value }
  }

  /** Nothing became fresh: without a pause the next request would load the same row again. */
  #kept(key: string, value: V, placement: 'older' | 'too-large', order: number): Loaded<V> {
    const { holdings } = this.#target
    this.#counts.keysKept += 1
    holdings.rest(key, order, undefined, this.#options.clock.nowMs())
    const held = placement === 'older' ? holdings.look(key) : undefined
    return { outcome: 'kept', value: held === undefined ? value : held.value }
  }

  #miss(key: string, { order }: Beginning): Loaded<V> {
    const held = this.#target.miss(key, order)
    if (held !== undefined) return { outcome: 'kept', value: held.value }
    this.#counts.keysMissing += 1
    return { outcome: 'missing', value: undefined }
  }

  /** A row that cannot be read may have been about this key: it does not say that the key is gone. */
  #unread(key: string, { order }: Beginning): Failed {
    const problem = 'load answered a row whose key is no text'
    return this.#fail(key, order, new RowInvalidError(shown(key), problem))
  }

  #fail(key: string, order: number, error: unknown): Failed {
    this.#counts.keysFailed += 1
    this.#target.holdings.rest(key, order, error, this.#options.clock.nowMs())
    return { outcome: 'failed', error }
  }

  #publish(keys: readonly string[], beganMs: number, outcome: LoadEvent['outcome'], error: unknown): void {
    if (!channels.load.hasSubscribers) return
    const durationMs = this.#options.clock.nowMs() - beganMs
    const event: LoadEvent = { cache: this.#name, keys, durationMs, outcome, error }
    channels.load.publish(event)
  }
}
