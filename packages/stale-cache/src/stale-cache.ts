/*
 * A cache that always has an answer: fresh, stale, from the last-known-good file, or a compiled default.
 *
 * Guarantees: `peek` is synchronous and never reaches the source. One load per key at a time, many keys in one
 * load. What was read earlier never replaces what was read later, and a smaller version never replaces a
 * larger one; a load that began before an invalidation never makes anything fresh again. A failed load keeps
 * what is held, and its keys rest. Every map and queue in here has a bound.
 *
 * Does not guarantee anything across processes, unless it has a second level (`fleet.ts`). A value that was evicted
 * takes its version along: the order of versions holds for what is held.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { Singleflight, type WaiterOptions } from '@holdfast/singleflight'
import { Batcher } from './batcher.ts'
import { settledWithin } from './budget.ts'
import { type Compiled, CompiledDefaults } from './compiled-defaults.ts'
import { CompressionQueue } from './compression-queue.ts'
import { BackingOffError, ClosedError, InvalidOptionError, KeyRefusedError, withRetryHint } from './errors.ts'
import { channels, type InvalidateEvent } from './events.ts'
import { type Fleet, joinFleet } from './fleet.ts'
import { isFence } from './fleet-message.ts'
import {
  type Arrival,
  compile,
  type Entry,
  Holdings,
  type Placement,
  type Reading,
  shown,
} from './holdings.ts'
import { type LastKnownGood, openLastKnownGood } from './last-known-good.ts'
import { type Loaded, Loader } from './loader.ts'
import {
  type AnyOptions,
  cacheName,
  type OptionsFor,
  type ResolvedOptions,
  type Row,
  resolveOptions,
  type StaleCacheSettings,
} from './options.ts'
import type { Peeked, StaleReader } from './peeked.ts'
import { type Lane, RefreshQueue } from './refresh-queue.ts'
import type { Representation } from './representation.ts'
import type { Since } from './shared-store.ts'
import type { StaleCacheSnapshot } from './stale-cache-snapshot.ts'

/** What `set` stores. */
export type Write<V> = Omit<Row<V>, 'key'>

/** What a `refresh` may take instead of a new load. */
export interface RefreshOptions {
  /**
   * Values read with this fence or a larger one are new enough; 0: any that the fleet calls fresh. Without a second
   * level it means nothing.
   */
  readonly sinceFence?: number | undefined
}

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
  /** Why the first of those that failed has; absent when none has. */
  readonly error?: unknown
}

/** How long `close` waits for loads that are out. */
const CLOSE_BUDGET_MS = 2_000

/** A cache by key, see the top of this file. `R` is `undefined` for a cache with `represent: false`. */
export class StaleCache<V, R extends Representation | undefined = Representation> {
  readonly name: string
  /** Settled when the general default has all its encodings and the file has been read, or its budget is over. */
  readonly ready: Promise<void>
  /** `peek` alone, for those who must not be able to do more. */
  readonly reader: StaleReader<V, R>

