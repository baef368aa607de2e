// The themes in memory: what the route reads, and what the refresher writes. Loading happens only on the
// refresher's word; a request that finds nothing, or something stale, never causes it.

import type { RefreshOptions, Row, SharedRedis, StaleCache, StaleReader } from '@holdfast/stale-cache'
import type { FastifyInstance } from 'fastify'
import { ApiThemesNotLoadedError } from '../../errors.ts'
import { isTenantSlug } from '../../tenant-slug.ts'
import type { PublicTheme } from './public-theme.ts'
import { completeTheme, DEFAULT_THEME, parseThemeDocument } from './theme.ts'
import type { ThemeTarget } from './theme-refresher.ts'
import type { StoredTheme } from './theme-repository.ts'

const DEFAULT: PublicTheme = Object.freeze({ tenant: null, version: null, theme: DEFAULT_THEME })

// As long as the browsers and proxies in front may keep a theme. The sweep confirms what is held far more often,
// so that themes go stale only when the database has been silent for this long.
const FRESH_MS = 300_000
const SNAPSHOT_INTERVAL_MS = 1000

/** What the cache of themes needs. */
export interface ThemeCacheOptions {
  /** `app.staleCache`. */
  readonly caches: FastifyInstance['staleCache']
  /** Reads the themes of these tenants in one batch. */
  readonly load: (slugs: readonly string[]) => Promise<StoredTheme[]>
  /** Told when the database holds a document that cannot be served; the last good one is kept. */
  readonly onUnusable: (slug: string, problems: readonly string[]) => void
  /** Told how many themes had to leave because all together are larger than `maxBytes`: they are defaults now. */
  readonly onEvicted: (themes: number) => void
  readonly maxThemes: number
  readonly maxBytes: number
  readonly maxBatch: number
  /** Path of the last-known-good file; undefined: none is kept. */
  readonly snapshotFile: string | undefined
  /** Where themes are shared with other processes; undefined: nowhere. */
  readonly redis?: SharedRedis | undefined
}

/** See the top of the file. */
export class ThemeCache implements ThemeTarget {
  readonly #cache: StaleCache<PublicTheme>
  /** Slugs that the cache was given, now or in the life before: at most `maxThemes` and the file's. */
  readonly #held = new Set<string>()
  readonly #onEvicted: ThemeCacheOptions['onEvicted']
  #evicted = 0

  constructor(options: ThemeCacheOptions) {
    const { caches, load, onUnusable, onEvicted, maxThemes, maxBytes, maxBatch, snapshotFile, redis } =
      options
    this.#onEvicted = onEvicted
    this.#cache = caches.create<PublicTheme>('themes', {
      load: async (slugs) => this.#rowsOf(await load(slugs), onUnusable),
      loadOnPeek: false,
      fallback: () => DEFAULT,
      isKey: isTenantSlug,
      freshMs: FRESH_MS,
      // A theme from last week is still the tenant's own; the default never is.
      staleMs: Number.POSITIVE_INFINITY,
      maxEntries: maxThemes,
      maxBytes,
      maxBatchKeys: maxBatch,
      ...(snapshotFile !== undefined && { snapshotFile }),
      redis: redis ?? false,
      snapshotIntervalMs: SNAPSHOT_INTERVAL_MS,
      revive: (json, slug) => this.#revive(json, slug),
    })
  }

  /** Reads memory, and can do nothing else. */
  get reader(): StaleReader<PublicTheme> {
    return this.#cache.reader
  }

  /** Whether a tenant has a theme, as far as is known here. Counts as no use of it. */
  has(slug: string): boolean {
    return this.#held.has(slug)
  }

  /** Settles when the last-known-good file has been read, or took too long. */
  get ready(): Promise<void> {
    return this.#cache.ready
  }

  async refresh(versions: ReadonlyMap<string, bigint>, fence?: number): Promise<void> {
    const slugs = [...versions.keys()]
    if (fence === undefined) await this.#load(slugs, {})
    else {
      // What a process that is new here finds in Redis may be older than the sighting, and still be the version seen.
      await this.recall(slugs.filter((slug) => this.#cache.peek(slug).source === 'default'))
      const older = slugs.filter((slug) => {
        const { source, value } = this.#cache.peek(slug)
        return source !== 'fresh' || value.version !== String(versions.get(slug))
      })
      await this.#load(older, { sinceFence: fence })
    }
    for (const slug of slugs) this.#held.add(slug)
  }

  async recall(slugs: Iterable<string>): Promise<void> {
    await this.#cache.refresh(slugs, { sinceFence: 0 })
    for (const slug of slugs) if (this.#cache.peek(slug).source !== 'default') this.#held.add(slug)
  }

  async retain(slugs: ReadonlySet<string>, fence?: number): Promise<void> {
    const gone = [...this.#held].filter((slug) => !slugs.has(slug))
    if (gone.length === 0) return
    // The source does not know them any more, and says so.
    await this.#load(gone, { sinceFence: fence })
    for (const slug of gone) this.#held.delete(slug)
  }

  beginConfirmation(): (current: boolean, ageMs?: number) => void {
    const confirm = this.#cache.beginConfirmation()
    return (current, ageMs) => {
      confirm(current ? this.#held : [], ageMs)
      const { evicted } = this.#cache.snapshot()
      if (evicted > this.#evicted) this.#onEvicted(evicted - this.#evicted)
      this.#evicted = evicted
    }
  }

  async #load(slugs: readonly string[], options: RefreshOptions): Promise<void> {
    if (slugs.length === 0) return
    const { failed } = await this.#cache.refresh(slugs, options)
    if (failed > 0) throw new ApiThemesNotLoadedError(failed)
  }

  /** No version goes into the rows: loads begin one after the other, and the cache lets a later one win. A version
   * would also keep a theme from going back, which is what a database restored from a backup has to do. */
  #rowsOf(stored: readonly StoredTheme[], onUnusable: ThemeCacheOptions['onUnusable']): Row<PublicTheme>[] {
    return stored.flatMap(({ slug, version, document }): Row<PublicTheme>[] => {
      const checked = parseThemeDocument(document)
      if ('document' in checked) {
        const theme = completeTheme(checked.document)
        return [{ key: slug, value: { tenant: slug, version: String(version), theme } }]
      }
      onUnusable(slug, checked.problems)
      const held = this.#cache.peek(slug)
      return held.source === 'default' ? [] : [{ key: slug, value: held.value }]
    })
  }

  /** A theme out of the last-known-good file, checked like one out of the database. */
  #revive(json: unknown, slug: string): PublicTheme {
    const found = json as Partial<PublicTheme> | null
    const checked = parseThemeDocument(found?.theme)
    if (!('document' in checked) || typeof found?.version !== 'string') throw new TypeError('not a theme')
    this.#held.add(slug)
    return { tenant: slug, version: found.version, theme: completeTheme(checked.document) }
  }
}
