// The limits in force in this process: those of the settings, with what an operator has changed. A change is checked
// first, then told to all processes, then kept to here; the others hear of it by message, when Redis comes back, and
// every few seconds. A process that cannot keep a change, being of another version, keeps what it has and says so.

import type { Clock } from '@holdfast/footing'
import { withRetryAfter } from '@holdfast/footing'
import type { FastifyBaseLogger } from 'fastify'
import { ApiLimitsInvalidError, ApiLimitsUnavailableError } from '../../errors.ts'
import { changed, type LimitChange, type Limits } from '../../limits.ts'
import { readChange } from '../../settings/limit-setting.ts'
import type { ChangeStore, KeptChange } from './change-store.ts'

/** Messages may be lost. */
const LOOK_MS = 5000
const RETRY_MS = 1000

/** What it works with. */
export interface LimitChangesParts {
  readonly settings: Limits
  /** Undefined: a change is that of this process alone. */
  readonly store: Pick<ChangeStore, 'available' | 'write' | 'restore' | 'read' | 'onChange'> | undefined
  /** Raises when these limits cannot be kept. */
  check(limits: Limits): void
  /** Keeps to these limits from now on; raises what `check` raises, and changes nothing then. */
  keep(limits: Limits): void
  readonly log: Pick<FastifyBaseLogger, 'warn' | 'error'>
  readonly clock: Clock
}

/** What is in force. */
export interface LimitsInForce extends Limits {
  readonly change: LimitChange | null
  /** Milliseconds since the Unix epoch; undefined: nothing was ever changed. */
  readonly changedAtMs: number | undefined
}

export class LimitChanges {
  readonly #parts: LimitChangesParts
  /** The newest one that is known, whether it can be kept or not. */
  #known: KeptChange = { version: 0, text: 'null' }
  #inForce: LimitsInForce
  #looking: Promise<void> | undefined
  #again = false
  #forget: () => void = () => {}
  #cancel: () => void = () => {}
  #closed = false

  constructor(parts: LimitChangesParts) {
    this.#parts = parts
    this.#inForce = { ...parts.settings, change: null, changedAtMs: undefined }
  }

  get inForce(): LimitsInForce {
    return this.#inForce
  }

  /**
   * Replaces the change; `null` goes back to the settings. Raises `HOLDFAST_ERR_API_LIMITS_INVALID` for what cannot be
   * kept, and `HOLDFAST_ERR_API_LIMITS_UNAVAILABLE` when other processes cannot be told.
   */
  async replace(change: LimitChange | null): Promise<void> {
    const { settings, store, check, clock } = this.#parts
    try {
      check(changed(settings, change))
    } catch (error) {
      throw new ApiLimitsInvalidError((error as Error).message, { cause: error })
    }
    const text = JSON.stringify(change)
    this.#adopt({ version: await this.#tell(text, store, clock), text }, change)
  }

  /** Learns what the others know, from now on. Resolves after the first look. */
  start(): Promise<void> {
    const { store } = this.#parts
    if (store === undefined) return Promise.resolve()
    this.#forget = store.onChange(() => void this.look())
    this.#lookLater()
    return this.look()
  }

  /** Looks whether there is another change. Never rejects. */
  look(): Promise<void> {
    const { store } = this.#parts
    if (store === undefined || this.#closed || !store.available) return Promise.resolve()
    if (this.#looking !== undefined) {
      // What is on its way may have been read before that of which somebody has just heard.
      this.#again = true
      return this.#looking
    }
    this.#looking = this.#read(store).then(() => {
      this.#looking = undefined
      if (!this.#again) return undefined
      this.#again = false
      return this.look()
    })
    return this.#looking
  }

  close(): void {
    this.#closed = true
    this.#forget()
    this.#cancel()
  }

  #lookLater(): void {
    this.#cancel = this.#parts.clock.schedule(LOOK_MS, () => {
      void this.look()
      this.#lookLater()
    })
  }

  async #tell(text: string, store: LimitChangesParts['store'], clock: Clock): Promise<number> {
    if (store === undefined) return Math.max(clock.wallMs(), this.#known.version + 1)
    try {
      return await store.write(text, this.#known.version)
    } catch (cause) {
      throw withRetryAfter(new ApiLimitsUnavailableError({ cause }), RETRY_MS)
    }
  }

  async #read(store: NonNullable<LimitChangesParts['store']>): Promise<void> {
    try {
      const { version, text } = await store.read(this.#known.version)
      if (text !== undefined) this.#hear({ version, text })
      // Redis has come back without its data.
      else if (version < this.#known.version) await store.restore(this.#known)
    } catch {
      // Looked for again when Redis is back, or a few seconds later.
    }
  }

  #hear(kept: KeptChange): void {
    const { log } = this.#parts
    if (kept.version <= this.#known.version) return
    try {
      const given: unknown = JSON.parse(kept.text)
      const parsed = given === null ? { value: null } : readChange(given)
      if ('wrong' in parsed) throw new ApiLimitsInvalidError(`the change ${parsed.wrong}`)
      this.#adopt(kept, parsed.value)
    } catch (err) {
      this.#known = kept
      log.error({ err, version: kept.version }, 'limits that an operator has set cannot be kept here')
    }
  }

  /** A change that another one has overtaken is not kept to any more. */
  #adopt(kept: KeptChange, change: LimitChange | null): void {
    if (kept.version <= this.#known.version) return
    const limits = changed(this.#parts.settings, change)
    this.#parts.keep(limits)
    this.#known = kept
    this.#inForce = { ...limits, change, changedAtMs: kept.version }
    this.#parts.log.warn({ change, version: kept.version }, 'limits are as an operator has set them')
  }
}
