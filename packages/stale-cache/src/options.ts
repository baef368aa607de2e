import { resolve } from 'node:path'
import { type Clock, type MetricsRegistry, OptionChecks, systemClock } from '@holdfast/footing'
import { InvalidOptionError } from './errors.ts'
import type { Version } from './freshness.ts'
import type { RepresentationContent, RepresentationOptions } from './representation.ts'
import type { SharedRedis } from './shared-redis.ts'

export type { Clock, MetricsRegistry }

const MEBIBYTE = 1_048_576
const WEEK_MS = 604_800_000
/** Refuses wrong options of this package with its coded error. */
export const checks: OptionChecks = new OptionChecks(
  (option, expected, received) => new InvalidOptionError(option, expected, received),
)

const representationOptionNames: readonly (keyof RepresentationOptions)[] = [
  'encodings',
  'maxBodyBytes',
  'gzipLevel',
  'brotliQuality',
]

/** One answer of `load`. */
export interface Row<V> {
  readonly key: string
  readonly value: V
  /** The number of this state. A row with a smaller version never replaces one with a larger. */
  readonly version?: Version | undefined
  /** Names under which `invalidateTag` finds this value. */
  readonly tags?: readonly string[] | undefined
}

/** What `load` is given besides the keys. */
export interface LoadContext {
  /** Aborts when the load is given up (`maxLoadMs`) and when the cache is closed. */
  readonly signal: AbortSignal
}

