/*
 * The load pipeline: one call of the source for many keys, and everything that follows from its answer.
 *
 * Guarantees: a load that does not settle within `maxLoadMs` is given up, and its late answer is still taken.
 * Every key that was asked for is dealt with once: stored, kept, missing or failed; one that failed rests.
 * Does not decide which keys are loaded, or when; what may replace what is decided where values are placed. With a
 * second level the fleet is asked around the one call of `load` below.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { LoadGivenUpError, RowInvalidError } from './errors.ts'
import { channels, type LoadEvent } from './events.ts'
import type { FetchContext, Fetched, RowReading } from './fleet-load.ts'
import { type Arrival, type Entry, type Holdings, type Placement, type Reading, shown } from './holdings.ts'
import type { ResolvedOptions, Row } from './options.ts'
import type { Notice } from './outbox.ts'
import type { Since, Want } from './shared-store.ts'

/** What a load did to one key. */
export interface Loaded<V> {
  readonly outcome: 'stored' | 'kept' | 'missing'
  readonly value: V | undefined
}

interface Failed {
  /** 'strange': what another process brought could not be used. */
  readonly outcome: 'failed' | 'strange'
  readonly error: unknown
}

/** Where the rows of a load go. */
export interface LoadTarget<V> {
  readonly holdings: Holdings<V>
  /** Takes a row. Throws when it cannot be stored. */
  readonly place: (arrival: Arrival<V>) => Placement
  /** Takes that a key is unknown at the source. Answers what is held because it was read later. */
  readonly miss: (key: string, reading: Reading) => Entry<V> | undefined
  /** The fleet, where there is one: it answers from Redis, by another process, or by `load`. */
  readonly fleet: FleetSource<V> | undefined
}

/** What a load needs of the fleet. */
export interface FleetSource<V> {
  fetch(wants: readonly Want[], context: FetchContext<V>): Promise<Fetched<V>>
  tell(notice: Notice): void
  /** A value that it brought cannot be used here. */
  distrust(): void
}

/** When a load began: its place in the order of loads and writes, and the time of its values. */
interface Beginning {
  readonly order: number
  readonly asOfMs: number
}

