/*
 * What a cache holds, and what it knows to be missing: the state apart from the loading.
 *
 * Guarantees: an arrival never replaces what was read later, nor a larger version; what changed after an
 * arrival's reading began keeps it from being fresh; held values, absences and tags never exceed their bounds.
 * Time comes in as an argument, randomness as an option; nothing in here waits.
 */
import { ChangeLog } from './change-log.ts'
import { RowInvalidError } from './errors.ts'
import { backoffMs, jittered, mayReplace, type Version } from './freshness.ts'
import type { ResolvedOptions, Row } from './options.ts'
import { freezeAndWeigh } from './plain-data.ts'
import { RecencyTable } from './recency-table.ts'
import { createIdentityRepresentation, type Representation } from './representation.ts'

/** A value that is held. */
export interface Entry<V> {
  readonly key: string
  readonly value: V
  /** Resolved, so that an awaited hit allocates nothing. */
  readonly promise: Promise<V>
  readonly version: Version | undefined
  readonly tags: readonly string[]
  /** The order of the load or write that read it, or of the confirmation since. */
  readonly order: number
  /** Its place in the order of all processes that share a Redis; undefined when it was read without one. */
  readonly fence: number | undefined
  readonly asOfMs: number
  /** When it was last declared outdated here; what was read before that does not make it fresh. */
  readonly outdatedMs: number
  /** The same by the fleet's order, as far as the fleet knows of it. */
  readonly outdatedFence: number
  readonly freshUntilMs: number
  readonly staleUntilMs: number
  readonly origin: 'source' | 'snapshot'
  readonly representation: Representation | undefined
  readonly retryAtMs: number
  /** Why the last load failed. */
  readonly error: unknown
}

/** Why nothing is held for a key that somebody asked for. */
export interface Absence {
  readonly outcome: 'missing' | 'failed'
  readonly untilMs: number
  /** Why the last load failed. */
  readonly error: unknown
}

/** When something was read, in the order of this process and, where there is one, of the fleet. */
export interface Reading {
  readonly order: number
  readonly asOfMs: number
  readonly fence?: number | undefined
}

/** A row on its way in, whoever brings it. */
export interface Arrival<V> extends Row<V>, Reading {
  readonly origin: 'source' | 'snapshot'
  /** Whether it was declared outdated since it was read, by whoever brings it. */
  readonly outdated?: boolean
}

/** What became of an arrival. 'confirmed': stored, and its bytes are the ones held before. */
export type Placement = 'stored' | 'confirmed' | 'older' | 'too-large'

/** Inside, the life of an entry goes on. */
type Held<V> = {
  -readonly [F in keyof Entry<V>]: Entry<V>[F]
} & {
  /** Without the representation. */
  readonly bytes: number
  failures: number
}

interface Missed extends Absence {
  /** The load that last found the key missing; 0 when none did. */
  readonly order: number
  readonly failures: number
}

/** What an entry weighs besides its value, key, tags and representation: the record and its places in maps. */
const ENTRY_BYTES = 400

export class Holdings<V> {
  /** Which loads are out, and what has changed since they began. */
  readonly changes: ChangeLog
  readonly #options: ResolvedOptions<V>
  readonly #entries: RecencyTable<Held<V>>
  readonly #absences: RecencyTable<Missed>
  readonly #keysByTag = new Map<string, Set<string>>()
  readonly #onGone: (key: string) => void
  #evicted = 0
  #tooLarge = 0

  /** `onGone` is told of every key of which nothing is held any more. */
  constructor(options: ResolvedOptions<V>, onGone: (key: string) => void) {
    const { maxEntries, maxBytes, maxNegativeEntries } = options
    this.#options = options
    this.#onGone = onGone
    this.changes = new ChangeLog(maxEntries)
    this.#entries = new RecencyTable({ maxEntries, maxBytes }, (entry, evicted) => this.#left(entry, evicted))
    this.#absences = new RecencyTable({ maxEntries: maxNegativeEntries, maxBytes: Infinity })
  }

  /** The entry of a key that is being read. */
  read(key: string): Entry<V> | undefined {
    return this.#entries.get(key)
  }

  /** The entry of a key, without counting as a read. */
  look(key: string): Entry<V> | undefined {
    return this.#entries.look(key)
  }

  /** All entries, the most recently read first. */
  entries(): readonly Entry<V>[] {
    return this.#entries.entries()
  }

  /** What is known about a key of which nothing is held, as long as it holds. */
  absence(key: string, nowMs: number): Absence | undefined {
    const absence = this.#absences.get(key)
    return absence !== undefined && nowMs < absence.untilMs ? absence : undefined
  }

