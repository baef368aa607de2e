/*
 * A store for @fastify/rate-limit: its users keep their configuration, and `max` requests per `timeWindow` become a
 * token bucket of this package, behind its deny cache and its fallback.
 *
 * Guarantees: in any time t a key is let pass at most `max + max * t / timeWindow` times; `Retry-After` is the time
 * after which a request is let pass; what is told by `ban`, `continueExceeding` and `exponentialBackoff` is also done;
 * routes with one `groupId` share their buckets, other routes never do, and HEAD counts as GET; no other key, however
 * many there are, gives a limited one more; a lost Redis makes nobody wait and answers no request with an error.
 *
 * Does not guarantee that a client which was refused gets its whole quota at the end of a window: one request comes
 * back every `timeWindow / max`.
 */
import { claim, MAX_PART_LENGTH, shortHash } from './claim.ts'
import type { RateLimiter } from './limiter.ts'
import { checks } from './options.ts'
import { compilePolicy, type OnStoreLoss, type Policy } from './policy.ts'
import type { Decision } from './store.ts'
import { MAX_UNITS } from './token-bucket.ts'

/** What `fastifyRateLimitStore` takes. */
export interface FastifyRateLimitStoreOptions {
  /** Who decides: `app.tenantRateLimit.limiter`. */
  readonly limiter: Pick<RateLimiter, 'decide'>
  /** The name of the policy. Registrations that share it share their buckets. Default `'fastify-rate-limit'`. */
  readonly name?: string
  /** No window ever sees more than `max`; for that only half of it can be taken at once. Default false. */
  readonly strict?: boolean
  /** What becomes of requests while Redis is lost: `'local'`, `'open'` or `'closed'`. Default `'local'`. */
  readonly onStoreLoss?: OnStoreLoss
}

/** What @fastify/rate-limit is told of a key: above `max` it refuses. `ttl` is in milliseconds. */
export interface FastifyRateLimitCount {
  readonly current: number
  readonly ttl: number
}

type Callback = (error: Error | null, result?: FastifyRateLimitCount) => void

/** The interface that @fastify/rate-limit asks of a store. */
export interface FastifyRateLimitStore {
  incr(key: string, callback: Callback, timeWindow: number, max: number): void
  /** Takes nothing; `current` is above `max` when nothing is left. */
  read(key: string, callback: Callback, timeWindow: number, max: number): void
  child(settings: object): FastifyRateLimitStore
}

/** What a route is limited by, of all that @fastify/rate-limit hands over. */
interface Settings {
  readonly max?: unknown
  readonly timeWindow?: unknown
  readonly ban?: number
  readonly continueExceeding?: boolean
  readonly exponentialBackoff?: boolean
  readonly groupId?: string
  readonly routeInfo?: { readonly method?: string | readonly string[]; readonly url?: string }
}

/** Different limits that are kept compiled; `max` and `timeWindow` can be functions of the request. */
const MAX_COMPILED = 1000
/** A repeated offence makes nobody wait longer than this, unless the window itself is longer. */
const MAX_BACKOFF_MS = 86_400_000
/** The longest window that can be written in milliseconds. */
const MAX_TEXT_MS = 9_999_999_999

/**
 * The class for the option `store` of @fastify/rate-limit. Raises `HOLDFAST_ERR_TENANT_RATE_LIMIT_OPTION`; a `max` and
 * `timeWindow` that make no bucket raise `HOLDFAST_ERR_TENANT_RATE_LIMIT_POLICY` where they are registered.
 */
export function fastifyRateLimitStore(
  options: FastifyRateLimitStoreOptions,
): new (
  settings: object,
) => FastifyRateLimitStore {
  const limits = new Limits(options)
  return class extends RouteStore {
    constructor(settings: object) {
      super(limits, settings, 'all')
    }
  }
}

/** What the stores of all routes share. */
class Limits {
  readonly limiter: Pick<RateLimiter, 'decide'>
  /** Buckets that count milliseconds: what is used of one is how long somebody has to stay away. */
  readonly ban: Policy
  readonly backoff: Policy
  readonly #name: string
  readonly #strict: boolean
  readonly #onStoreLoss: OnStoreLoss
  readonly #compiled = new Map<string, Policy>()
  #children = 0

