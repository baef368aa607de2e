/*
 * A cache that always has an answer: fresh, stale, from the last-known-good file, or a compiled default.
 *
 * Guarantees: `peek` is synchronous and never reaches the source. One load per key at a time, many keys in one
 * load. What was read earlier never replaces what was read later, and a smaller version never replaces a
 * larger one; a load that began before an invalidation never makes anything fresh again. A failed load keeps
 * what is held, and its keys rest. Every map and queue in here has a bound.
 *
 * Does not guarantee anything across processes. A value that was evicted takes its version along: the order of
 * versions holds for what is held.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { Singleflight, type WaiterOptions } from '@holdfast/singleflight'
import { Batcher } from './batcher.ts'
import { settledWithin } from './budget.ts'
import { ChangeLog } from './change-log.ts'
import { type Compiled, CompiledDefaults } from './compiled-defaults.ts'
import { CompressionQueue } from './compression-queue.ts'
import {
  BackingOffError,
  ClosedError,
  KeyRefusedError,
  LoadGivenUpError,
  RowInvalidError,
  withRetryHint,
} from './errors.ts'
import { channels, type InvalidateEvent, type LoadEvent } from './events.ts'
import { backoffMs, jittered, mayReplace, type Version } from './freshness.ts'
import { LastKnownGood, type LastKnownGoodSnapshot } from './last-known-good.ts'
import {
  type AnyOptions,
  type OptionsFor,
  type ResolvedOptions,
  type Row,
  refuse,
  resolveOptions,
  type StaleCacheSettings,
} from './options.ts'
import { freezeAndWeigh } from './plain-data.ts'
import { RecencyTable, type TableBounds } from './recency-table.ts'
import { type Lane, RefreshQueue } from './refresh-queue.ts'
import { createIdentityRepresentation, type Representation } from './representation.ts'
import type { SnapshotRecord } from './snapshot-format.ts'

/** What a cache holds for a key at this moment. */
export interface Peeked<V, R extends Representation | undefined = Representation> {
  /**
   * `'fresh'`; `'stale'`: older than `freshMs`, or invalidated, and queued for a refresh; `'snapshot'`: from
   * the last-known-good file and not confirmed by the source since; `'default'`: `fallback` spoke.
   */
  readonly source: 'fresh' | 'stale' | 'snapshot' | 'default'
  /** Shared by everybody who peeks: never mutate it. */
  readonly value: V
  readonly version: Version | undefined
  /** Milliseconds since the load that brought it began; 0 for a default. */
  readonly ageMs: number
  /** Milliseconds of freshness left, 0 or negative when it is not fresh. */
  readonly ttlMs: number
  readonly representation: R
}

/** The part of a cache that a request handler needs: it cannot reach the source. */
export interface StaleReader<V, R extends Representation | undefined = Representation> {
  peek(key: string): Peeked<V, R>
}

/** What `set` stores. */
export type Write<V> = Omit<Row<V>, 'key'>

/** How a `refresh` went, in numbers of keys. */
export interface RefreshReport {
  /** Stored, changed or confirmed. */
  readonly loaded: number
  /** Unknown at the source. */
  readonly missing: number
  /** Not stored: what is held is newer, or the value is larger than `maxBytes`. */
  readonly kept: number
  /** The load failed, was late, or its row was unusable; what is held stays. */
  readonly failed: number
  /** Keys that cannot exist (`isKey`). */
  readonly refused: number
}

type Placement = 'stored' | 'older' | 'too-large'

interface Entry<V> {
  readonly key: string
  readonly value: V
  /** Resolved, so that an awaited hit allocates nothing. */
  readonly promise: Promise<V>
  readonly version: Version | undefined
  readonly tags: readonly string[]
  order: number
  asOfMs: number
  staleUntilMs: number
  origin: 'source' | 'snapshot'
  /** Without the representation. */
  readonly bytes: number
  representation: Representation | undefined
  freshUntilMs: number
  failures: number
  retryAtMs: number
  /** Why the last load failed. */
  error: unknown
}

/** Why nothing is held for a key that somebody asked for. */
interface Absence {
  readonly outcome: 'missing' | 'failed'
  readonly order: number
  readonly untilMs: number
  readonly failures: number
  readonly error: unknown
}

/** What a load did to one key. */
interface Loaded<V> {
  readonly outcome: 'stored' | 'kept' | 'missing'
  readonly value: V | undefined
}

/** A row on its way in, whoever brings it. */
interface Arrival<V> extends Row<V> {
  readonly order: number
  readonly asOfMs: number
  readonly origin: 'source' | 'snapshot'
}

