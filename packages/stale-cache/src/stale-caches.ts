/*
 * The caches of one application, by name: their number is bounded, because each holds its own bounds of memory.
 */
import { NameTakenError, TooManyCachesError, UnknownCacheError } from './errors.ts'
import {
  type AnyOptions,
  checks,
  filePath,
  type StaleCacheOptions,
  type UnrepresentedSettings,
} from './options.ts'
import type { Representation } from './representation.ts'
import type { SharedRedis } from './shared-redis.ts'
import { StaleCache } from './stale-cache.ts'
import type { StaleCacheSnapshot } from './stale-cache-snapshot.ts'

type AnyCacheOf<V> = StaleCache<V, Representation | undefined>

export class StaleCaches {
  readonly #maxCaches: number
  readonly #redis: SharedRedis | undefined
  readonly #caches = new Map<string, AnyCacheOf<unknown>>()
  readonly #files = new Set<string>()

  /** `redis` is the second level of every cache that does not name another. */
  constructor(maxCaches: number, redis?: SharedRedis) {
    this.#maxCaches = maxCaches
    this.#redis = redis
  }

  /**
   * Creates a cache. Do it at start-up, outside of any request: loads run in the async context of this call.
   *
   * @param name lower-case letters, digits, `-` and `_`, at most 64; unique. The only label of its metrics.
   * @throws `HOLDFAST_ERR_STALE_CACHE_INVALID_OPTION`, `..._NAME_TAKEN`, `..._TOO_MANY_CACHES`
   */
  create<V>(name: string, options: UnrepresentedSettings<V>): StaleCache<V, undefined>
  create<V>(name: string, options: StaleCacheOptions<V>): StaleCache<V>
  create<V>(name: string, options: AnyOptions<V>): AnyCacheOf<V> {
    if (this.#caches.has(name)) throw new NameTakenError(name)
    if (this.#caches.size >= this.#maxCaches) throw new TooManyCachesError(name, this.#maxCaches)
    const snapshotFile = filePath('snapshotFile', checks.object('options', options).snapshotFile)
    if (snapshotFile !== undefined && this.#files.has(snapshotFile)) {
      checks.refuse('snapshotFile', 'a file that no other cache has', snapshotFile)
    }
    const cache: AnyCacheOf<V> = new StaleCache<V, Representation | undefined>(
      name,
      this.#redis === undefined || options.redis !== undefined ? options : { ...options, redis: this.#redis },
    )
    this.#caches.set(name, cache as unknown as AnyCacheOf<unknown>)
    if (snapshotFile !== undefined) this.#files.add(snapshotFile)
    return cache
  }

  /**
   * The cache that was created under this name. The caller says what is in it; nothing checks that.
   *
   * @throws `HOLDFAST_ERR_STALE_CACHE_UNKNOWN_CACHE`
   */
  get<V, R extends Representation | undefined = Representation>(name: string): StaleCache<V, R> {
    const cache = this.#caches.get(name)
    if (cache === undefined) throw new UnknownCacheError(name, [...this.#caches.keys()].join(', '))
    return cache as unknown as StaleCache<V, R>
  }

  /** Settles when every cache created so far is ready. */
  async ready(): Promise<void> {
    await Promise.all([...this.#caches.values()].map((cache) => cache.ready))
  }

  /** Counters and gauges of every cache, as plain data. */
  snapshot(): StaleCacheSnapshot[] {
    return [...this.#caches.values()].map((cache) => cache.snapshot())
  }

  /** Closes every cache: their last-known-good files are written. */
  async close(): Promise<void> {
    await Promise.all([...this.#caches.values()].map((cache) => cache.close()))
  }
}
