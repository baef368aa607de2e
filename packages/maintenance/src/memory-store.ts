import type { Clock } from '@holdfast/footing'
import {
  FORGET_MS,
  type Kept,
  type MaintenanceStore,
  type Members,
  type Reading,
  type Report,
  type Written,
} from './store.ts'

/** A state for whoever holds this object: one process, or the processes that a test pretends to have. */
export class MemoryStore implements MaintenanceStore {
  readonly available = true
  readonly #clock: Clock
  readonly #listeners = new Set<() => void>()
  /** By id: the text, and when it came. Whoever is silent for `FORGET_MS` leaves. */
  readonly #reports = new Map<string, { readonly text: string; readonly atMs: number }>()
  #kept: Kept | undefined
  #heardSinceMs: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async ready(): Promise<boolean> {
    return true
  }

  async sync(known: number, { id, text }: Report): Promise<Reading> {
    const atMs = this.#clock.nowMs()
    this.#heardSinceMs ??= atMs
    this.#reports.set(id, { text, atMs })
    this.#forget(atMs)
    const { version, text: document } = this.#kept ?? { version: 0, text: undefined }
    return { version, text: version > known ? document : undefined, nowMs: this.#clock.wallMs() }
  }

  async write(text: string, expected: number): Promise<Written> {
    if (this.#kept !== undefined && this.#kept.version > expected) return { written: false, ...this.#kept }
    const nowMs = this.#clock.wallMs()
    const version = Math.max(expected + 1, Math.floor(nowMs))
    this.#keep({ version, text })
    return { written: true, version, nowMs }
  }

  async restore(kept: Kept): Promise<void> {
    if (kept.version > (this.#kept?.version ?? 0)) this.#keep(kept)
  }

  async members(): Promise<Members> {
    const nowMs = this.#clock.nowMs()
    this.#forget(nowMs)
    const members = [...this.#reports].map(([id, { text, atMs }]) => ({ id, text, seenMsAgo: nowMs - atMs }))
    return { heardForMs: nowMs - (this.#heardSinceMs ?? nowMs), members }
  }

  async leave(id: string): Promise<void> {
    this.#reports.delete(id)
  }

  onChange(callback: () => void): () => void {
    this.#listeners.add(callback)
    return () => {
      this.#listeners.delete(callback)
    }
  }

  #keep(kept: Kept): void {
    this.#kept = kept
    for (const listener of [...this.#listeners]) listener()
  }

  #forget(nowMs: number): void {
    for (const [id, { atMs }] of this.#reports) if (nowMs - atMs > FORGET_MS) this.#reports.delete(id)
  }
}