/** Counters since construction, and gauges of this moment. */
export interface StaleCacheSnapshot {
  readonly name: string
  /** Reads answered with a fresh value. */
  readonly fresh: number
  /** Reads answered with a stale value. */
  readonly stale: number
  /** Reads answered from the last-known-good file. */
  readonly snapshot: number
  /** Peeks answered with a compiled default. */
  readonly default: number
  /** Calls of `get` answered from a negative entry. */
  readonly missing: number
  /** Calls of `get` that had to wait for a load, because nothing usable was held. */
  readonly awaited: number
  /** Calls of `load`. */
  readonly loads: number
  /** Calls of `load` that rejected. */
  readonly loadsFailed: number
  /** Calls of `load` that had not settled at `maxLoadMs`. */
  readonly loadsGivenUp: number
  /** Keys stored by loads. */
  readonly keysLoaded: number
  /** Keys that the source did not know. */
  readonly keysMissing: number
  /** Loaded keys whose row was not stored: older than what is held, or too large. */
  readonly keysKept: number
  /** Keys whose load failed or whose row could not be used. */
  readonly keysFailed: number
  /** Reads of keys that cannot exist. */
  readonly keysRefused: number
  /** Never-seen keys that were not queued because `maxQueuedKeys` were. */
  readonly keysDropped: number
  /** Rows of keys that had not been asked for. */
  readonly rowsUnasked: number
  /** Values larger than `maxBytes`. */
  readonly tooLarge: number
  /** Values that left because of `maxEntries` or `maxBytes`. */
  readonly evicted: number
  /** Values of the file that `revive` or `represent` refused. */
  readonly recordsRefused: number
  readonly entries: number
  /** Memory held by the values, as estimated. */
  readonly bytes: number
  readonly tags: number
  readonly negativeEntries: number
  readonly defaults: number
  /** Times `fallback` or `represent` threw for a default. */
  readonly defaultsFailed: number
  readonly queued: number
  readonly inFlight: number
  readonly loadsRunning: number
  /** Representations whose compressed encodings are being built. */
  readonly compressing: number
  readonly compressionFailed: number
  /** The last-known-good file, where there is one. */
  readonly file: LastKnownGoodSnapshot | undefined
  readonly closed: boolean
}

/** What an entry weighs besides its value, key, tags and representation: the record and its places in maps. */
const ENTRY_BYTES = 400

/** How long `close` waits for loads that are out. */
const CLOSE_BUDGET_MS = 2_000

export class StaleCache<V, R extends Representation | undefined = Representation> {
  readonly name: string
  /** Settled when the general default has all its encodings and the file has been read, or its budget is over. */
  readonly ready: Promise<void>
  /** `peek` alone, for those who must not be able to do more. */
  readonly reader: StaleReader<V, R>