/** Settings of one cache, apart from how its values are represented. Only `load` and `fallback` have no default. */
export interface StaleCacheSettings<V> {
  /**
   * Fetches the values of many keys in one call, for example by `WHERE slug = ANY($1)`. A key that the answer
   * leaves out does not exist at the source (a negative entry). Rejects when the source cannot be asked. Never
   * called by `peek`.
   */
  readonly load: (keys: readonly string[], context: LoadContext) => Promise<Iterable<Row<V>>>
  /**
   * The compiled default of a key: what `peek` answers when nothing else is held. Called once at construction
   * with the empty key: that default's bytes are built before `ready`, and it also stands in when a later call
   * throws. Must be synchronous and reach no source.
   */
  readonly fallback: (key: string) => V
  /** How representations are built: encodings, levels, largest body. Default: those of `createRepresentation`. */
  readonly representation?: RepresentationOptions
  /**
   * Which keys can exist at all. Any other gets the default, is never loaded and leaves no trace. Default: any
   * key that is not empty and not longer than `maxKeyLength`.
   */
  readonly isKey?: (key: string) => boolean
  /** Milliseconds for which a value is fresh, counted from the beginning of its load. Default 300,000. */
  readonly freshMs?: number
  /**
   * Milliseconds after `freshMs` for which a value is still served, stale, while it is refreshed or the source
   * fails. `Infinity`: for ever. Default 86,400,000.
   */
  readonly staleMs?: number
  /** Share by which `freshMs` and `negativeMs` vary from key to key, 0 to 1. Default 0.1. */
  readonly ttlJitter?: number
  /** Milliseconds for which a key stays unknown that the source does not know. Default 10,000. */
  readonly negativeMs?: number
  /**
   * Milliseconds that `get` waits for a refresh when it holds a stale value; then it answers that value and the
   * refresh goes on. Default 0: it answers at once.
   */
  readonly softTimeoutMs?: number
  /**
   * Milliseconds that `get` waits when it holds nothing; then it rejects and the load goes on, and its late
   * value is stored. Default 5,000.
   */
  readonly hardTimeoutMs?: number
  /** Milliseconds after which a load that does not settle is given up: its signal aborts. Default 30,000. */
  readonly maxLoadMs?: number
  /**
   * Milliseconds a key rests after its first failed load, and the file after a failed write; doubles with every
   * further failure, each time 50 to 150 % of it. Default 1,000.
   */
  readonly backoffMs?: number
  /** Where that doubling ends, in milliseconds. Default 30,000. */
  readonly maxBackoffMs?: number
  /**
   * Whether `peek` has stale and never-seen keys loaded in the background. `false`: nothing that a reader does
   * causes a load; whoever owns the cache calls `refresh`. Default true.
   */
  readonly loadOnPeek?: boolean
  /** Milliseconds between two loads started by `peek`. Default 250. */
  readonly batchIntervalMs?: number
  /** Keys in one call of `load`. Default 500. */
  readonly maxBatchKeys?: number
  /** Calls of `load` at the same time. Default 2. */
  readonly maxConcurrentLoads?: number
  /** Never-seen keys that wait for a load started by `peek`; further ones are dropped. Default 1,000. */
  readonly maxQueuedKeys?: number
  /** Keys that `get` and `refresh` load or wait for at the same time; further ones are refused. Default 2,000. */
  readonly maxFlights?: number
  /** Values held. The one not read for the longest time leaves. Default 10,000. */
  readonly maxEntries?: number
  /** Bytes held: all encodings of the representation, the key, the tags and an estimate of the value. Default 64 MiB. */
  readonly maxBytes?: number
  /** Keys remembered as unknown or failing; they never push out a value. Default 1,000. */
  readonly maxNegativeEntries?: number
  /** Defaults remembered for keys whose `fallback` differs from the general one. Default 256. */
  readonly maxDefaults?: number
  /** UTF-16 units in a key. Default 256. */
  readonly maxKeyLength?: number
  /** Tags on one value; each at most `maxKeyLength` long. Default 16. */
  readonly maxTags?: number
  /** Whether plain data is frozen when it is stored: everybody is handed the same object. Default true. */
  readonly freeze?: boolean
  /**
   * Path of the last-known-good file. Values that survive `JSON` are written to it and are served, as
   * `source: 'snapshot'`, after a restart. Its directory must exist. Default: no file.
   */
  readonly snapshotFile?: string
  /**
   * Makes a value of the `JSON` that the file holds; throw to leave it out, for example because an older
   * release wrote it. Default: as it is.
   */
  readonly revive?: (json: unknown, key: string) => V
  /** Milliseconds between a change and its being written, and between two writes. Default 10,000. */
  readonly snapshotIntervalMs?: number
  /** Largest file written, and read. Least recently read values are left out. Default 64 MiB. */
  readonly maxSnapshotBytes?: number
  /** Milliseconds that `ready` waits for the file; a slower one is still read, behind it. Default 250. */
  readonly snapshotLoadBudgetMs?: number
  /**
   * `app.redisGuard`: the second level, and the messages between processes. Caches of one name in several processes
   * share their values through it. `false`: none, also where the plugin has one. Default: that of the plugin.
   */
  readonly redis?: SharedRedis | false
  /**
   * Milliseconds for which a process that loads keeps others from loading the same keys, should it fall silent.
   * Default 3,000.
   */
  readonly leaseMs?: number
  /** Milliseconds that Redis keeps a value. Default: `freshMs` and `staleMs` together, at most 7 days. */
  readonly sharedMs?: number
  /** Largest value, as text, that is shared. Default 1 MiB. */
  readonly maxSharedBytes?: number
  /** Keys whose last write or invalidation is kept for Redis while it is away; 0: none. Default 1,000. */
  readonly maxReplays?: number
  /**
   * Told after a change that another process has made was taken in. Without messages a cache needs nobody to be
   * told; this is for who refreshes a cache himself. Default: nobody.
   */
  readonly onFleetChange?: (changes: FleetChanges) => void
  /** Where time comes from. Default: `systemClock` of `@holdfast/footing`. */
  readonly clock?: Clock
  /** Numbers in [0, 1) for jitter. Default: `Math.random`. */
  readonly random?: () => number
}