  readonly #options: ResolvedOptions<V>
  readonly #holdings: Holdings<V>
  readonly #defaults: CompiledDefaults<V>
  readonly #compression: CompressionQueue
  readonly #file: LastKnownGood<V> | undefined
  readonly #queue: RefreshQueue
  readonly #fleet: Fleet<V> | undefined
  readonly #loader: Loader<V>
  readonly #batcher: Batcher<Loaded<V>>
  readonly #flights: Singleflight
  /** Keys with a flight that owns them; `begun` once their load is on its way. */
  readonly #inFlight = new Map<string, { begun: boolean; since: Since }>()
  readonly #neutral = AsyncLocalStorage.snapshot()
  readonly #counts = {
    fresh: 0,
    stale: 0,
    snapshot: 0,
    default: 0,
    missing: 0,
    awaited: 0,
    keysRefused: 0,
    keysDropped: 0,
  }
  #cancelBatch: (() => void) | undefined = undefined
  #lastBatchMs = Number.NEGATIVE_INFINITY
  #closed = false
  #closing: Promise<void> | undefined = undefined

  /** @throws `HOLDFAST_ERR_STALE_CACHE_INVALID_OPTION` */
  constructor(name: string, options: StaleCacheSettings<V> & OptionsFor<V, R>) {
    this.name = cacheName(name)
    this.#options = resolveOptions(options as AnyOptions<V>)
    const { maxEntries, maxFlights, maxQueuedKeys, maxBatchKeys, maxConcurrentLoads, hardTimeoutMs, clock } =
      this.#options
    this.#holdings = new Holdings(this.#options, (key) => this.#compression.drop(key))
    this.#queue = new RefreshQueue({ known: maxEntries, unknown: maxQueuedKeys })
    const place = (arrival: Arrival<V>) => this.#place(arrival)
    const miss = (key: string, reading: Reading) => this.#miss(key, reading)
    this.#fleet = joinFleet(this.name, this.#options, {
      holdings: this.#holdings,
      place,
      miss,
      outdate: (key, fence) => this.#outdate(key, clock.nowMs(), fence),
      outdateTag: (tag, fence) => this.#outdateTag(tag, clock.nowMs(), fence),
    })
    this.#loader = new Loader(this.name, this.#options, {
      holdings: this.#holdings,
      place,
      miss,
      fleet: this.#fleet,
    })
    this.#batcher = new Batcher({
      run: (keys) => this.#loader.load(keys, (key) => this.#inFlight.get(key)?.since ?? 0),
      maxBatch: maxBatchKeys,
      maxConcurrent: maxConcurrentLoads,
    })
    // A load that never settles is given up by the loader, so that its place in the batcher is freed, too.
    this.#flights = new Singleflight({ maxFlights, hardTimeoutMs, maxFlightMs: Infinity, clock })
    this.#compression = new CompressionQueue(this.#options.representation)
    this.#defaults = this.#compileDefaults()
    this.#file = openLastKnownGood(this.name, this.#options, {
      accepts: (key) => !this.#closed && this.#accepts(key),
      place: (arrival) => this.#place(arrival),
      entries: () => this.#holdings.entries(),
    })
    this.reader = Object.freeze({ peek: (key: string) => this.peek(key) })
    this.ready = this.#prepare()
  }

  /**
   * What is held for `key`, at once. Never throws, never waits, never reaches the source: a key that is stale
   * or missing is queued, and loaded in the next batch (unless `loadOnPeek` is false).
   */
  peek(key: string): Peeked<V, R> {
    const nowMs = this.#options.clock.nowMs()
    const entry = this.#holdings.read(key)
    if (entry !== undefined && nowMs < entry.staleUntilMs) {
      const source = this.#sourceOf(entry, nowMs)
      if (source !== 'fresh' && this.#options.loadOnPeek) this.#wish(entry, nowMs)
      this.#counts[source] += 1
      return {
        source,
        value: entry.value,
        version: entry.version,
        fence: entry.fence,
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
      fence: undefined,
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
    const entry = this.#holdings.read(key)
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
    const order = this.#holdings.changes.next()
    const placement = this.#place({ ...write, key, order, asOfMs, origin: 'source' })
    const taken = placement === 'stored' || placement === 'confirmed'
    if (taken) this.#tell('store', key, asOfMs)
    return taken
  }

  /**
   * Loads keys now, in as few loads as `maxBatchKeys` allows, whether or not they are fresh or resting. Each
   * load begins after this call, unless `sinceFence` says that values will do which any process has read at that
   * fence or later (`peek().fence` of another cache on the same Redis, for example). Never rejects because a load
   * failed: read the report. Text is one key, not a list of letters.
   *
   * @throws `HOLDFAST_ERR_STALE_CACHE_CLOSED`, `HOLDFAST_ERR_STALE_CACHE_INVALID_OPTION` (as rejections)
   */
  async refresh(keys: Iterable<string>, options: RefreshOptions = {}): Promise<RefreshReport> {
    const since: Since = sinceOf(options)
    const report: { -readonly [F in keyof RefreshReport]: RefreshReport[F] } = {
      loaded: 0,
      missing: 0,
      kept: 0,
      failed: 0,
      refused: 0,
    }
    const accepted: string[] = []
    for (const key of new Set(listOf(keys))) {
      if (this.#accepts(key)) accepted.push(key)
      else report.refused += 1
    }
    const { maxBatchKeys, maxFlights } = this.#options
    const step = Math.min(maxBatchKeys, maxFlights)
    for (let from = 0; from < accepted.length; from += step) {
      if (this.#closed) throw this.#closedError()
      const batch = accepted.slice(from, from + step).map((key) => this.#reload(key, since))
      for (const result of await Promise.allSettled(batch)) {
        if (result.status === 'rejected') {
          report.failed += 1
          report.error ??= result.reason
        } else if (result.value.outcome === 'stored') report.loaded += 1
        else report[result.value.outcome] += 1
      }
    }
    await this.#compression.settled()
    return report
  }

  /**
   * Marks what is held for `key` stale and keeps its bytes; forgets that the key is unknown or resting. A load
   * that is out will not make it fresh again. Returns whether anything is held.
   */
  invalidate(key: string): boolean {
    const nowMs = this.#options.clock.nowMs()
    const marked = this.#outdate(key, nowMs)
    this.#tell('invalidate', key, nowMs)
    this.#publishInvalidation({ key }, marked ? 1 : 0)
    return marked
  }

  /** Like `invalidate` for every value stored with this tag. Returns how many there are. */
  invalidateTag(tag: string): number {
    const nowMs = this.#options.clock.nowMs()
    const marked = this.#outdateTag(tag, nowMs)
    this.#tell('tag', tag, nowMs)
    this.#publishInvalidation({ tag }, marked)
    return marked
  }

  /**
   * For a source that can tell cheaply whether anything has changed, by versions or a fingerprint. Call this
   * before the source is asked, and what it returns, once, with the keys whose held values the source found
   * current (with none when it could not be asked): they are as fresh as if they had been loaded by a load that
   * began with this call. A key that was invalidated in between, or holds nothing, is left as it is. What is
   * returned answers how many keys it confirmed. Where the source was not asked anew, but an answer was taken that
   * is `ageMs` old, say so: what is confirmed is as old.
   */
  beginConfirmation(): (keys: Iterable<string>, ageMs?: number) => number {
    const order = this.#holdings.changes.begin()
    const asOfMs = this.#options.clock.nowMs()
    let open = true
    return (keys, ageMs = 0) => {
      // Once closed, what changed since is no longer remembered.
      if (!open) return 0
      open = false
      let confirmed = 0
      for (const key of listOf(keys)) if (this.#holdings.confirm(key, order, asOfMs - ageMs)) confirmed += 1
      this.#holdings.changes.end(order)
      if (confirmed > 0) this.#file?.age()
      return confirmed
    }
  }

  /** Counters and gauges as plain data. */
  snapshot(): StaleCacheSnapshot {
    return {
      ...this.#counts,
      ...this.#loader.counts(),
      name: this.name,
      ...this.#holdings.counts(),
      defaults: this.#defaults.size,
      defaultsFailed: this.#defaults.failures,
      queued: this.#queue.size,
      inFlight: this.#inFlight.size,
      loadsRunning: this.#batcher.running,
      compressing: this.#compression.size,
      compressionFailed: this.#compression.failures,
      recordsRefused: this.#file?.recordsRefused ?? 0,
      file: this.#file?.snapshot(),
      fleet: this.#fleet?.snapshot(),
      closed: this.#closed,
    }
  }

  /**
   * Stops refreshing. Loads that are out get 2 seconds to come back to those who wait for them, then their
   * signals abort; then the last-known-good file is written, for which there are 2 seconds, too. What is held
   * can still be peeked at.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#closed = true
    this.#cancelBatch?.()
    this.#queue.clear()
    await settledWithin(CLOSE_BUDGET_MS, this.#batcher.idle(), this.#options.clock)
    this.#flights.close()
    this.#loader.abort(this.#closedError())
    this.#compression.close()
    await this.#fleet?.close()
    await this.#file?.close()
  }

  #place(arrival: Arrival<V>): Placement {
    const { key, origin } = arrival
    const placement = this.#holdings.place(arrival, this.#options.clock.nowMs())
    const plain = this.#holdings.look(key)?.representation
    if (placement === 'stored' && plain !== undefined) {
      this.#compression.add(key, plain, (complete) => this.#holdings.complete(key, plain, complete))
    }
    if (origin === 'source' && placement === 'stored') this.#file?.change()
    if (origin === 'source' && placement === 'confirmed') this.#file?.age()
    return placement
  }

  /** The source does not know this key. Answers what is held nevertheless, because it was read later. */
  #miss(key: string, reading: Reading): Entry<V> | undefined {
    const before = this.#holdings.look(key)
    const held = this.#holdings.miss(key, reading, this.#options.clock.nowMs())
    if (before !== this.#holdings.look(key)) this.#file?.change()
    return held
  }

  #outdate(key: string, nowMs: number, fence?: number): boolean {
    this.#forgetFlight(key)
    return this.#holdings.outdate(key, nowMs, fence)
  }

  #outdateTag(tag: string, nowMs: number, fence?: number): number {
    this.#holdings.changes.change(`tag:${tag}`)
    const keys = this.#holdings.keysOf(tag)
    for (const key of keys) this.#outdate(key, nowMs, fence)
    return keys.length
  }

  #tell(kind: 'store' | 'invalidate' | 'tag', name: string, asOfMs: number): void {
    this.#fleet?.tell({ kind, name, asOfMs, fence: undefined, lease: undefined, outdates: true })
  }

  /** Waits for a load of a key of which nothing usable is held. */
  async #await(key: string, lane: Lane, waiter: WaiterOptions | undefined): Promise<V | undefined> {
    this.#counts.awaited += 1
    try {
      return (await this.#fly(key, lane, waiter)).value
    } catch (error) {
      // The source failed, and Redis had something that is not fresh any more.
      const entry = waiter?.signal?.aborted === true ? undefined : this.#holdings.look(key)
      if (entry !== undefined && this.#options.clock.nowMs() < entry.staleUntilMs) return entry.value
      throw error
    }
  }

  #getAbsent(key: string, waiter: WaiterOptions | undefined): Promise<V | undefined> {
    if (!this.#accepts(key)) {
      this.#counts.keysRefused += 1
      return Promise.resolve(undefined)
    }
    const nowMs = this.#options.clock.nowMs()
    const absence = this.#holdings.absence(key, nowMs)
    if (absence === undefined) return this.#await(key, 'unknown', waiter)
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
    const answerHeld = () => resolve((this.#holdings.look(key) ?? entry).value)
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
    const flight: { begun: boolean; since: Since } = { begun: false, since: 0 }
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
  #reload(key: string, since: Since): Promise<Loaded<V>> {
    this.#forgetFlight(key)
    const loaded = this.#fly(key, 'known')
    const flight = this.#inFlight.get(key)
    // It has not begun: it goes out after this turn.
    if (flight !== undefined && flight.since !== 'now')
      flight.since = since === 'now' ? since : Math.max(since, flight.since)
    return loaded
  }

  #forgetFlight(key: string): void {
    if (this.#inFlight.get(key)?.begun !== true) return
    this.#inFlight.delete(key)
    this.#flights.forget([key])
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
      if (loadOnPeek && this.#holdings.absence(key, nowMs) === undefined) this.#enqueue(key, 'unknown')
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
      // A failure is counted and published by the loader; nobody waits here.
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

  #compileDefaults(): CompiledDefaults<V> {
    const { fallback, maxDefaults: maxEntries, maxBytes } = this.#options
    try {
      const bounds = { maxEntries, maxBytes: Math.floor(maxBytes / 16) }
      return new CompiledDefaults(fallback, (value, key) => compile(this.#options, value, key), bounds)
    } catch (error) {
      throw new InvalidOptionError(
        'fallback',
        'a function that answers for any key with a value that can be represented',
        String(error),
      )
    }
  }

  async #prepare(): Promise<void> {
    const { representation } = this.#defaults.general
    if (representation !== undefined) {
      this.#compression.add('', representation, (complete) => this.#defaults.complete(complete))
      await this.#compression.settled()
    }
    await this.#file?.loaded(() => this.#compression.settled())
  }

  #closedError(): Error {
    return withRetryHint(new ClosedError(this.name), 1_000)
  }

  #publishInvalidation(what: { readonly key: string } | { readonly tag: string }, marked: number): void {
    if (!channels.invalidate.hasSubscribers) return
    const event: InvalidateEvent = { cache: this.name, ...what, marked }
    channels.invalidate.publish(event)
  }
}

function sinceOf({ sinceFence }: RefreshOptions): Since {
  if (sinceFence === undefined) return 'now'
  if (!isFence(sinceFence))
    throw new InvalidOptionError('sinceFence', 'a fence, as `peek` answers it', String(sinceFence))
  return sinceFence
}

/** Text is iterable, too: `refresh('acme')` means one key, not four. */
function listOf(keys: Iterable<string>): Iterable<string> {
  return typeof keys === 'string' ? [keys] : keys
}
