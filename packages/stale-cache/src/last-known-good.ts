/*
 * When the last-known-good file is read and written, and what of a cache is in it.
 *
 * Read once, at construction; `loaded` settles when that is done or its budget is over, and the rest follows
 * behind. Written at most once per interval, only after a change, and never before it was read to its end: a
 * half-read file must not be replaced by the half. A write that fails is tried again after a pause that grows.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { settledWithin } from './budget.ts'
import { channels, type SnapshotEvent } from './events.ts'
import { backoffMs } from './freshness.ts'
import type { Arrival, Entry } from './holdings.ts'
import type { ResolvedOptions } from './options.ts'
import { type FileResult, SnapshotFile } from './snapshot-file.ts'
import type { SnapshotRecord } from './snapshot-format.ts'

/** How long `close` waits for the last write. */
const CLOSE_BUDGET_MS = 2_000

/** The values that a file keeps. */
export interface Remembered<V> {
  /** Whether a key that was read may be placed now. */
  readonly accepts: (key: string) => boolean
  /** Takes a value that was read. Throws when it cannot be stored. */
  readonly place: (arrival: Arrival<V>) => unknown
  /** What is to be written, the most important first. */
  readonly entries: () => Iterable<Entry<V>>
}

/** The file of a cache that has one. */
export function openLastKnownGood<V>(
  cache: string,
  options: ResolvedOptions<V>,
  remembered: Remembered<V>,
): LastKnownGood<V> | undefined {
  const { snapshotFile } = options
  return snapshotFile === undefined
    ? undefined
    : new LastKnownGood(cache, { ...options, snapshotFile }, remembered)
}

type FileOptions<V> = ResolvedOptions<V> & { readonly snapshotFile: string }

/** Counters since construction. */
export interface LastKnownGoodSnapshot {
  readonly file: string
  /** Values read from the file at start. */
  readonly entriesRead: number
  /** Files that were ignored: unreadable, cut off, changed, too large, of another format or cache. */
  readonly ignored: number
  /** 1 when `ready` did not wait for the end of the file. */
  readonly late: number
  readonly readsFailed: number
  readonly writes: number
  readonly writesFailed: number
  /** Values in the file written last. */
  readonly entriesWritten: number
  /** Its size. */
  readonly bytesWritten: number
  /** What went wrong last. */
  readonly problem: string | undefined
}