/** What another process has told, in names of keys (and tags). */
export interface FleetChanges {
  readonly stored: readonly string[]
  /** Unknown at the source. */
  readonly missing: readonly string[]
  readonly invalidated: readonly string[]
  readonly tags: readonly string[]
  /** True: messages may have been missed, anything may have changed. */
  readonly gap: boolean
}

/** Settings of one cache. Only `load` and `fallback` have no default. */
export interface StaleCacheOptions<V> extends StaleCacheSettings<V> {
  /**
   * Turns a value into the body of an answer, whose encodings and tags are built on every change, never per
   * request. Default: `JSON.stringify` as `application/json; charset=utf-8`.
   */
  readonly represent?: (value: V, key: string) => RepresentationContent
}

/** Settings of a cache without representations: `peek` answers `representation: undefined`. */
export interface UnrepresentedSettings<V> extends StaleCacheSettings<V> {
  readonly represent: false
}

/** Settings of a cache of either kind. */
export type AnyOptions<V> = StaleCacheOptions<V> | UnrepresentedSettings<V>

/** Ties the type of `peek().representation` to the option `represent`. */
export type OptionsFor<V, R> = [R] extends [undefined]
  ? UnrepresentedSettings<V>
  : undefined extends R
    ? AnyOptions<V>
    : StaleCacheOptions<V>

/** The options with every default filled in. */
export type ResolvedOptions<V> = Required<Omit<StaleCacheSettings<V>, 'snapshotFile' | 'redis'>> & {
  readonly snapshotFile: string | undefined
  readonly redis: SharedRedis | undefined
  readonly represent: ((value: V, key: string) => RepresentationContent) | false
}

/**
 * Fills in the defaults.
 *
 * @throws `HOLDFAST_ERR_STALE_CACHE_INVALID_OPTION` with the option, what it must be and what it was.
 */