  constructor(options: FastifyRateLimitStoreOptions) {
    checks.object('options', options)
    checks.onlyKnown('', options, ['limiter', 'name', 'strict', 'onStoreLoss'])
    const { limiter, name = 'fastify-rate-limit', strict = false, onStoreLoss = 'local' } = options
    this.limiter = checks.having('limiter', checks.object('limiter', limiter), ['decide'])
    this.#name = checks.text('name', name, 48)
    if (!/^[A-Za-z0-9_-]+$/.test(name)) checks.refuse('name', 'letters, digits, _ and -', name)
    this.#strict = checks.flag('strict', strict)
    this.#onStoreLoss = checks.oneOf('onStoreLoss', onStoreLoss, ['local', 'open', 'closed'])
    const timer = `1000 per second burst ${MAX_UNITS}`
    this.ban = this.#compile(`${name}-ban`, timer)
    this.backoff = this.#compile(`${name}-backoff`, timer)
  }

  /** `max` requests in `windowMs`, whole numbers of at least 1. */
  limit(max: number, windowMs: number): Policy {
    return this.#policy(this.#name, max, windowMs, this.#strict ? ' strict' : '')
  }

  /** What counts the refusals that are followed by a ban. */
  refusals(count: number, windowMs: number): Policy {
    return this.#policy(`${this.#name}-refusals`, count, windowMs, '')
  }

  /** A scope for a store that belongs to no route; the same in every process, because all register alike. */
  nextScope(): string {
    this.#children += 1
    return `limiter ${this.#children}`
  }

  #policy(name: string, units: number, windowMs: number, suffix: string): Policy {
    const window = windowMs > MAX_TEXT_MS ? `${Math.ceil(windowMs / 1000)}s` : `${windowMs}ms`
    const text = `${Math.min(units, MAX_UNITS)} per ${window}${suffix}`
    const id = `${name} ${text}`
    let policy = this.#compiled.get(id)
    if (policy === undefined) {
      policy = this.#compile(name, text)
      if (this.#compiled.size >= MAX_COMPILED) this.#compiled.clear()
      this.#compiled.set(id, policy)
    }
    return policy
  }

  #compile(name: string, text: string): Policy {
    if (name === this.#name) return compilePolicy(name, text, { version: 1, onStoreLoss: this.#onStoreLoss })
    // What counts against a client: looked at also while Redis is lost, and never lent, for that would be counted.
    return { ...compilePolicy(name, text, { version: 1 }), strict: true }
  }
}

/** The store of one route, of one group, or of all routes without limits of their own. */
class RouteStore implements FastifyRateLimitStore {
  readonly #limits: Limits
  readonly #scope: string
  /** Refusals before a ban; -1 for none. */
  readonly #ban: number
  readonly #again: 'counts' | 'starts over' | 'doubles'
  #max = Number.NaN
  #windowMs = Number.NaN
  #policy: Policy | undefined

  constructor(limits: Limits, settings: object, scope: string) {
    const { max, timeWindow, ban = -1, continueExceeding, exponentialBackoff } = settings as Settings
    this.#limits = limits
    this.#scope = scope
    this.#ban = ban
    this.#again =
      continueExceeding === true ? 'starts over' : exponentialBackoff === true ? 'doubles' : 'counts'
    // A limit that cannot be compiled fails here, at register(), and not with the first request.
    if (typeof max !== 'number' || typeof timeWindow !== 'number') return
    if (max >= 1 && timeWindow > 0) this.#policyOf(max, timeWindow)
  }

