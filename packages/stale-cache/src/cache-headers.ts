/**
 * The caching headers of an answer, by where its value came from.
 *
 * Guarantees: a fresh answer carries `Age` and the full lifetime; a stale, snapshot or default answer
 * carries a short lifetime that counts from now, and no `Age`: RFC 9111 (4.2) subtracts `Age` from
 * `max-age`, so together they would make every such answer expired on arrival, and caches in front of us
 * would stop shielding us exactly when the source is down. How stale it is stays visible in
 * `Cache-Status` (RFC 9211) as a negative `ttl`.
 */
import { StaleCachePolicyError } from './errors.ts'
import { checks } from './options.ts'

/** Where a value came from: the cache within and past its lifetime, the last-known-good file, the fallback. */
export type ValueSource = 'fresh' | 'stale' | 'snapshot' | 'default'

/** Options of a `RepresentationPolicy`. Durations are milliseconds and whole seconds, as HTTP knows no less. */
export interface RepresentationPolicyOptions {
  /** `max-age` of fresh answers. Default 300_000. */
  readonly maxAgeMs?: number
  /** `max-age` of answers whose value is stale or from the snapshot file. Default 30_000. */
  readonly staleMaxAgeMs?: number
  /** `max-age` of answers made of the fallback value. Default 10_000. */
  readonly defaultMaxAgeMs?: number
  /** `stale-while-revalidate` (RFC 5861) of all but fallback answers; `false` leaves it out. Default 60_000. */
  readonly staleWhileRevalidateMs?: number | false
  /** `stale-if-error` (RFC 5861) of all but fallback answers; `false` leaves it out. Default false. */
  readonly staleIfErrorMs?: number | false
  /** Name of this cache in `Cache-Status`; `false` leaves that header out. Default `'holdfast'`. */
  readonly cacheName?: string | false
  /** Name of a header that tells the value's source, such as `'x-cache'`; `false` for none. Default false. */
  readonly sourceHeader?: string | false
}

const optionNames: readonly string[] = [
  'maxAgeMs',
  'staleMaxAgeMs',
  'defaultMaxAgeMs',
  'staleWhileRevalidateMs',
  'staleIfErrorMs',
  'cacheName',
  'sourceHeader',
]

/** `RepresentationPolicyOptions` checked and turned into header text. */
export class RepresentationPolicy {
  /** `Cache-Control` by source. */
  readonly cacheControl: Readonly<Record<ValueSource, string>>
  /** Lower case; undefined when no such header is sent. */
  readonly sourceHeader: string | undefined
  readonly #cacheName: string | undefined

  /**
   * @throws HOLDFAST_ERR_STALE_CACHE_POLICY when an option is not usable
   * @throws HOLDFAST_ERR_STALE_CACHE_INVALID_OPTION when they are no object
   */
  constructor(options: RepresentationPolicyOptions = {}) {
    checks.object('policy', options)
    const maxAge = seconds('maxAgeMs', options.maxAgeMs ?? 300_000)
    const staleMaxAge = seconds('staleMaxAgeMs', options.staleMaxAgeMs ?? 30_000)
    const defaultMaxAge = seconds('defaultMaxAgeMs', options.defaultMaxAgeMs ?? 10_000)
    const staleWhileRevalidateMs = options.staleWhileRevalidateMs ?? 60_000
    const staleIfErrorMs = options.staleIfErrorMs ?? false
    let extensions = ''
    if (staleWhileRevalidateMs !== false) {
      extensions += `, stale-while-revalidate=${seconds('staleWhileRevalidateMs', staleWhileRevalidateMs)}`
    }
    if (staleIfErrorMs !== false) {
      extensions += `, stale-if-error=${seconds('staleIfErrorMs', staleIfErrorMs)}`
    }
    const stale = `public, max-age=${staleMaxAge}${extensions}`
    this.cacheControl = Object.freeze({
      fresh: `public, max-age=${maxAge}${extensions}`,
      stale,
      snapshot: stale,
      // The real value may be ready in a moment: nobody may keep the fallback beyond its lifetime.
      default: `public, max-age=${defaultMaxAge}`,
    })
    this.sourceHeader = sourceHeaderName(options.sourceHeader ?? false)
    this.#cacheName = structuredName(options.cacheName ?? 'holdfast')
    const unknown = Object.keys(options).find((name) => !optionNames.includes(name))
    if (unknown !== undefined) {
      throw new StaleCachePolicyError(unknown, 'no option', `one of ${optionNames.join(', ')}`)
    }
  }

