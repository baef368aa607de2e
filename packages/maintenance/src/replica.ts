/*
 * What this process believes to be in force, kept alike with a store in the background: no request waits for it. It
 * looks when the store calls, when the store is there again, and every `syncMs` in case a call was missed.
 *
 * Guarantees: an older state never replaces a newer one; while the store is away the last one stays; a store that has
 * lost its data is told again by whoever knows; after a start the journal speaks where the store cannot; a change holds
 * in all processes or is refused. Of a change whose answer was lost nobody knows before the next look, which has it
 * written down.
 */
import { type Clock, holdProcess, withRetryAfter } from '@holdfast/footing'
import { ConflictError, UnavailableError } from './errors.ts'
import type { Entry, MaintenanceJournal } from './journal.ts'
import { type Change, type Document, type MaintenanceState, stateFrom, textOf } from './state.ts'
import type { Kept, MaintenanceStore, Members, Reading } from './store.ts'

/** What it reports to; pino fits. */
export interface Log {
  info(details: object, message: string): void
  warn(details: object, message: string): void
  error(details: object, message: string): void
}

/** What it works with. */
export interface ReplicaParts {
  readonly store: MaintenanceStore
  readonly journal: MaintenanceJournal | undefined
  /** Whether there are processes that share the journal, and no store. */
  readonly followsJournal: boolean
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  readonly syncMs: number
  readonly startupWaitMs: number
  readonly log: Log
  /** What holds as long as nothing was ever changed. */
  readonly initial: MaintenanceState
  /** Names this process. */
  readonly id: string
  /** What this process tells the others about itself. */
  readonly report: () => string
  /** There is another state. `answerLost`: this process has made it, and was not told so. */
  readonly adopted: (state: MaintenanceState, answerLost: boolean) => void
  /** The store was asked: its clock may say something else than before. */
  readonly looked: () => void
}

/** What became of a change. */
export interface Changed {
  readonly state: MaintenanceState
  /** Whether the journal has it; undefined where there is none. It goes on trying. */
  readonly recorded: boolean | undefined
}

/** What it did so far. */
export interface ReplicaCounts {
  readonly syncs: number
  readonly failures: number
  /** Times a store that had lost its data was told again. */
  readonly restored: number
  /** Changes that the journal does not have yet. */
  readonly unrecorded: number
}

const RETRY_MS = 1000
const MAX_ATTEMPTS = 5
const MAX_UNRECORDED = 100
const JOURNAL_WAIT_MS = 1000
const STORE_WAIT_MS = 1000

/** The state of one process. */
export class Replica {
  readonly #parts: ReplicaParts
  #state: MaintenanceState
  /** The latest document that is known, also one that cannot be read here. */
  #kept: Kept | undefined
  /** By the clock of the store, and when that was. */
  #time: { readonly storeMs: number; readonly atMs: number } | undefined
  #lookingFor: Promise<boolean> | undefined
  #again = false
  #journalRead: boolean
  #readingJournal: Promise<void> | undefined
  /** The last version in the journal, as a start has found it. */
  #recordedVersion: number | undefined
  #unrecorded: Entry[] = []
  /** The document of a change whose answer was lost: it may have been written. */
  #unsure: string | undefined
  #recording: Promise<void> | undefined
  #heard = false
  /** The last look failed, and that was told. */
  #refused = false
  #closed = false
  #stopListening: () => void = () => {}
  #cancelSync: () => void = () => {}
  #syncs = 0
  #failures = 0
  #restored = 0

  constructor(parts: ReplicaParts) {
    this.#parts = parts
    this.#state = parts.initial
    this.#journalRead = parts.journal === undefined
  }

  get state(): MaintenanceState {
    return this.#state
  }

  /** Whether the store or the journal was ever read. */
  get heard(): boolean {
    return this.#heard
  }

  /** Milliseconds since the Unix epoch by the clock of the store, as far as it is known. */
  wallMs(): number {
    const { clock } = this.#parts
    return this.#time === undefined ? clock.wallMs() : this.#time.storeMs + clock.nowMs() - this.#time.atMs
  }