export function resolveOptions<V>(options: AnyOptions<V>): ResolvedOptions<V> {
  checks.object('options', options)
  const freshMs = compared('freshMs', options.freshMs ?? 300_000)
  const staleMs = options.staleMs === Infinity ? Infinity : compared('staleMs', options.staleMs ?? 86_400_000)
  const hardTimeoutMs = checks.duration('hardTimeoutMs', options.hardTimeoutMs ?? 5_000, 1)
  const maxLoadMs = checks.duration('maxLoadMs', options.maxLoadMs ?? 30_000, 1)
  const backoffMs = checks.duration('backoffMs', options.backoffMs ?? 1_000, 1)
  const resolved = {
    load: required('load', options.load),
    fallback: required('fallback', options.fallback),
    represent: representer(options.represent ?? asJson),
    representation: checks.object('representation', options.representation ?? {}),
    isKey: checks.callable('isKey', options.isKey ?? (() => true)),
    freshMs,
    staleMs,
    ttlJitter: checks.number('ttlJitter', options.ttlJitter ?? 0.1, 0, 1),
    negativeMs: compared('negativeMs', options.negativeMs ?? 10_000),
    softTimeoutMs: checks.duration('softTimeoutMs', options.softTimeoutMs ?? 0, 0),
    hardTimeoutMs,
    maxLoadMs,
    backoffMs,
    maxBackoffMs: checks.duration(
      'maxBackoffMs',
      options.maxBackoffMs ?? Math.max(30_000, backoffMs),
      backoffMs,
    ),
    loadOnPeek: checks.flag('loadOnPeek', options.loadOnPeek ?? true),
    batchIntervalMs: checks.duration('batchIntervalMs', options.batchIntervalMs ?? 250, 1),
    maxBatchKeys: checks.count('maxBatchKeys', options.maxBatchKeys ?? 500, 1),
    maxConcurrentLoads: checks.count('maxConcurrentLoads', options.maxConcurrentLoads ?? 2, 1),
    maxQueuedKeys: checks.count('maxQueuedKeys', options.maxQueuedKeys ?? 1_000, 0),
    maxFlights: checks.count('maxFlights', options.maxFlights ?? 2_000, 1),
    maxEntries: checks.count('maxEntries', options.maxEntries ?? 10_000, 1),
    maxBytes: checks.count('maxBytes', options.maxBytes ?? 64 * MEBIBYTE, 1),
    maxNegativeEntries: checks.count('maxNegativeEntries', options.maxNegativeEntries ?? 1_000, 0),
    maxDefaults: checks.count('maxDefaults', options.maxDefaults ?? 256, 0),
    maxKeyLength: checks.count('maxKeyLength', options.maxKeyLength ?? 256, 1),
    maxTags: checks.count('maxTags', options.maxTags ?? 16, 0),
    freeze: checks.flag('freeze', options.freeze ?? true),
    snapshotFile: filePath('snapshotFile', options.snapshotFile),
    revive: checks.callable('revive', options.revive ?? ((json: unknown) => json as V)),
    snapshotIntervalMs: checks.duration('snapshotIntervalMs', options.snapshotIntervalMs ?? 10_000, 0),
    maxSnapshotBytes: checks.count('maxSnapshotBytes', options.maxSnapshotBytes ?? 64 * MEBIBYTE, 1_024),
    snapshotLoadBudgetMs: checks.duration('snapshotLoadBudgetMs', options.snapshotLoadBudgetMs ?? 250, 0),
    redis: guarding('redis', options.redis),
    leaseMs: checks.duration('leaseMs', options.leaseMs ?? 3_000, 100),
    sharedMs: checks.duration(
      'sharedMs',
      options.sharedMs ?? Math.max(1_000, Math.min(freshMs + staleMs, WEEK_MS)),
      1_000,
    ),
    maxSharedBytes: checks.count('maxSharedBytes', options.maxSharedBytes ?? MEBIBYTE, 1),
    maxReplays: checks.count('maxReplays', options.maxReplays ?? 1_000, 0),
    onFleetChange: checks.callable('onFleetChange', options.onFleetChange ?? (() => {})),
    clock: checks.having('clock', options.clock ?? systemClock, ['nowMs', 'wallMs', 'schedule']),
    random: checks.callable('random', options.random ?? Math.random),
  }
  checks.onlyKnown('', options, Object.keys(resolved))
  checks.onlyKnown('representation.', resolved.representation, representationOptionNames)
  return resolved
}

function asJson(value: unknown): RepresentationContent {
  // JSON.stringify(undefined) is undefined: a cache of nothing still answers a JSON document.
  return { body: JSON.stringify(value) ?? 'null', contentType: 'application/json; charset=utf-8' }
}

/** What a cache may be called: the one label of its metrics, and a word in its file. */
export function cacheName(name: string): string {
  if (typeof name !== 'string' || !/^[a-z][a-z0-9_-]{0,63}$/.test(name)) {
    checks.refuse(
      'name',
      'a lower-case letter followed by at most 63 lower-case letters, digits, "-" and "_"',
      name,
    )
  }
  return name
}

/** The whole path: `./a` and `a` are one file, whatever the working directory becomes later. */
export function filePath(option: string, value: string | undefined): string | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string' || value === '') checks.refuse(option, 'the path of a file', value)
  return resolve(value)
}

/** A guarded Redis, or none. */
export function guarding(option: string, value: SharedRedis | false | undefined): SharedRedis | undefined {
  if (value === undefined || value === false) return undefined
  return checks.having(option, value, ['run', 'call', 'key', 'subscribe', 'listening', 'onStateChange'])
}

function required<F>(option: string, value: F): F {
  return value === undefined ? checks.refuse(option, 'a function', value) : checks.callable(option, value)
}

/** Milliseconds that are only compared: no timer holds them. */
function compared(option: string, value: number): number {
  return checks.duration(option, value, 0, Number.MAX_VALUE)
}

function representer<F extends (...args: never[]) => unknown>(value: F | false): F | false {
  if (value !== false && typeof value !== 'function')
    checks.refuse('represent', 'a function, or false', value)
  return value
}