type Asked<V> = Omit<Fetched<V>, 'rows'> & { readonly rows: Iterable<Row<V>> }

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
  async load(
    keys: readonly string[],
    sinceOf: (key: string) => Since = () => 0,
  ): Promise<(key: string) => Loaded<V>> {
    const { clock, maxLoadMs } = this.#options
    const { holdings } = this.#target
    const order = holdings.changes.begin()
    const asOfMs = clock.nowMs()
    const controller = new AbortController()
    this.#running.add(controller)
    const answered = this.#fetch(keys, sinceOf, controller.signal)
    // Also after the load was given up: a late answer is an answer, and cannot replace anything newer.
    const stored = answered
      .then((fetched) => this.#settle(keys, fetched, { order, asOfMs }, controller.signal))
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
      for (const key of keys) this.#fail(key, { order, asOfMs }, error)
      this.#publish(keys, asOfMs, givenUp ? 'given-up' : 'failed', error)
      throw error
    } finally {
      cancelLimit()
    }
  }

  async #fetch(
    keys: readonly string[],
    sinceOf: (key: string) => Since,
    signal: AbortSignal,
  ): Promise<Asked<V>> {
    const { fleet } = this.#target
    const load = async (some: readonly string[]) => {
      this.#counts.loads += 1
      try {
        return [...(await this.#neutral(async () => this.#options.load(some, { signal })))]
      } catch (error) {
        // Of a load that was given up this is the late end.
        if (!(signal.reason instanceof LoadGivenUpError)) this.#counts.loadsFailed += 1
        throw error
      }
    }
    if (fleet === undefined) return { rows: await load(keys), readings: new Map(), failed: new Map() }
    const wants = keys.map((key) => ({ key, since: sinceOf(key) }))
    return fleet.fetch(wants, { signal, load })
  }

  async #settle(
    keys: readonly string[],
    asked: Asked<V>,
    beginning: Beginning,
    signal: AbortSignal,
  ): Promise<(key: string) => Loaded<V>> {
    const outcomes = this.#store(keys, asked, beginning)
    // Another release may write what this one cannot use: then the source is asked.
    const strange = keys.filter((key) => outcomes.get(key)?.outcome === 'strange')
    if (strange.length > 0) {
      const again = await this.#fetch(strange, (key) => (asked.readings.get(key)?.fence ?? 0) + 1, signal)
      for (const [key, outcome] of this.#store(strange, again, beginning)) {
        if (outcome.outcome !== 'strange') outcomes.set(key, outcome)
        else outcomes.set(key, this.#fail(key, beginning, outcome.error))
      }
    }
    return (key) => {
      const result = outcomes.get(key)
      if (result !== undefined && 'value' in result) return result
      throw result?.error
    }
  }

  #store(
    keys: readonly string[],
    { rows, readings, failed }: Asked<V>,
    beginning: Beginning,
  ): Map<string, Loaded<V> | Failed> {
    const readingOf = (key: string) => ({ ...beginning, ...readings.get(key) })
    const unanswered = new Set(keys)
    const outcomes = new Map<string, Loaded<V> | Failed>()
    let unreadable = false
    for (const row of rows) {
      if (typeof row?.key !== 'string') unreadable = true
      else if (unanswered.delete(row.key)) outcomes.set(row.key, this.#take(row, readingOf(row.key)))
      else this.#counts.rowsUnasked += 1
    }
    for (const key of unanswered) {
      const reading = readingOf(key)
      if (failed.has(key)) outcomes.set(key, this.#fail(key, reading, failed.get(key)))
      else outcomes.set(key, unreadable ? this.#unread(key, reading) : this.#miss(key, reading))
    }
    return outcomes
  }

  #take(row: Row<V>, reading: Beginning & RowReading): Loaded<V> | Failed {
    const { key, value } = row
    const { order, asOfMs, fence } = reading
    try {
      const placement = this.#target.place({ ...row, order, asOfMs, fence, origin: 'source' })
      if (placement !== 'stored' && placement !== 'confirmed')
        return this.#kept(key, value, placement, reading)
      this.#tell('store', key, reading)
      return this.#stored(value)
    } catch (error) {
      if (fence === undefined || reading.lease !== undefined) return this.#unusable(key, reading, error)
      this.#target.fleet?.distrust()
      return { outcome: 'strange', error }
    }
  }

  #stored(value: V): Loaded<V> {
    this.#counts.keysLoaded += 1
    return { outcome: 'stored', value }
  }

  /** Nothing became fresh: without a pause the next request would load the same row again. */
  #kept(key: string, value: V, placement: 'older' | 'too-large', reading: Beginning & RowReading): Loaded<V> {
    const { holdings } = this.#target
    this.#counts.keysKept += 1
    this.#tell('release', key, reading)
    holdings.rest(key, reading.order, undefined, this.#options.clock.nowMs())
    const held = placement === 'older' ? holdings.look(key) : undefined
    return { outcome: 'kept', value: held === undefined ? value : held.value }
  }

  #miss(key: string, reading: Beginning & RowReading): Loaded<V> {
    const held = this.#target.miss(key, reading)
    this.#tell(held === undefined ? 'missing' : 'release', key, reading)
    if (held !== undefined) return { outcome: 'kept', value: held.value }
    this.#counts.keysMissing += 1
    return { outcome: 'missing', value: undefined }
  }

  /** A row that cannot be read may have been about this key: it does not say that the key is gone. */
  #unread(key: string, reading: Beginning & RowReading): Failed {
    const problem = 'load answered a row whose key is no text'
    return this.#unusable(key, reading, new RowInvalidError(shown(key), problem))
  }

  #unusable(key: string, reading: Beginning & RowReading, error: unknown): Failed {
    this.#tell('failed', key, reading, error instanceof Error ? error.message : String(error))
    return this.#fail(key, reading, error)
  }

  #fail(key: string, { order }: Beginning, error: unknown): Failed {
    this.#counts.keysFailed += 1
    this.#target.holdings.rest(key, order, error, this.#options.clock.nowMs())
    return { outcome: 'failed', error }
  }

  /** What this process has read from the source itself is news for the fleet. */
  #tell(
    kind: Notice['kind'],
    name: string,
    { lease, fence, asOfMs }: Beginning & RowReading,
    reason = '',
  ): void {
    if (lease === undefined && fence !== undefined) return
    this.#target.fleet?.tell({ kind, name, asOfMs, fence, lease, reason: reason.slice(0, 500) })
  }

  #publish(keys: readonly string[], beganMs: number, outcome: LoadEvent['outcome'], error: unknown): void {
    if (!channels.load.hasSubscribers) return
    const durationMs = this.#options.clock.nowMs() - beganMs
    const event: LoadEvent = { cache: this.#name, keys, durationMs, outcome, error }
    channels.load.publish(event)
  }
}