  child(settings: object): FastifyRateLimitStore {
    return new RouteStore(this.#limits, settings, scopeOf(settings as Settings) ?? this.#limits.nextScope())
  }

  incr(key: string, callback: Callback, timeWindow: number, max: number): void {
    answer(callback, () => this.#count(String(key), timeWindow, max, false))
  }

  read(key: string, callback: Callback, timeWindow: number, max: number): void {
    answer(callback, () => this.#count(String(key), timeWindow, max, true))
  }

  #count(
    key: string,
    windowMs: number,
    max: number,
    peek: boolean,
  ): FastifyRateLimitCount | Promise<FastifyRateLimitCount> {
    if (max < 1) return { current: max + 1, ttl: windowMs }
    if (windowMs <= 0) return { current: peek ? 0 : 1, ttl: 0 }
    const policy = this.#policyOf(max, windowMs)
    if (this.#ban >= 0 || this.#again !== 'counts') return this.#punish(key, policy, windowMs, max, peek)
    const decided = this.#limits.limiter.decide([claim(policy, key, this.#scope)], peek ? peeking : taking)
    return decided instanceof Promise
      ? decided.then((decision) => countOf(decision, max, windowMs))
      : countOf(decided, max, windowMs)
  }

  #policyOf(max: number, windowMs: number): Policy {
    if (this.#policy === undefined || max !== this.#max || windowMs !== this.#windowMs) {
      this.#policy = this.#limits.limit(Math.floor(max), Math.ceil(windowMs))
      this.#max = max
      this.#windowMs = windowMs
    }
    return this.#policy
  }

  /** As `#count`, for routes on which a refusal has consequences. */
  async #punish(
    key: string,
    policy: Policy,
    windowMs: number,
    max: number,
    peek: boolean,
  ): Promise<FastifyRateLimitCount> {
    const { limiter, ban, backoff } = this.#limits
    // Whoever has to stay away is refused without a look at his bucket. What fits into a full timer only fits when
    // it does not run.
    const timers = [ban, backoff].map((timer) => claim(timer, key, this.#scope, timer.capacity))
    const standing = await limiter.decide(timers, peeking)
    const [bannedMs, backoffMs] = [leftMs(standing, ban), leftMs(standing, backoff)]
    let waitMs = Math.max(bannedMs, backoffMs)
    if (standing.allowed) {
      const decision = await limiter.decide([claim(policy, key, this.#scope)], peek ? peeking : taking)
      if (decision.allowed) return countOf(decision, max, windowMs)
      waitMs = decision.retryAfterMs
    }
    if (!peek && this.#again !== 'counts') {
      const wanted = this.#again === 'doubles' ? Math.min(2 * backoffMs, MAX_BACKOFF_MS) : windowMs
      waitMs = Math.max(waitMs, await this.#extend(backoff, key, backoffMs, Math.max(wanted, windowMs)))
    }
    let banned = bannedMs > 0
    if (!peek && !banned && (await this.#reachesBan(key, windowMs))) {
      banned = true
      waitMs = Math.max(waitMs, await this.#extend(ban, key, 0, windowMs))
    }
    return { current: max + 1 + (banned ? this.#ban : 0), ttl: waitMs }
  }

  async #reachesBan(key: string, windowMs: number): Promise<boolean> {
    if (this.#ban <= 0) return this.#ban === 0
    const refusals = this.#limits.refusals(this.#ban, Math.ceil(windowMs))
    return !(await this.#limits.limiter.decide([claim(refusals, key, this.#scope)])).allowed
  }

  /** Lets a timer run for so long that ends after `leftMs`; answers how long it runs. */
  async #extend(timer: Policy, key: string, leftMs: number, wantedMs: number): Promise<number> {
    const untilMs = Math.min(Math.ceil(wantedMs), timer.capacity)
    if (untilMs <= leftMs) return leftMs
    const { allowed } = await this.#limits.limiter.decide([claim(timer, key, this.#scope, untilMs - leftMs)])
    return allowed ? untilMs : leftMs
  }
}

const taking = {} as const
const peeking = { peek: true } as const

/** How @fastify/rate-limit has to be told what was decided. */
function countOf(decision: Decision, max: number, windowMs: number): FastifyRateLimitCount {
  if (!decision.allowed) return { current: max + 1, ttl: decision.retryAfterMs }
  const [verdict] = decision.verdicts
  // Let pass without a bucket (`onStoreLoss: 'open'`): nothing can be said of what is left.
  if (verdict === undefined) return { current: max, ttl: windowMs }
  return { current: max - verdict.remaining, ttl: verdict.resetMs }
}

/** How long a timer still runs. */
function leftMs(decision: Decision, timer: Policy): number {
  return decision.verdicts.find(({ policy }) => policy === timer)?.retryAfterMs ?? 0
}

/** By what the buckets of a route are told apart from those of others; undefined for what has no route. */
function scopeOf({ groupId, routeInfo }: Settings): string | undefined {
  if (groupId !== undefined) return short(`group ${groupId}`)
  if (routeInfo?.url === undefined) return undefined
  const methods = [routeInfo.method ?? []].flat().map((method) => (method === 'HEAD' ? 'GET' : method))
  return short(`${[...new Set(methods)].sort().join()} ${routeInfo.url}`)
}

/** Hashed here, once, because it would be hashed for every request otherwise. */
function short(scope: string): string {
  return scope.length <= MAX_PART_LENGTH ? scope : shortHash(scope)
}

function answer(
  callback: Callback,
  count: () => FastifyRateLimitCount | Promise<FastifyRateLimitCount>,
): void {
  let counted: FastifyRateLimitCount | Promise<FastifyRateLimitCount>
  try {
    counted = count()
  } catch (error) {
    callback(error as Error)
    return
  }
  if (counted instanceof Promise) counted.then((result) => callback(null, result), callback)
  else callback(null, counted)
}