  /** Learns what others know, from now on. Resolves when that is known, after `startupWaitMs` at the latest. */
  async start(): Promise<void> {
    const { store, startupWaitMs, log } = this.#parts
    this.#stopListening = store.onChange(() => void this.sync())
    const journal = this.#readJournal()
    const reading = store.ready(startupWaitMs).then(async (isReady) => {
      if (isReady) await this.sync()
      // Whoever has heard of a state need not wait for an older one.
      if (this.#kept === undefined) await journal
    })
    await this.#within(startupWaitMs, reading)
    this.#syncLater()
    if (!this.#heard) {
      log.warn(
        {},
        'neither the store nor the journal of maintenance can be read: what the settings say holds until then',
      )
    }
  }

  /**
   * Looks whether there is something new; true when that succeeded. Never rejects. One look at a time: a call during one
   * makes another follow it, and waits for that.
   */
  sync(): Promise<boolean> {
    if (this.#closed) return Promise.resolve(false)
    if (this.#lookingFor !== undefined) {
      this.#again = true
      return this.#lookingFor
    }
    this.#lookingFor = this.#look().finally(() => {
      this.#lookingFor = undefined
    })
    return this.#lookingFor
  }

  /**
   * Has all processes go over to what `edit` makes of the state; raises what it raises. Raises
   * `HOLDFAST_ERR_MAINTENANCE_UNAVAILABLE` when the store does not answer, and `..._CONFLICT` when the state is not the
   * one of version `expected`.
   */
  async change(
    edit: (state: MaintenanceState, nowMs: number) => Document,
    change: Change,
    expected?: number,
  ): Promise<Changed> {
    const { store } = this.#parts
    // It may be about to come back, and whoever asks can wait for that.
    if (!store.available) await store.ready(STORE_WAIT_MS)
    if (this.#parts.followsJournal) await this.#within(JOURNAL_WAIT_MS, this.#readJournal())
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const { version } = this.#state
      if (expected !== undefined && expected !== version) throw new ConflictError(version)
      const text = textOf({ ...edit(this.#state, this.wallMs()), change })
      // What nobody could read would be in force nowhere.
      stateFrom(text, version)
      const known = Math.max(version, this.#kept?.version ?? 0)
      const written = await store.write(text, known).catch((cause: unknown) => {
        // Whoever asked is told no reasons, and a store that is full would tell its own nowhere.
        this.#parts.log.warn({ err: cause }, 'the store of maintenance has not taken a change')
        // It may have been carried out.
        this.#unsure = text
        void this.sync()
        throw withRetryAfter(new UnavailableError({ cause }), RETRY_MS)
      })
      if (!written.written) {
        this.#adopt(written)
        continue
      }
      this.#heard = true
      this.#keepTime(written.nowMs, this.#parts.clock.nowMs())
      this.#adopt({ version: written.version, text })
      const recorded = await this.#record({ version: written.version, atMs: written.version, change, text })
      return { state: this.#state, recorded }
    }
    throw new ConflictError(this.#state.version)
  }

  /** All processes, as they have said. Raises `HOLDFAST_ERR_MAINTENANCE_UNAVAILABLE`. */
  async members(): Promise<Members> {
    try {
      return await this.#parts.store.members()
    } catch (cause) {
      throw withRetryAfter(new UnavailableError({ cause }), RETRY_MS)
    }
  }

  counts(): ReplicaCounts {
    return {
      syncs: this.#syncs,
      failures: this.#failures,
      restored: this.#restored,
      unrecorded: this.#unrecorded.length,
    }
  }

  /** Ends. With `leaves` it says goodbye, so that nobody waits for word of this process. */
  async close({ leaves }: { readonly leaves: boolean }): Promise<void> {
    const { store, id } = this.#parts
    this.#closed = true
    this.#cancelSync()
    this.#stopListening()
    if (leaves && store.available) await store.leave(id).catch(() => {})
  }

  #syncLater(): void {
    if (this.#closed) return
    const { clock, syncMs, random } = this.#parts
    // Never later than that, and not all processes at once.
    this.#cancelSync = clock.schedule(syncMs * (0.9 + 0.1 * random()), () => {
      void this.sync()
      this.#syncLater()
    })
  }

  async #look(): Promise<boolean> {
    const { store } = this.#parts
    let succeeded = false
    do {
      this.#again = false
      succeeded = store.available && (await this.#ask())
      // Not waited for: what the store says is in force.
      void this.#readJournal()
      // What others have made a hint of while the store was away, it will tell when it is back.
    } while (this.#again && succeeded && !this.#closed)
    if (this.#unrecorded.length > 0) void this.#writeJournal()
    return succeeded
  }

  async #ask(): Promise<boolean> {
    const { store, clock, id, report, log } = this.#parts
    try {
      const known = this.#kept?.version ?? 0
      const askedMs = clock.nowMs()
      const reading = await store.sync(known, { id, text: report() })
      if (this.#closed) return false
      this.#heard = true
      this.#keepTime(reading.nowMs, (askedMs + clock.nowMs()) / 2)
      await this.#take(reading, known)
      this.#syncs += 1
      this.#refused = false
      this.#parts.looked()
      this.#recordWhatWasFound()
      return true
    } catch (err) {
      this.#failures += 1
      // Of one that is away others tell.
      if (!this.#refused && store.available) {
        log.warn({ err }, 'the store of maintenance refuses to be looked at: what was in force stays')
        this.#refused = true
      }
      return false
    }
  }

  async #take({ version, text }: Reading, known: number): Promise<void> {
    if (text !== undefined) this.#adopt({ version, text })
    else if (version < known && this.#kept !== undefined) {
      await this.#parts.store.restore(this.#kept)
      this.#restored += 1
      this.#parts.log.warn(
        { version: this.#kept.version },
        'the store had lost the state of maintenance and was told again',
      )
    }
  }

  /** Once: from then on the store knows, or this process tells it; else where others cannot tell. Never rejects. */
  #readJournal(): Promise<void> {
    if (this.#journalRead && !this.#parts.followsJournal) return Promise.resolve()
    this.#readingJournal ??= this.#askJournal().finally(() => {
      this.#readingJournal = undefined
    })
    return this.#readingJournal
  }

  async #askJournal(): Promise<void> {
    const { journal, store, log } = this.#parts
    try {
      const entry = await journal?.latest()
      if (this.#closed) return
      if (!this.#journalRead) this.#recordedVersion = entry?.version ?? 0
      this.#journalRead = true
      this.#heard = true
      this.#recordWhatWasFound()
      if (entry === undefined || entry.version <= (this.#kept?.version ?? 0)) return
      this.#adopt(entry)
      if (store.available) await store.restore(entry)
    } catch (err) {
      if (!this.#heard) log.warn({ err }, 'the journal of maintenance cannot be read')
    }
  }

  /** What a start finds in the store and not in the journal: whoever made the change ended before it was written. */
  #recordWhatWasFound(): void {
    const recorded = this.#recordedVersion
    if (recorded === undefined || this.#syncs === 0) return
    this.#recordedVersion = undefined
    const { version, change } = this.#state
    if (change === undefined || version <= recorded || version !== this.#kept?.version) return
    void this.#record({ version, atMs: version, change, text: this.#kept.text })
  }

  async #record(entry: Entry): Promise<boolean | undefined> {
    if (this.#parts.journal === undefined) return undefined
    this.#recordedVersion = undefined
    if (this.#unrecorded.length >= MAX_UNRECORDED) {
      const [oldest] = this.#unrecorded.splice(0, 1)
      this.#parts.log.error(
        { entry: oldest },
        'a change of maintenance is missing in the journal, which cannot be written',
      )
    }
    this.#unrecorded.push(entry)
    await this.#within(JOURNAL_WAIT_MS, this.#writeJournal())
    return !this.#unrecorded.includes(entry)
  }

  /** One at a time, in order. Never rejects. */
  #writeJournal(): Promise<void> {
    this.#recording ??= this.#writeAll().finally(() => {
      this.#recording = undefined
    })
    return this.#recording
  }

  async #writeAll(): Promise<void> {
    const { journal, log } = this.#parts
    for (let [entry] = this.#unrecorded; entry !== undefined; [entry] = this.#unrecorded) {
      const written = entry
      try {
        await journal?.append(written)
      } catch (err) {
        log.warn({ err, version: written.version }, 'a change of maintenance is not in the journal yet')
        return
      }
      this.#unrecorded = this.#unrecorded.filter((one) => one !== written)
    }
  }

  #adopt(kept: Kept): void {
    const { log, adopted } = this.#parts
    if (kept.version <= (this.#kept?.version ?? 0)) return
    const answerLost = kept.text === this.#unsure
    this.#unsure = undefined
    this.#kept = { version: kept.version, text: kept.text }
    try {
      this.#state = stateFrom(kept.text, kept.version)
    } catch (err) {
      log.error(
        { err, version: kept.version },
        'the state of maintenance was written by another version and cannot be kept here',
      )
      return
    }
    adopted(this.#state, answerLost)
    const { version, change } = this.#state
    if (answerLost && change !== undefined)
      void this.#record({ version, atMs: version, change, text: kept.text })
  }

  #keepTime(storeMs: number, atMs: number): void {
    this.#time = { storeMs, atMs }
  }

  /** Waits for `work`, but no longer than `ms`. The process does not end meanwhile. */
  #within(ms: number, work: Promise<unknown>): Promise<void> {
    const release = holdProcess()
    return new Promise<void>((resolve) => {
      const end = () => {
        cancel()
        release()
        resolve()
      }
      const cancel = this.#parts.clock.schedule(ms, end)
      work.then(end, end)
    })
  }
}
