// Which themes there are, and in which version: what the refresher compares. With Redis one process of the fleet asks
// the database for it per interval, and the others take its answer; a message tells them that there is a new one.

import type { SharedRedis, StaleCache } from '@holdfast/stale-cache'
import type { FastifyInstance } from 'fastify'
import type { Sighting, ThemeSource } from './theme-refresher.ts'

/** The one key of the cache. */
const ALL = 'all'
const NAME = 'theme-index'

/** As it travels between processes. */
interface StoredIndex {
  readonly fingerprint: string
  readonly versions: readonly (readonly [slug: string, version: string])[]
}

const NONE: StoredIndex = { fingerprint: '', versions: [] }

/** The questions to the database. */
export interface IndexQueries {
  /** Differs whenever {@link versions} would. */
  fingerprint(): Promise<string>
  /** The version of every theme, at most `limit` of them. */
  versions(limit: number): Promise<ReadonlyMap<string, bigint>>
}

/** What the index needs. */
export interface ThemeIndexOptions {
  /** `app.staleCache`. */
  readonly caches: FastifyInstance['staleCache']
  readonly queries: IndexQueries
  /** Undefined: every process asks for itself. */
  readonly redis: SharedRedis | undefined
  readonly maxThemes: number
  readonly intervalMs: number
  /** Told when another process may have changed it. */
  readonly onChange: () => void
}

/** See the top of the file. */
export class ThemeIndex implements ThemeSource {
  readonly #cache: StaleCache<StoredIndex, undefined>
  readonly #shared: boolean

  constructor({ caches, queries, redis, maxThemes, intervalMs, onChange }: ThemeIndexOptions) {
    this.#shared = redis !== undefined
    this.#cache = caches.create<StoredIndex>(NAME, {
      represent: false,
      load: async () => [{ key: ALL, value: await this.#read(queries, maxThemes) }],
      loadOnPeek: false,
      fallback: () => NONE,
      revive: checked,
      freshMs: intervalMs,
      staleMs: Number.POSITIVE_INFINITY,
      ttlJitter: 0,
      backoffMs: Math.min(1000, intervalMs),
      redis: redis ?? false,
      onFleetChange: onChange,
    })
  }

  async look(): Promise<Sighting> {
    if (!this.#shared || this.#cache.peek(ALL).source !== 'fresh') {
      // What another process has seen within the interval will do.
      const { failed, error } = await this.#cache.refresh([ALL], this.#shared ? { sinceFence: 0 } : {})
      if (failed > 0) throw error
    }
    return this.#sighting()
  }

  async recall(): Promise<Sighting | undefined> {
    // The load fails, and what Redis has, however old, stays.
    if (this.#shared && this.#cache.peek(ALL).source === 'default')
      await this.#cache.refresh([ALL], { sinceFence: 0 })
    return this.#cache.peek(ALL).source === 'default' ? undefined : this.#sighting()
  }

  #sighting(): Sighting {
    const { value, ageMs, fence } = this.#cache.peek(ALL)
    const versions = new Map(value.versions.map(([slug, version]) => [slug, BigInt(version)]))
    return { fingerprint: value.fingerprint, versions, ageMs, fence }
  }

  async #read(queries: IndexQueries, maxThemes: number): Promise<StoredIndex> {
    const fingerprint = await queries.fingerprint()
    const { value } = this.#cache.peek(ALL)
    if (value.fingerprint === fingerprint) return value
    // The fingerprint was taken before the versions are read: a change in between makes the next look differ.
    const versions = await queries.versions(maxThemes + 1)
    return { fingerprint, versions: [...versions].map(([slug, version]) => [slug, String(version)]) }
  }
}

/** The key whose invalidation has every process look at once. */
export const THEME_INDEX = { cache: NAME, key: ALL } as const

/** An index out of Redis: another release may have written it. */
function checked(json: unknown): StoredIndex {
  const { fingerprint, versions } = (json ?? {}) as Partial<StoredIndex>
  const usable =
    typeof fingerprint === 'string' &&
    Array.isArray(versions) &&
    versions.every(
      (pair: unknown) => Array.isArray(pair) && typeof pair[0] === 'string' && /^-?\d{1,20}$/.test(pair[1]),
    )
  if (!usable) throw new TypeError('not an index of themes')
  return { fingerprint, versions }
}
