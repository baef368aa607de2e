/** Processes that a test pretends to have: one clock, one store that may be away, one journal that may fail. */
import type { Clock } from '@holdfast/footing'
import { HandClock } from '@holdfast/test-kit'
import type { Entry, MaintenanceJournal } from '../src/journal.ts'
import { Maintenance } from '../src/maintenance.ts'
import { MemoryStore } from '../src/memory-store.ts'
import { type MaintenanceOptions, resolveOptions } from '../src/options.ts'
import type { Kept, MaintenanceStore, Members, Reading, Report, Written } from '../src/store.ts'

/** A store that can be taken away, made deaf, and emptied. */
export class FrailStore implements MaintenanceStore {
  readonly #clock: Clock
  #store: MemoryStore
  readonly #listeners = new Set<() => void>()
  available = true
  /** Whether word of a change is lost. */
  deaf = false
  /** How many of the next calls fail. */
  failures = 0
  /** How many of the next writes are carried out without an answer. */
  lostAnswers = 0
  /** What the clock of the store is ahead of that of the processes. */
  aheadMs = 0

  constructor(clock: Clock) {
    const startMs = clock.wallMs() - clock.nowMs()
    // A clock of its own: nobody sets it when somebody sets that of the processes.
    this.#clock = {
      nowMs: () => clock.nowMs(),
      wallMs: () => startMs + clock.nowMs(),
      schedule: (delayMs, callback) => clock.schedule(delayMs, callback),
    }
    this.#store = new MemoryStore(this.#clock)
  }

  /** Loses everything. */
  flush(): void {
    this.#store = new MemoryStore(this.#clock)
  }

  async ready(): Promise<boolean> {
    return this.available
  }

  async sync(known: number, report: Report): Promise<Reading> {
    this.#check()
    const reading = await this.#store.sync(known, report)
    return { ...reading, nowMs: reading.nowMs + this.aheadMs }
  }

  async write(text: string, expected: number): Promise<Written> {
    this.#check()
    const written = await this.#store.write(text, expected)
    this.#tell()
    if (this.lostAnswers > 0) {
      this.lostAnswers -= 1
      throw new Error('the answer is lost')
    }
    return written.written ? { ...written, nowMs: written.nowMs + this.aheadMs } : written
  }

  async restore(kept: Kept): Promise<void> {
    this.#check()
    await this.#store.restore(kept)
    this.#tell()
  }

  async members(): Promise<Members> {
    this.#check()
    return this.#store.members()
  }

  async leave(id: string): Promise<void> {
    this.#check()
    await this.#store.leave(id)
  }

  onChange(callback: () => void): () => void {
    this.#listeners.add(callback)
    return () => this.#listeners.delete(callback)
  }

  #tell(): void {
    if (!this.deaf) for (const listener of this.#listeners) listener()
  }

  #check(): void {
    if (this.failures > 0) this.failures -= 1
    else if (this.available) return
    throw new Error('the store is away')
  }
}

/** A journal in memory. */
export class MemoryJournal implements MaintenanceJournal {
  readonly entries: Entry[] = []
  broken = false

  async append(entry: Entry): Promise<void> {
    this.#check()
    if (!this.entries.some(({ version }) => version === entry.version)) this.entries.push(entry)
  }

  async latest(): Promise<Entry | undefined> {
    this.#check()
    return this.entries.toSorted((left, right) => right.version - left.version)[0]
  }

  async history(limit: number, before?: number): Promise<readonly Entry[]> {
    this.#check()
    return this.entries
      .filter(({ version }) => before === undefined || version < before)
      .toSorted((left, right) => right.version - left.version)
      .slice(0, limit)
  }

  #check(): void {
    if (this.broken) throw new Error('the journal cannot be reached')
  }
}

/** A line of the log. */
export interface Line {
  readonly level: 'info' | 'warn' | 'error'
  readonly details: object
  readonly message: string
}

/** Makes processes over one store. */
export class HandFleet {
  readonly clock = new HandClock()
  readonly store = new FrailStore(this.clock)
  readonly journal = new MemoryJournal()
  readonly lines: Line[] = []

  /** A process that has started. */
  async process(options: MaintenanceOptions = {}): Promise<Maintenance> {
    const process = this.made(options)
    const starting = process.start()
    await this.clock.advance(0)
    await starting
    return process
  }

  /** A process that has not started. */
  made(options: MaintenanceOptions = {}): Maintenance {
    const log = (level: Line['level']) => (details: object, message: string) =>
      void this.lines.push({ level, details, message })
    return new Maintenance(resolveOptions({ clock: this.clock, random: () => 0, ...options }), {
      log: { info: log('info'), warn: log('warn'), error: log('error') },
      store: this.store,
    })
  }

  logged(message: RegExp): readonly Line[] {
    return this.lines.filter((line) => message.test(line.message))
  }
}