  readonly #options: ResolvedOptions<V>
  readonly #entries: RecencyTable<Entry<V>>
  readonly #absences: RecencyTable<Absence>
  readonly #keysByTag = new Map<string, Set<string>>()
  readonly #defaults: CompiledDefaults<V>
  readonly #compression: CompressionQueue
  readonly #file: LastKnownGood | undefined
  readonly #queue: RefreshQueue
  readonly #batcher: Batcher<Loaded<V>>
  readonly #flights: Singleflight
  /** Keys with a flight that owns them; `begun` once their load is on its way. */
  readonly #inFlight = new Map<string, { begun: boolean }>()
  readonly #changes: ChangeLog
  readonly #loads = new Set<AbortController>()
  readonly #neutral = AsyncLocalStorage.snapshot()
  readonly #counts = {
    fresh: 0,
    stale: 0,
    snapshot: 0,
    default: 0,
    missing: 0,
    awaited: 0,
    loads: 0,
    loadsFailed: 0,
    loadsGivenUp: 0,
    keysLoaded: 0,
    keysMissing: 0,
    keysKept: 0,
    keysFailed: 0,
    keysRefused: 0,
    keysDropped: 0,
    rowsUnasked: 0,
    tooLarge: 0,
    evicted: 0,
    recordsRefused: 0,
  }
  #cancelBatch: (() => void) | undefined = undefined
  #lastBatchMs = Number.NEGATIVE_INFINITY
  #closed = false

  /** @throws `HOLDFAST_ERR_STALE_CACHE_INVALID_OPTION` */
  constructor(name: string, options: StaleCacheSettings<V> & OptionsFor<V, R>) {
    this.name = name
    this.#options = resolveOptions(options as AnyOptions<V>)
    const { maxEntries, maxBytes, maxNegativeEntries, maxDefaults, maxFlights, maxQueuedKeys } = this.#options
    const { maxBatchKeys, maxConcurrentLoads, hardTimeoutMs, clock } = this.#options
    this.#entries = new RecencyTable({ maxEntries, maxBytes }, (entry, evicted) => this.#left(entry, evicted))
    this.#absences = new RecencyTable({ maxEntries: maxNegativeEntries, maxBytes: Infinity })
    this.#queue = new RefreshQueue({ known: maxEntries, unknown: maxQueuedKeys })
    this.#changes = new ChangeLog(maxEntries)
    this.#batcher = new Batcher({
      run: (keys) => this.#load(keys),
      maxBatch: maxBatchKeys,
      maxConcurrent: maxConcurrentLoads,
    })
    // A load that never settles is given up by #load, so that its place in the batcher is freed, too.
    this.#flights = new Singleflight({ maxFlights, hardTimeoutMs, maxFlightMs: Infinity, clock })
    this.#compression = new CompressionQueue(this.#options.representation)
    this.#defaults = this.#compileDefaults({ maxEntries: maxDefaults, maxBytes: Math.floor(maxBytes / 16) })
    this.#file = this.#openFile()
    this.reader = Object.freeze({ peek: (key: string) => this.peek(key) })
    this.ready = this.#prepare()
  }

  /**
   * What is held for `key`, at once. Never throws, never waits, never reaches the source: a key that is stale
   * or missing is queued, and loaded in the next batch (unless `loadOnPeek` is false).
   */
  peek(key: string): Peeked<V, R> {
    const nowMs = this.#options.clock.nowMs()
    const entry = this.#entries.get(key)
    if (entry !== undefined && nowMs < entry.staleUntilMs) {
      const source = this.#sourceOf(entry, nowMs)
      if (source !== 'fresh' && this.#options.loadOnPeek) this.#wish(entry, nowMs)
      this.#counts[source] += 1
      return {
        source,
        value: entry.value,
        version: entry.version,
        ageMs: nowMs - entry.asOfMs,
        ttlMs: entry.freshUntilMs - nowMs,
        representation: entry.representation as R,
      }
    }
    this.#counts.default += 1
    const { value, representation } = this.#defaultOf(key, entry, nowMs)
    return {
      source: 'default',
      value,
      version: undefined,
      ageMs: 0,
      ttlMs: 0,
      representation: representation as R,
    }
  }

  /**
   * The value of `key`: at once when a fresh or (see `softTimeoutMs`) stale one is held, otherwise when its
   * load is done. `undefined`: the source does not know the key.
   *
   * Rejects with what `load` rejected with; with `HOLDFAST_ERR_STALE_CACHE_BACKING_OFF` while a failed key
   * rests and nothing is held; with the errors of `Singleflight.run` when the caller's signal aborts, its time
   * or `hardTimeoutMs` is over, or too many keys are in flight. The load goes on; its late value is stored.
   */
  get(key: string, waiter?: WaiterOptions): Promise<V | undefined> {
    const entry = this.#entries.get(key)
    if (entry === undefined) return this.#getAbsent(key, waiter)
    const nowMs = this.#options.clock.nowMs()
    if (nowMs < entry.freshUntilMs) {
      this.#counts.fresh += 1
      return entry.promise
    }
    return this.#getStale(entry, nowMs, waiter)
  }

  /**
   * Stores a value that the caller has just written to the source. Returns false when what is held is newer
   * (a larger version) or the value is larger than `maxBytes`. Loads that are out can no longer replace it,
   * unless they bring a larger version.
   *
   * @throws `HOLDFAST_ERR_STALE_CACHE_KEY_REFUSED`, `HOLDFAST_ERR_STALE_CACHE_ROW_INVALID`,
   * `HOLDFAST_ERR_STALE_CACHE_CLOSED`, and what `represent` throws.
   */
  set(key: string, write: Write<V>): boolean {
    if (this.#closed) throw this.#closedError()
    if (!this.#accepts(key)) throw new KeyRefusedError(shown(key))
    const asOfMs = this.#options.clock.nowMs()
    const order = this.#changes.next()
    return this.#place({ ...write, key, order, asOfMs, origin: 'source' }) === 'stored'
  }

  /**
   * Loads keys now, in as few loads as `maxBatchKeys` allows, whether or not they are fresh or resting. Each
   * load begins after this call. Never rejects because a load failed: read the report.
   *
   * @throws `HOLDFAST_ERR_STALE_CACHE_CLOSED` (as a rejection)
   */
  async refresh(keys: Iterable<string>): Promise<RefreshReport> {
    const report = { loaded: 0, missing: 0, kept: 0, failed: 0, refused: 0 }
    const accepted: string[] = []
    for (const key of new Set(keys)) {
      if (this.#accepts(key)) accepted.push(key)
      else report.refused += 1
    }
    const { maxBatchKeys, maxFlights } = this.#options
    const step = Math.min(maxBatchKeys, maxFlights)
    for (let from = 0; from < accepted.length; from += step) {
      if (this.#closed) throw this.#closedError()
      const batch = accepted.slice(from, from + step).map((key) => this.#reload(key))
      for (const result of await Promise.allSettled(batch)) {
        if (result.status === 'rejected') report.failed += 1
        else if (result.value.outcome === 'stored') report.loaded += 1
        else report[result.value.outcome] += 1
      }
    }
    await this.#compression.idle()
    return report
  }

  /**
   * Marks what is held for `key` stale and keeps its bytes; forgets that the key is unknown or resting. A load
   * that is out will not make it fresh again. Returns whether anything is held.
   */
  invalidate(key: string): boolean {
    const marked = this.#outdate(key)
    this.#publishInvalidation({ key }, marked ? 1 : 0)
    return marked
  }

  /** Like `invalidate` for every value stored with this tag. Returns how many there are. */
  invalidateTag(tag: string): number {
    this.#changes.change(`tag:${tag}`)
    const keys = [...(this.#keysByTag.get(tag) ?? [])]
    for (const key of keys) this.#outdate(key)
    this.#publishInvalidation({ tag }, keys.length)
    return keys.length
  }

  /**
   * For a source that can tell cheaply whether anything has changed, by versions or a fingerprint. Call this
   * before the source is asked, and what it returns, once, with the keys whose held values the source found
   * current (with none when it could not be asked): they are as fresh as if they had been loaded by a load that
   * began with this call. A key that was invalidated in between, or holds nothing, is left as it is. What is
   * returned answers how many keys it confirmed.
   */
  beginConfirmation(): (keys: Iterable<string>) => number {
    const order = this.#changes.begin()
    const asOfMs = this.#options.clock.nowMs()
    let open = true
    return (keys) => {
      // Once closed, what changed since is no longer remembered.
      if (!open) return 0
      open = false
      let confirmed = 0
      for (const key of keys) if (this.#confirm(key, order, asOfMs)) confirmed += 1
      this.#changes.end(order)
      if (confirmed > 0) this.#neutral(() => this.#file?.age())
      return confirmed
    }
  }

  /** Counters and gauges as plain data. */
  snapshot(): StaleCacheSnapshot {
    return {
      ...this.#counts,
      name: this.name,
      entries: this.#entries.size,
      bytes: this.#entries.bytes,
      tags: this.#keysByTag.size,
      negativeEntries: this.#absences.size,
      defaults: this.#defaults.size,
      defaultsFailed: this.#defaults.failures,
      queued: this.#queue.size,
      inFlight: this.#inFlight.size,
      loadsRunning: this.#batcher.running,
      compressing: this.#compression.size,
      compressionFailed: this.#compression.failures,
      file: this.#file?.snapshot(),
      closed: this.#closed,
    }
  }

  /**
   * Stops refreshing. Loads that are out get 2 seconds to come back to those who wait for them, then their
   * signals abort; then the last-known-good file is written, for which there are 2 seconds, too. What is held
   * can still be peeked at.
   */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#cancelBatch?.()
    this.#queue.clear()
    await settledWithin(CLOSE_BUDGET_MS, this.#batcher.idle(), this.#options.clock)
    this.#flights.close()
    for (const load of this.#loads) load.abort(this.#closedError())
    this.#compression.close()
    await this.#file?.close()
  }

  /**
   * The load pipeline: one call of the source for many keys, and everything that follows from its answer.
   * (A second level and a lease across processes belong around the one call of `load` below.)
   */
  async #load(keys: readonly string[]): Promise<(key: string) => Loaded<V>> {
    const { clock, load, maxLoadMs } = this.#options
    const order = this.#changes.begin()
    const beganMs = clock.nowMs()
    const controller = new AbortController()
    this.#loads.add(controller)
    this.#counts.loads += 1
    const answered = this.#neutral(async () => load(keys, { signal: controller.signal }))
    // Also after the load was given up: a late answer is an answer, and cannot replace anything newer.
    const stored = answered
      .then((rows) => this.#store(keys, rows, order, beganMs))
      .finally(() => {
        this.#changes.end(order)
        this.#loads.delete(controller)
      })
    const limit = Promise.withResolvers<never>()
    const cancelLimit = clock.schedule(maxLoadMs, () => {
      const error = new LoadGivenUpError(maxLoadMs)
      limit.reject(error)
      controller.abort(error)
    })
    try {
      const loaded = await Promise.race([stored, limit.promise])
      this.#publishLoad(keys, beganMs, 'loaded', undefined)
      return loaded
    } catch (error) {
      const givenUp = error instanceof LoadGivenUpError
      if (givenUp) this.#counts.loadsGivenUp += 1
      else this.#counts.loadsFailed += 1
      this.#counts.keysFailed += keys.length
      for (const key of keys) this.#rest(key, order, error)
      this.#publishLoad(keys, beganMs, givenUp ? 'given-up' : 'failed', error)
      throw error
    } finally {
      cancelLimit()
    }
  }

  #store(
    keys: readonly string[],
    rows: Iterable<Row<V>>,
    order: number,
    asOfMs: number,
  ): (key: string) => Loaded<V> {
    const unanswered = new Set(keys)
    const failures = new Map<string, unknown>()
    const results = new Map<string, Loaded<V>>()
    for (const row of rows) {
      const { key, value } = row
      if (!unanswered.delete(key)) {
        this.#counts.rowsUnasked += 1
        continue
      }
      try {
        const placement = this.#place({ ...row, order, asOfMs, origin: 'source' })
        results.set(key, this.#resultOf(key, value, placement, order))
      } catch (error) {
        failures.set(key, error)
        this.#counts.keysFailed += 1
        this.#rest(key, order, error)
      }
    }
    for (const key of unanswered) results.set(key, this.#miss(key, order))
    return (key) => {
      const result = results.get(key)
      if (result === undefined) throw failures.get(key)
      return result
    }
  }

  #resultOf(key: string, value: V, placement: Placement, order: number): Loaded<V> {
    if (placement === 'stored') {
      this.#counts.keysLoaded += 1
      return { outcome: 'stored', value }
    }
    this.#counts.keysKept += 1
    // Nothing became fresh: without a pause the next request would load the same row again.
    this.#rest(key, order, undefined)
    const held = placement === 'older' ? this.#entries.look(key) : undefined
    return { outcome: 'kept', value: held === undefined ? value : held.value }
  }

  /** Lets a row in, if it is the newest there is. */
  #place(arrival: Arrival<V>): Placement {
    const { key, value, version, order, asOfMs, origin } = arrival
    const { clock, random, freshMs, staleMs, ttlJitter, freeze } = this.#options
    const tags = this.#checkRow(arrival)
    const held = this.#entries.look(key)
    if (held !== undefined && !mayReplace({ version, order }, held)) return 'older'
    const absence = this.#absences.look(key)
    if (absence?.outcome === 'missing' && absence.order > order) return 'older'

    const bytes = ENTRY_BYTES + freezeAndWeigh(value, freeze) + freezeAndWeigh([key, ...tags], false)
    const representation = this.#represent(value, key, held?.representation)
    const lifeMs = jittered(freshMs, ttlJitter, random())
    const confirmed = origin === 'source' && !this.#changedSince(order, key, tags)
    const nowMs = clock.nowMs()
    const entry: Entry<V> = {
      key,
      value,
      promise: Promise.resolve(value),
      version,
      tags,
      order,
      asOfMs,
      staleUntilMs: asOfMs + lifeMs + staleMs,
      origin,
      bytes,
      representation,
      freshUntilMs: confirmed ? asOfMs + lifeMs : Math.min(nowMs, asOfMs + lifeMs),
      failures: 0,
      retryAtMs: 0,
      error: undefined,
    }
    if (!this.#entries.set(key, entry, bytes + (representation?.bytes ?? 0))) {
      this.#counts.tooLarge += 1
      return 'too-large'
    }
    for (const tag of tags) {
      const keys = this.#keysByTag.get(tag)
      if (keys === undefined) this.#keysByTag.set(tag, new Set([key]))
      else keys.add(key)
    }
    this.#absences.delete(key)
    const same = representation !== undefined && representation === held?.representation
    if (representation !== undefined && !same) this.#compress(representation, key)
    if (origin === 'source') this.#neutral(() => (same ? this.#file?.age() : this.#file?.change()))
    return 'stored'
  }

  #confirm(key: string, order: number, asOfMs: number): boolean {
    const { random, freshMs, staleMs, ttlJitter } = this.#options
    const entry = this.#entries.look(key)
    if (entry === undefined || entry.order > order || this.#changedSince(order, key, entry.tags)) return false
    entry.order = order
    entry.asOfMs = asOfMs
    entry.freshUntilMs = asOfMs + jittered(freshMs, ttlJitter, random())
    entry.staleUntilMs = entry.freshUntilMs + staleMs
    entry.origin = 'source'
    entry.failures = 0
    entry.retryAtMs = 0
    return true
  }

  /** The source does not know this key. */
  #miss(key: string, order: number): Loaded<V> {
    const { clock, random, negativeMs, ttlJitter } = this.#options
    const held = this.#entries.look(key)
    if (held !== undefined && held.order > order) return { outcome: 'kept', value: held.value }
    this.#counts.keysMissing += 1
    // It may have come into being since: what is held stays, and nothing says that it is unknown.
    if (this.#changes.changedSince(order, `key:${key}`)) return { outcome: 'missing', value: undefined }
    if (this.#entries.delete(key)) this.#file?.change()
    const untilMs = clock.nowMs() + jittered(negativeMs, ttlJitter, random())
    this.#absences.set(key, { outcome: 'missing', order, untilMs, failures: 0, error: undefined }, 0)
    return { outcome: 'missing', value: undefined }
  }

  /** A load brought nothing new for this key: it is not loaded again before a pause. */
  #rest(key: string, order: number, error: unknown): void {
    const { clock, random, backoffMs: baseMs, maxBackoffMs } = this.#options
    const held = this.#entries.look(key)
    if (held !== undefined) {
      if (held.order > order) return
      held.failures += 1
      held.error = error
      held.retryAtMs = clock.nowMs() + backoffMs(held.failures, baseMs, maxBackoffMs, random())
      return
    }
    const failures = (this.#absences.look(key)?.failures ?? 0) + 1
    const untilMs = clock.nowMs() + backoffMs(failures, baseMs, maxBackoffMs, random())
    this.#absences.set(key, { outcome: 'failed', order, untilMs, failures, error }, 0)
  }

  /** Waits for a load of a key of which nothing usable is held. */
  async #await(key: string, lane: Lane, waiter: WaiterOptions | undefined): Promise<V | undefined> {
    this.#counts.awaited += 1
    return (await this.#fly(key, lane, waiter)).value
  }

  #getAbsent(key: string, waiter: WaiterOptions | undefined): Promise<V | undefined> {
    if (!this.#accepts(key)) {
      this.#counts.keysRefused += 1
      return Promise.resolve(undefined)
    }
    const absence = this.#absences.get(key)
    const nowMs = this.#options.clock.nowMs()
    if (absence === undefined || nowMs >= absence.untilMs) return this.#await(key, 'unknown', waiter)
    if (absence.outcome === 'failed') return this.#resting(key, absence.untilMs - nowMs, absence.error)
    this.#counts.missing += 1
    return Promise.resolve(undefined)
  }

  #getStale(entry: Entry<V>, nowMs: number, waiter: WaiterOptions | undefined): Promise<V | undefined> {
    const { key } = entry
    if (nowMs >= entry.staleUntilMs) {
      if (nowMs < entry.retryAtMs) return this.#resting(key, entry.retryAtMs - nowMs, entry.error)
      return this.#await(key, 'known', waiter)
    }
    this.#counts[this.#sourceOf(entry, nowMs)] += 1
    if (this.#options.softTimeoutMs > 0 && nowMs >= entry.retryAtMs) return this.#awaitSoftly(entry, waiter)
    this.#wish(entry, nowMs)
    return entry.promise
  }

  #resting(key: string, restMs: number, cause: unknown): Promise<never> {
    return Promise.reject(withRetryHint(new BackingOffError(shown(key), { cause }), restMs))
  }

  /** Waits for a refresh, but not longer than a stale value is worth waiting for. */
  #awaitSoftly(entry: Entry<V>, waiter: WaiterOptions | undefined): Promise<V | undefined> {
    const { key } = entry
    const { promise, resolve, reject } = Promise.withResolvers<V | undefined>()
    const answerHeld = () => resolve((this.#entries.look(key) ?? entry).value)
    const cancel = this.#options.clock.schedule(this.#options.softTimeoutMs, answerHeld)
    this.#fly(key, 'known', waiter).then(
      ({ value }) => {
        cancel()
        resolve(value)
      },
      (error: unknown) => {
        cancel()
        if (waiter?.signal?.aborted === true) reject(error)
        else answerHeld()
      },
    )
    return promise
  }

  /** Starts the load of a key, or joins the one that is on its way. */
  #fly(key: string, lane: Lane, waiter?: WaiterOptions): Promise<Loaded<V>> {
    if (this.#closed) return Promise.reject(this.#closedError())
    this.#queue.remove(key)
    return this.#flights.run([key], () => this.#want(key, lane), waiter)
  }

  async #want(key: string, lane: Lane): Promise<Loaded<V>> {
    const flight = { begun: false }
    this.#inFlight.set(key, flight)
    try {
      return await this.#batcher.want(key, lane, () => {
        flight.begun = true
      })
    } finally {
      // An invalidation may have given the key to a later flight.
      if (this.#inFlight.get(key) === flight) this.#inFlight.delete(key)
    }
  }

  /** A load that begins after this call, even when one is on its way. */
  #reload(key: string): Promise<Loaded<V>> {
    this.#forgetFlight(key)
    return this.#fly(key, 'known')
  }

  #forgetFlight(key: string): void {
    if (this.#inFlight.get(key)?.begun !== true) return
    this.#inFlight.delete(key)
    this.#flights.forget([key])
  }

  #outdate(key: string): boolean {
    this.#changes.change(`key:${key}`)
    this.#forgetFlight(key)
    this.#absences.delete(key)
    const entry = this.#entries.look(key)
    if (entry === undefined) return false
    entry.freshUntilMs = Math.min(entry.freshUntilMs, this.#options.clock.nowMs())
    entry.retryAtMs = 0
    return true
  }

  #changedSince(order: number, key: string, tags: readonly string[]): boolean {
    if (this.#changes.changedSince(order, `key:${key}`)) return true
    return tags.some((tag) => this.#changes.changedSince(order, `tag:${tag}`))
  }

  #sourceOf(entry: Entry<V>, nowMs: number): 'fresh' | 'stale' | 'snapshot' {
    if (nowMs < entry.freshUntilMs) return 'fresh'
    return entry.origin === 'snapshot' ? 'snapshot' : 'stale'
  }

  #defaultOf(key: string, expired: Entry<V> | undefined, nowMs: number): Compiled<V> {
    const { loadOnPeek } = this.#options
    if (expired !== undefined) {
      if (loadOnPeek) this.#wish(expired, nowMs)
    } else if (this.#accepts(key)) {
      const absence = loadOnPeek ? this.#absences.get(key) : undefined
      if (loadOnPeek && (absence === undefined || nowMs >= absence.untilMs)) this.#enqueue(key, 'unknown')
    } else {
      this.#counts.keysRefused += 1
      return this.#defaults.general
    }
    return this.#defaults.of(key)
  }

  #wish(entry: Entry<V>, nowMs: number): void {
    if (nowMs >= entry.retryAtMs) this.#enqueue(entry.key, 'known')
  }

  #enqueue(key: string, lane: Lane): void {
    if (this.#closed || this.#inFlight.has(key)) return
    const added = this.#queue.add(key, lane)
    if (added === 'full') this.#counts.keysDropped += 1
    if (added === 'queued') this.#armBatch()
  }

  #armBatch(): void {
    if (this.#cancelBatch !== undefined) return
    const { clock, batchIntervalMs } = this.#options
    const delayMs = Math.max(0, this.#lastBatchMs + batchIntervalMs - clock.nowMs())
    // Neutral: the load must not run in the context of the request whose peek happened to be the first.
    this.#cancelBatch = this.#neutral(() => clock.schedule(delayMs, () => this.#sendBatch()))
  }

  #sendBatch(): void {
    this.#cancelBatch = undefined
    this.#lastBatchMs = this.#options.clock.nowMs()
    if (!this.#batcher.full) {
      const { lane, keys } = this.#queue.take(this.#options.maxBatchKeys)
      // A failure is counted and published by #load; nobody waits here.
      for (const key of keys) this.#fly(key, lane).catch(() => {})
    }
    if (this.#queue.size > 0) this.#armBatch()
  }

  #accepts(key: unknown): key is string {
    if (typeof key !== 'string' || key.length === 0 || key.length > this.#options.maxKeyLength) return false
    try {
      return this.#options.isKey(key)
    } catch {
      return false
    }
  }

  #checkRow({ key, version, tags = [] }: Row<V>): readonly string[] {
    const { maxTags, maxKeyLength } = this.#options
    if (version !== undefined && typeof version !== 'bigint' && !Number.isFinite(version)) {
      throw new RowInvalidError(
        shown(key),
        `version must be a finite number or a bigint, received ${version}`,
      )
    }
    if (tags.length > maxTags) {
      throw new RowInvalidError(shown(key), `${tags.length} tags are more than maxTags = ${maxTags}`)
    }
    for (const tag of tags) {
      if (typeof tag === 'string' && tag.length <= maxKeyLength) continue
      throw new RowInvalidError(
        shown(key),
        `tag ${shown(tag)} must be a string of at most ${maxKeyLength} units`,
      )
    }
    return [...new Set(tags)]
  }

  #represent(value: V, key: string, held: Representation | undefined): Representation | undefined {
    const { represent, representation } = this.#options
    if (represent === false) return undefined
    const plain = createIdentityRepresentation(represent(value, key), representation)
    // The same bytes keep their compressed encodings: a refresh that changes nothing costs no compression.
    return held?.identity.etag === plain.identity.etag ? held : plain
  }

  #compress(plain: Representation, key: string): void {
    this.#compression.add(key, plain, (complete) => {
      const entry = this.#entries.look(key)
      if (entry?.representation !== plain) return
      entry.representation = complete
      this.#entries.reweigh(key, entry.bytes + complete.bytes)
    })
  }

  #compileDefaults(bounds: TableBounds): CompiledDefaults<V> {
    const { fallback, freeze } = this.#options
    const compile = (value: V, key: string) => {
      const bytes = ENTRY_BYTES + freezeAndWeigh(value, freeze) + freezeAndWeigh(key, false)
      const representation = this.#represent(value, key, undefined)
      return { value, representation, bytes: bytes + (representation?.bytes ?? 0) }
    }
    try {
      return new CompiledDefaults(fallback, compile, bounds)
    } catch (error) {
      return refuse(
        'fallback',
        'a function that answers for any key with a value that can be represented',
        error,
      )
    }
  }

  async #prepare(): Promise<void> {
    const { representation } = this.#defaults.general
    if (representation !== undefined) {
      this.#compression.add('', representation, (complete) => this.#defaults.complete(complete))
      await this.#compression.idle()
    }
    await this.#file?.loaded(() => this.#compression.idle())
  }

  #openFile(): LastKnownGood | undefined {
    const { snapshotFile: file, maxSnapshotBytes: maxBytes, clock } = this.#options
    if (file === undefined) return undefined
    return new LastKnownGood({
      file,
      maxBytes,
      clock,
      cache: this.name,
      intervalMs: this.#options.snapshotIntervalMs,
      budgetMs: this.#options.snapshotLoadBudgetMs,
      maxAgeMs: this.#options.freshMs,
      onRecord: (record) => this.#recall(record),
      records: () => this.#records(),
    })
  }

  /** Takes a value from the file: never fresh, and never in place of anything newer. */
  #recall({ key, value: json, version, tags, confirmedAtMs }: SnapshotRecord): void {
    const { clock, freshMs, staleMs, revive } = this.#options
    // A wall clock that was set back makes a value look as if it came from the future: then it is new, not immortal.
    const ageMs = Math.max(0, clock.wallMs() - confirmedAtMs)
    if (this.#closed || ageMs >= freshMs + staleMs || !this.#accepts(key)) return
    try {
      const asOfMs = clock.nowMs() - ageMs
      this.#place({ key, value: revive(json, key), version, tags, order: 0, asOfMs, origin: 'snapshot' })
    } catch {
      this.#counts.recordsRefused += 1
    }
  }

  *#records(): Generator<SnapshotRecord> {
    const { clock } = this.#options
    for (const { key, value, version, tags, asOfMs, staleUntilMs } of this.#entries.entries()) {
      const nowMs = clock.nowMs()
      if (nowMs >= staleUntilMs) continue
      yield { key, value, version, tags, confirmedAtMs: clock.wallMs() - (nowMs - asOfMs) }
    }
  }

  #left(entry: Entry<V>, evicted: boolean): void {
    if (evicted) this.#counts.evicted += 1
    for (const tag of entry.tags) {
      const keys = this.#keysByTag.get(tag)
      keys?.delete(entry.key)
      if (keys?.size === 0) this.#keysByTag.delete(tag)
    }
  }

  #closedError(): Error {
    return withRetryHint(new ClosedError(this.name), 1_000)
  }

  #publishLoad(
    keys: readonly string[],
    beganMs: number,
    outcome: LoadEvent['outcome'],
    error: unknown,
  ): void {
    if (!channels.load.hasSubscribers) return
    const durationMs = this.#options.clock.nowMs() - beganMs
    const event: LoadEvent = { cache: this.name, keys, durationMs, outcome, error }
    channels.load.publish(event)
  }

  #publishInvalidation(what: { readonly key: string } | { readonly tag: string }, marked: number): void {
    if (!channels.invalidate.hasSubscribers) return
    const event: InvalidateEvent = { cache: this.name, ...what, marked }
    channels.invalidate.publish(event)
  }
}

/** A key as an error message may carry it: quoted, and cut. */
function shown(text: unknown): string {
  return typeof text === 'string' ? JSON.stringify(text.slice(0, 100)) : String(text)
}
