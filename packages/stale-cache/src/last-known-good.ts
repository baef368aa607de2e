/*
 * When the last-known-good file is read and written.
 *
 * Read once, at construction; `loaded` settles when that is done or its budget is over, and the rest follows
 * behind. Written at most once per interval, only after a change, and never before it was read to its end: a
 * half-read file must not be replaced by the half. A write that fails is tried again after a pause that grows.
 */
import { settledWithin } from './budget.ts'
import { channels, type SnapshotEvent } from './events.ts'
import { backoffMs } from './freshness.ts'
import { type FileResult, SnapshotFile, type SnapshotFileOptions } from './snapshot-file.ts'
import type { SnapshotRecord } from './snapshot-format.ts'

/** How long `close` waits for the last write. */
const CLOSE_BUDGET_MS = 2_000

export interface LastKnownGoodOptions extends SnapshotFileOptions {
  readonly intervalMs: number
  /** The pause after a write that failed, when it is longer than the interval; doubles up to `maxBackoffMs`. */
  readonly backoffMs: number
  readonly maxBackoffMs: number
  readonly budgetMs: number
  /** After this long the ages in the file are renewed even when no value has changed. */
  readonly maxAgeMs: number
  /** Takes a record that was read. */
  readonly onRecord: (record: SnapshotRecord) => void
  /** What is to be written, the most important first. */
  readonly records: () => Iterable<SnapshotRecord>
}

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

export class LastKnownGood {
  readonly #options: LastKnownGoodOptions
  readonly #file: SnapshotFile
  readonly #read: Promise<void>
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
  #problem: string | undefined = undefined
  #changed = false
  /** Writes that failed, in a row. */
  #failures = 0
  #writtenAtMs: number
  #closed = false
  #writing: Promise<void> | undefined = undefined
  #cancelWrite: (() => void) | undefined = undefined

  constructor(options: LastKnownGoodOptions) {
    this.#options = options
    this.#file = new SnapshotFile(options)
    this.#writtenAtMs = options.clock.nowMs()
    this.#read = this.#load()
  }

  /** Settles when the file has been read and `afterwards` is done, or the budget is over. */
  async loaded(afterwards: () => Promise<void>): Promise<void> {
    const all = this.#read.then(afterwards)
    if (await settledWithin(this.#options.budgetMs, all, this.#options.clock)) return
    this.#counts.late = 1
  }

  /** Something that belongs into the file has changed. */
  change(): void {
    this.#changed = true
    this.#arm()
  }

  /** Values were confirmed: only their ages changed, which is worth a write now and then. */
  age(): void {
    const { clock, maxAgeMs } = this.#options
    if (clock.nowMs() - this.#writtenAtMs >= maxAgeMs) this.change()
  }

  snapshot(): LastKnownGoodSnapshot {
    return { file: this.#options.file, ...this.#counts, problem: this.#problem }
  }

  /** Writes what has changed, and stops. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelWrite?.()
    const last = this.#read.then(() => this.#writing).then(() => (this.#changed ? this.#write() : undefined))
    await settledWithin(CLOSE_BUDGET_MS, last, this.#options.clock)
  }

  async #load(): Promise<void> {
    const result = await this.#file.read(this.#options.onRecord)
    this.#counts.entriesRead = result.entries
    if (result.outcome === 'ignored') this.#counts.ignored += 1
    if (result.outcome === 'failed') this.#counts.readsFailed += 1
    this.#report('read', result)
  }

  #arm(): void {
    if (this.#closed || this.#cancelWrite !== undefined || this.#writing !== undefined) return
    this.#cancelWrite = this.#options.clock.schedule(this.#pauseMs(), () => {
      this.#cancelWrite = undefined
      this.#writing = this.#read
        .then(() => this.#write())
        .then(() => {
          this.#writing = undefined
          if (this.#changed) this.#arm()
        })
    })
  }

  /** A full disk must not keep a process busy, however short the interval. */
  #pauseMs(): number {
    const { intervalMs, maxBackoffMs, random } = this.#options
    if (this.#failures === 0) return intervalMs
    return Math.max(intervalMs, backoffMs(this.#failures, this.#options.backoffMs, maxBackoffMs, random()))
  }

  async #write(): Promise<void> {
    this.#changed = false
    const result = await this.#file.write(this.#options.records())
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

  #report(operation: SnapshotEvent['operation'], result: FileResult): void {
    this.#problem = result.problem ?? this.#problem
    if (!channels.snapshot.hasSubscribers) return
    const { cache, file } = this.#options
    const event: SnapshotEvent = { cache, file, operation, ...result }
    channels.snapshot.publish(event)
  }
}
