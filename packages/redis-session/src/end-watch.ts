/*
 * Who wants to know that a session has ended, and which ended a short while ago. A listener is called once; after a
 * time in which no word could arrive, whoever keeps the sessions is asked about each one that is still watched. Both
 * memories are bounded.
 */
import type { Clock } from '@holdfast/footing'
import { WatchFullError } from './errors.ts'
import type { Address } from './secret-ring.ts'

/** Why a session is no more: it ended, or goes on under another id, after a login or a proof. */
export type EndReason = 'ended' | 'replaced'

export type EndListener = (reason: EndReason) => void

export interface EndWatchSettings {
  readonly clock: Clock
  /** For so long what ended is remembered. */
  readonly rememberMs: number
  /** Of each memory. */
  readonly maximum: number
}

interface Watched {
  readonly address: Address
  readonly listeners: Set<EndListener>
}

export class EndWatch {
  readonly #settings: EndWatchSettings
  readonly #watched = new Map<string, Watched>()
  #listeners = 0
  /** When and why each ended; the oldest first. */
  readonly #ended = new Map<string, { readonly atMs: number; readonly reason: EndReason }>()

  constructor(settings: EndWatchSettings) {
    this.#settings = settings
  }

  get watched(): readonly Address[] {
    return [...this.#watched.values()].map(({ address }) => address)
  }

  /** Calls `listener` when the session ends, unless the answer is called before. Raises `..._WATCH_FULL`. */
  watch(address: Address, listener: EndListener): () => void {
    const { maximum } = this.#settings
    if (this.#listeners >= maximum) throw new WatchFullError(maximum)
    const watched = this.#watched.get(address.hash) ?? { address, listeners: new Set() }
    this.#watched.set(address.hash, watched)
    // A function of its own, so that the same one can be given twice.
    const entry: EndListener = (reason) => listener(reason)
    watched.listeners.add(entry)
    this.#listeners += 1
    return () => {
      if (!watched.listeners.delete(entry)) return
      this.#listeners -= 1
      if (watched.listeners.size === 0) this.#watched.delete(address.hash)
    }
  }

  /** A session is no more. */
  tell(hash: string, reason: EndReason): void {
    const { clock, maximum } = this.#settings
    this.#ended.delete(hash)
    this.#ended.set(hash, { atMs: clock.nowMs(), reason })
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= maximum) break
      this.#ended.delete(oldest)
    }
    const watched = this.#watched.get(hash)
    if (watched === undefined) return
    this.#watched.delete(hash)
    this.#listeners -= watched.listeners.size
    const listeners = [...watched.listeners]
    watched.listeners.clear()
    for (const listener of listeners) {
      try {
        listener(reason)
      } catch (error) {
        process.emitWarning(error instanceof Error ? error : String(error))
      }
    }
  }

  /** Why this session ended within that time, which is at most that which is remembered; undefined when it did not. */
  whyEnded(hash: string, withinMs = this.#settings.rememberMs): EndReason | undefined {
    const ended = this.#ended.get(hash)
    if (ended === undefined || this.#settings.clock.nowMs() - ended.atMs >= withinMs) return undefined
    return ended.reason
  }
}