  keysOf(tag: string): readonly string[] {
    return [...(this.#keysByTag.get(tag) ?? [])]
  }

  counts() {
    return {
      entries: this.#entries.size,
      bytes: this.#entries.bytes,
      tags: this.#keysByTag.size,
      negativeEntries: this.#absences.size,
      evicted: this.#evicted,
      tooLarge: this.#tooLarge,
    }
  }

  /**
   * Lets a row in, if it is the newest there is. Throws what `represent` throws, and
   * `HOLDFAST_ERR_STALE_CACHE_ROW_INVALID`; then nothing has changed.
   */
  place(arrival: Arrival<V>, nowMs: number): Placement {
    const { key, value, version, order, fence, asOfMs, origin, outdated = false } = arrival
    const { random, freshMs, staleMs, ttlJitter, freeze } = this.#options
    const tags = this.#checkRow(arrival)
    const held = this.#entries.look(key)
    if (held !== undefined && !mayReplace({ version, fence, asOfMs, order }, held)) return 'older'
    if (order < (this.#absences.look(key)?.order ?? 0)) return 'older'

    const representation = represented(this.#options, value, key, held?.representation)
    const bytes = ENTRY_BYTES + freezeAndWeigh(value, freeze) + freezeAndWeigh([key, ...tags], false)
    const freshUntilMs = asOfMs + jittered(freshMs, ttlJitter, random())
    const { outdatedMs = Number.NEGATIVE_INFINITY, outdatedFence = 0 } = held ?? {}
    const outlived = asOfMs < outdatedMs || (fence !== undefined && fence <= outdatedFence)
    const current = origin === 'source' && !outdated && !outlived && !this.#changedSince(order, key, tags)
    const entry: Held<V> = {
      key,
      value,
      promise: Promise.resolve(value),
      version,
      tags,
      order,
      fence,
      asOfMs,
      outdatedMs,
      outdatedFence,
      freshUntilMs: current ? freshUntilMs : Math.min(nowMs, freshUntilMs),
      staleUntilMs: freshUntilMs + staleMs,
      origin,
      representation,
      bytes,
      failures: 0,
      retryAtMs: 0,
      error: undefined,
    }
    if (!this.#entries.set(key, entry, bytes + (representation?.bytes ?? 0))) {
      this.#tooLarge += 1
      return 'too-large'
    }
    for (const tag of tags) {
      const keys = this.#keysByTag.get(tag)
      if (keys === undefined) this.#keysByTag.set(tag, new Set([key]))
      else keys.add(key)
    }
    this.#absences.delete(key)
    return representation !== undefined && representation === held?.representation ? 'confirmed' : 'stored'
  }

  /** The source has found what is held to be current. Returns whether that says anything. */
  confirm(key: string, order: number, asOfMs: number): boolean {
    const { random, freshMs, staleMs, ttlJitter } = this.#options
    const entry = this.#entries.look(key)
    if (entry === undefined || entry.order > order || this.#changedSince(order, key, entry.tags)) return false
    if (asOfMs < entry.outdatedMs || asOfMs < entry.asOfMs) return false
    entry.order = order
    entry.asOfMs = asOfMs
    entry.freshUntilMs = asOfMs + jittered(freshMs, ttlJitter, random())
    entry.staleUntilMs = entry.freshUntilMs + staleMs
    entry.origin = 'source'
    entry.failures = 0
    entry.retryAtMs = 0
    return true
  }

  /** The source does not know this key. Returns the value that outlives that, because it was read later. */
  miss(key: string, reading: Reading, nowMs: number): Entry<V> | undefined {
    const { random, negativeMs, ttlJitter } = this.#options
    const { order } = reading
    const held = this.#entries.look(key)
    if (held !== undefined && !mayReplace({ ...reading, version: undefined }, held)) return held
    // It may have come into being since: what is held stays, and nothing says that it is unknown.
    if (this.changes.changedSince(order, `key:${key}`)) return undefined
    if (this.#entries.delete(key)) this.#onGone(key)
    const untilMs = nowMs + jittered(negativeMs, ttlJitter, random())
    this.#absences.set(key, { outcome: 'missing', order, untilMs, failures: 0, error: undefined }, 0)
    return undefined
  }

  /** A load brought nothing new for this key: it is not loaded again before a pause. */
  rest(key: string, order: number, error: unknown, nowMs: number): void {
    const { random, backoffMs: baseMs, maxBackoffMs } = this.#options
    const pauseMs = (failures: number) => backoffMs(failures, baseMs, maxBackoffMs, random())
    const held = this.#entries.look(key)
    if (held === undefined) {
      const known = this.#absences.look(key)
      const failures = (known?.failures ?? 0) + 1
      const untilMs = nowMs + pauseMs(failures)
      this.#absences.set(key, { outcome: 'failed', order: known?.order ?? 0, untilMs, failures, error }, 0)
    } else if (held.order <= order) {
      held.failures += 1
      held.error = error
      held.retryAtMs = nowMs + pauseMs(held.failures)
    }
  }

  /**
   * Whatever was read of this key before now, or with a smaller fence where one is given, is outdated. Returns
   * whether that says anything about what is held.
   */
  outdate(key: string, nowMs: number, fence?: number): boolean {
    this.changes.change(`key:${key}`)
    this.#absences.delete(key)
    const entry = this.#entries.look(key)
    if (entry === undefined || (fence !== undefined && (entry.fence ?? 0) > fence)) return false
    entry.freshUntilMs = Math.min(entry.freshUntilMs, nowMs)
    if (fence === undefined) entry.outdatedMs = nowMs
    else entry.outdatedFence = Math.max(entry.outdatedFence, fence)
    entry.retryAtMs = 0
    return true
  }

  /** The fleet knows now of what was declared outdated here at that time. */
  outdatedWith(key: string, outdatedMs: number, fence: number): void {
    const entry = this.#entries.look(key)
    if (entry?.outdatedMs !== outdatedMs) return
    entry.outdatedMs = Number.NEGATIVE_INFINITY
    entry.outdatedFence = Math.max(entry.outdatedFence, fence)
  }

  /** The fleet has given what was read here at `asOfMs` its place, unless something else is held meanwhile. */
  fencedWith(key: string, asOfMs: number, fence: number): void {
    const entry = this.#entries.look(key)
    if (entry?.asOfMs === asOfMs && entry.fence === undefined) entry.fence = fence
  }

  /** Gives a value that is still held with these bytes the other encodings of them. */
  complete(key: string, plain: Representation, complete: Representation): void {
    const entry = this.#entries.look(key)
    if (entry?.representation !== plain) return
    entry.representation = complete
    this.#entries.reweigh(key, entry.bytes + complete.bytes)
  }

  #changedSince(order: number, key: string, tags: readonly string[]): boolean {
    if (this.changes.changedSince(order, `key:${key}`)) return true
    return tags.some((tag) => this.changes.changedSince(order, `tag:${tag}`))
  }

  #checkRow({ key, value, version, tags = [] }: Row<V>): readonly string[] {
    const { maxTags, maxKeyLength } = this.#options
    const refuse = (problem: string) => {
      throw new RowInvalidError(shown(key), problem)
    }
    if (isPromise(value)) refuse('its value is a promise; await it first')
    if (version !== undefined && typeof version !== 'bigint' && !Number.isFinite(version)) {
      refuse(`version must be a finite number or a bigint, received ${String(version)}`)
    }
    if (!Array.isArray(tags)) refuse(`tags must be a list, received ${shown(tags)}`)
    if (tags.length > maxTags) refuse(`${tags.length} tags are more than maxTags = ${maxTags}`)
    for (const tag of tags) {
      if (typeof tag === 'string' && tag.length <= maxKeyLength) continue
      refuse(`tag ${shown(tag)} must be a string of at most ${maxKeyLength} units`)
    }
    return [...new Set(tags)]
  }

  #left(entry: Held<V>, evicted: boolean): void {
    if (evicted) {
      this.#evicted += 1
      this.#onGone(entry.key)
    }
    for (const tag of entry.tags) {
      const keys = this.#keysByTag.get(tag)
      keys?.delete(entry.key)
      if (keys?.size === 0) this.#keysByTag.delete(tag)
    }
  }
}

/**
 * The plain representation of a value, or `held` when its bytes are the same: it keeps its compressed encodings,
 * so that a refresh which changes nothing costs no compression.
 */
export function represented<V>(
  { represent, representation }: ResolvedOptions<V>,
  value: V,
  key: string,
  held: Representation | undefined,
): Representation | undefined {
  if (represent === false) return undefined
  const plain = createIdentityRepresentation(represent(value, key), representation)
  return held?.identity.etag === plain.identity.etag ? held : plain
}

/** What a default weighs, and makes safe to hand out. */
export function compile<V>(options: ResolvedOptions<V>, value: V, key: string) {
  if (isPromise(value))
    throw new RowInvalidError(shown(key), 'its default is a promise; fallback must be synchronous')
  const representation = represented(options, value, key, undefined)
  const bytes = ENTRY_BYTES + freezeAndWeigh(value, options.freeze) + freezeAndWeigh(key, false)
  return { value, representation, bytes: bytes + (representation?.bytes ?? 0) }
}

/** A missing `await` would be served as `{}`, and crash the process should the promise reject. */
function isPromise(value: unknown): boolean {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}

/** A key or tag as an error message may carry it: quoted, and cut. */
export function shown(text: unknown): string {
  return typeof text === 'string' ? JSON.stringify(text.slice(0, 100)) : String(text)
}