export class LastKnownGood<V> {
  readonly #cache: string
  readonly #options: FileOptions<V>
  readonly #remembered: Remembered<V>
  readonly #file: SnapshotFile
  readonly #read: Promise<void>
  readonly #neutral = AsyncLocalStorage.snapshot()
  readonly #counts = {
    entriesRead: 0,
    ignored: 0,
    late: 0,
    readsFailed: 0,
    writes: 0,
    writesFailed: 0,
    entriesWritten: 0,
    bytesWritten: 0,
  }
  #recordsRefused = 0
  #problem: string | undefined = undefined
  #changed = false
  /** Writes that failed, in a row. */
  #failures = 0
  #writtenAtMs: number
  #closed = false
  #writing: Promise<void> | undefined = undefined
  #cancelWrite: (() => void) | undefined = undefined

  constructor(cache: string, options: FileOptions<V>, remembered: Remembered<V>) {
    this.#cache = cache
    this.#options = options
    this.#remembered = remembered
    const { snapshotFile: file, maxSnapshotBytes: maxBytes, clock, random } = options
    // A value that another process holds is confirmed by it once per freshMs; what nobody confirms any more is gone.
    const foreignMs = 3 * options.freshMs + 2 * options.snapshotIntervalMs
    const keepsForeign = (record: SnapshotRecord) => this.#ageOf(record) < foreignMs
    this.#file = new SnapshotFile({ file, cache, maxBytes, clock, random, keepsForeign })
    this.#writtenAtMs = clock.nowMs()
    this.#read = this.#load()
  }

  /** Values in the file that `revive` threw at, or that cannot be stored. */
  get recordsRefused(): number {
    return this.#recordsRefused
  }

  /** Settles when the file has been read and `afterwards` is done, or the budget is over. */
  async loaded(afterwards: () => Promise<void>): Promise<void> {
    const all = this.#read.then(afterwards)
    if (await settledWithin(this.#options.snapshotLoadBudgetMs, all, this.#options.clock)) return
    this.#counts.late = 1
  }

  /** Something that belongs into the file has changed. */
  change(): void {
    this.#changed = true
    this.#arm()
  }

  /** Values were confirmed: only their ages changed, which is worth a write now and then. */
  age(): void {
    const { clock, freshMs } = this.#options
    if (clock.nowMs() - this.#writtenAtMs >= freshMs) this.change()
  }

  snapshot(): LastKnownGoodSnapshot {
    return { file: this.#options.snapshotFile, ...this.#counts, problem: this.#problem }
  }

  /** Writes what has changed, and stops. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelWrite?.()
    const last = this.#read.then(() => this.#writing).then(() => (this.#changed ? this.#write() : undefined))
    await settledWithin(CLOSE_BUDGET_MS, last, this.#options.clock)
  }

  async #load(): Promise<void> {
    const result = await this.#file.read((record) => this.#recall(record))
    this.#counts.entriesRead = result.entries
    if (result.outcome === 'ignored') this.#counts.ignored += 1
    if (result.outcome === 'failed') this.#counts.readsFailed += 1
    this.#report('read', result)
  }

  #arm(): void {
    if (this.#closed || this.#cancelWrite !== undefined || this.#writing !== undefined) return
    // Neutral: the timer must not keep the context of a request alive.
    this.#cancelWrite = this.#neutral(() =>
      this.#options.clock.schedule(this.#pauseMs(), () => this.#begin()),
    )
  }

  #begin(): void {
    this.#cancelWrite = undefined
    this.#writing = this.#read
      .then(() => this.#write())
      .then(() => {
        this.#writing = undefined
        if (this.#changed) this.#arm()
      })
  }

  /** A full disk must not keep a process busy, however short the interval. */
  #pauseMs(): number {
    const { snapshotIntervalMs, maxBackoffMs, random } = this.#options
    if (this.#failures === 0) return snapshotIntervalMs
    return Math.max(
      snapshotIntervalMs,
      backoffMs(this.#failures, this.#options.backoffMs, maxBackoffMs, random()),
    )
  }

  async #write(): Promise<void> {
    this.#changed = false
    const result = await this.#file.write(this.#records())
    if (result.outcome === 'done') {
      this.#writtenAtMs = this.#options.clock.nowMs()
      this.#failures = 0
      this.#counts.writes += 1
      this.#counts.entriesWritten = result.entries
      this.#counts.bytesWritten = result.bytes
      if (result.problem !== undefined) this.#counts.ignored += 1
    } else {
      this.#failures += 1
      this.#counts.writesFailed += 1
      this.#changed = true
    }
    this.#report('write', result)
  }

  /** Takes a value from the file: never fresh, and never in place of anything newer. */
  #recall(record: SnapshotRecord): void {
    const { key, value: json, version, tags } = record
    const { clock, freshMs, staleMs, revive } = this.#options
    const ageMs = this.#ageOf(record)
    if (ageMs >= freshMs + staleMs || !this.#remembered.accepts(key)) return
    try {
      const value = revive(json, key)
      const asOfMs = clock.nowMs() - ageMs
      this.#remembered.place({ key, value, version, tags, order: 0, asOfMs, origin: 'snapshot' })
    } catch {
      this.#recordsRefused += 1
    }
  }

  *#records(): Generator<SnapshotRecord> {
    const { clock } = this.#options
    for (const { key, value, version, tags, asOfMs, staleUntilMs } of this.#remembered.entries()) {
      const nowMs = clock.nowMs()
      if (nowMs >= staleUntilMs) continue
      yield { key, value, version, tags, confirmedAtMs: clock.wallMs() - (nowMs - asOfMs) }
    }
  }

  /** A wall clock that was set back makes a value look as if it came from the future: it is new then, not immortal. */
  #ageOf({ confirmedAtMs }: SnapshotRecord): number {
    return Math.max(0, this.#options.clock.wallMs() - confirmedAtMs)
  }

  #report(operation: SnapshotEvent['operation'], result: FileResult): void {
    this.#problem = result.problem ?? this.#problem
    if (!channels.snapshot.hasSubscribers) return
    const file = this.#options.snapshotFile
    const event: SnapshotEvent = { cache: this.#cache, file, operation, ...result }
    channels.snapshot.publish(event)
  }
}