  /**
   * `Cache-Status` (RFC 9211) for a value with this many seconds of freshness left (negative: past it).
   * A fallback value is no hit. Undefined when the policy sends no such header.
   */
  cacheStatus(source: ValueSource, ttlSeconds: number): string | undefined {
    if (this.#cacheName === undefined) return undefined
    if (source === 'default') return `${this.#cacheName}; detail=default`
    const hit = `${this.#cacheName}; hit; ttl=${ttlSeconds}`
    return source === 'fresh' ? hit : `${hit}; detail=${source}`
  }
}

/** Caching headers that hold for one second of one value's life. */
export interface CacheHeaders {
  readonly cacheControl: string
  readonly age: string | undefined
  readonly cacheStatus: string | undefined
}

/** What the caching headers depend on. */
export interface ValueAge {
  readonly source: ValueSource
  /** Milliseconds since the value was loaded. */
  readonly ageMs: number
  /** Milliseconds of freshness left; negative when past it. */
  readonly ttlMs: number
}

/** Headers of one value, computed anew only when a second, the source or the policy has changed. */
export class CacheHeadersMemo {
  #policy: RepresentationPolicy | undefined
  #source: ValueSource | undefined
  #ageSeconds = Number.NaN
  #ttlSeconds = Number.NaN
  #headers: CacheHeaders | undefined

  /** The headers for a value of this age under this policy. */
  headersFor(policy: RepresentationPolicy, { source, ageMs, ttlMs }: ValueAge): CacheHeaders {
    const ageSeconds = Math.floor(ageMs / 1000)
    const ttlSeconds = Math.floor(ttlMs / 1000)
    if (
      this.#headers !== undefined &&
      this.#ageSeconds === ageSeconds &&
      this.#ttlSeconds === ttlSeconds &&
      this.#source === source &&
      this.#policy === policy
    ) {
      return this.#headers
    }
    this.#policy = policy
    this.#source = source
    this.#ageSeconds = ageSeconds
    this.#ttlSeconds = ttlSeconds
    this.#headers = {
      cacheControl: policy.cacheControl[source],
      age: source === 'fresh' ? String(Math.max(0, ageSeconds)) : undefined,
      cacheStatus: policy.cacheStatus(source, ttlSeconds),
    }
    return this.#headers
  }
}

/** Greatest number of seconds that HTTP caches must understand (RFC 9111, 1.2.2). */
const maxDeltaSeconds = 2 ** 31 - 1

function seconds(option: string, ms: number): number {
  if (!Number.isInteger(ms) || ms < 0 || ms % 1000 !== 0 || ms / 1000 > maxDeltaSeconds) {
    throw new StaleCachePolicyError(option, String(ms), 'milliseconds that make whole seconds, 0 or more')
  }
  return ms / 1000
}

/** An sf-token where the name allows it, else an sf-string (RFC 8941, 3.3). */
function structuredName(name: string | false): string | undefined {
  if (name === false) return undefined
  if (typeof name !== 'string' || !/^[ -~]{1,64}$/.test(name)) {
    throw new StaleCachePolicyError(
      'cacheName',
      JSON.stringify(name),
      '1 to 64 characters of printable ASCII, or false',
    )
  }
  return /^[A-Za-z*][\w:/!#$%&'*+.^`|~-]*$/.test(name) ? name : `"${name.replace(/["\\]/g, '\\$&')}"`
}

function sourceHeaderName(name: string | false): string | undefined {
  if (name === false) return undefined
  if (typeof name !== 'string' || !/^[\w!#$%&'*+.^`|~-]{1,64}$/.test(name)) {
    throw new StaleCachePolicyError(
      'sourceHeader',
      JSON.stringify(name),
      'a header name such as "x-cache", or false',
    )
  }
  return name.toLowerCase()
}
