/*
 * The guards of all routes of an application, and what they share. Knows no server: a plugin tells it about routes, and
 * calls the guards.
 */
import { clientNetwork, ignoreRejection, RefusalPages } from '@holdfast/footing'
import { UnknownPolicyError } from './errors.ts'
import { reportUpdated } from './events.ts'
import { ceilingOf, groupOf } from './group-name.ts'
import type { RateLimiter, RateLimiterSnapshot } from './limiter.ts'
import { checkUpdate, type resolveOptions } from './options.ts'
import type { KnownPolicies, Policies, PolicySet } from './policies.ts'
import { RateLimitHeaders } from './rate-limit-headers.ts'
import { Refusals } from './refusal.ts'
import { type Identities, RequestClaims } from './request-claims.ts'
import {
  type GuardCounts,
  type GuardParts,
  type ReplyLike,
  type RequestLike,
  RouteGuard,
} from './route-guard.ts'
import { checkFits, type ResolvedRoute, type RouteSetting, resolveRoute } from './route-options.ts'
import { StaleLimit } from './stale-answers.ts'

/** What is known of a route. */
export interface RouteLike<Request, Reply> {
  /** For events: `GET /theme`. */
  readonly name: string
  /** For messages, when it is no route. Default: the setting in the `config` of the route. */
  readonly where?: string
  readonly methods: readonly string[]
  readonly setting: Exclude<RouteSetting<Request, Reply>, false>
}

/** What `app.tenantRateLimit.snapshot()` shows, as plain data. */
export interface TenantRateLimitSnapshot {
  readonly policies: ReturnType<Policies['snapshot']>
  readonly limiter: RateLimiterSnapshot
  /** Requests by how they ended, other than by a decision of the limiter. */
  readonly requests: Readonly<GuardCounts>
}

type Settings<Request, Reply> = ReturnType<typeof resolveOptions<Request, Reply>>

/** Where a policy is named, and the cost that is known of it; 0 for a function. */
interface Use {
  readonly where: string
  readonly cost: number
}

/** An address that cannot be read, as over a Unix socket. All of them are one client. */
const UNKNOWN_ADDRESS = 'unknown'

export class RouteGuards<Request extends RequestLike & { readonly ip: string }, Reply extends ReplyLike> {
  readonly #settings: Settings<Request, Reply>
  readonly #limiter: RateLimiter
  readonly #identities: Identities<Request>
  readonly #parts: GuardParts<Request>
  /** What routes keep to, so that none of it can be taken away. */
  readonly #uses = new Map<string, Use>()
  readonly #counts: GuardCounts = {
    exempt: 0,
    refused: 0,
    servedStale: 0,
    staleLimited: 0,
    staleMissed: 0,
    handled: 0,
    refunded: 0,
  }

  constructor(settings: Settings<Request, Reply>, limiter: RateLimiter) {
    const { tenant, user, exempt, exemptAddresses, ipv6PrefixBits, headers, staleLimit, page, clock } =
      settings
    this.#settings = settings
    this.#limiter = limiter
    this.#identities = {
      tenant: tenant ?? nobody,
      user: user ?? nobody,
      address: ({ ip }) => clientNetwork(ip, ipv6PrefixBits) ?? UNKNOWN_ADDRESS,
    }
    const listed = exemptAddresses.entries.length > 0
    this.#parts = {
      limiter,
      headers: new RateLimitHeaders(headers),
      refusals: new Refusals(),
      pages: new RefusalPages(page, clock),
      staleLimit: new StaleLimit(staleLimit, clock),
      counts: this.#counts,
      isExempt: (request) =>
        (listed && exemptAddresses.has(request.ip)) || (exempt !== undefined && exempts(exempt(request))),
    }
  }

  /** Raises what `resolveRoute` raises. */
  create(route: RouteLike<Request, Reply>): {
    readonly guard: RouteGuard<Request, Reply>
    readonly phase: ResolvedRoute<Request, Reply>['phase']
  } {
    const { policies, onLimit, user } = this.#settings
    const { where = `config.tenantRateLimit of ${route.name}` } = route
    const resolved = resolveRoute(where, route.setting, {
      methods: route.methods,
      policies,
      onLimit,
      knowsUsers: user !== undefined,
    })
    const cost = typeof resolved.cost === 'number' ? resolved.cost : 0
    for (const { policy } of resolved.rules) this.#use(policy, { where, cost })
    if (resolved.group !== undefined) this.#use(ceilingOf(resolved.group), { where, cost })
    const claims = new RequestClaims(resolved, policies, this.#identities)
    return { guard: new RouteGuard(route.name, resolved, claims, this.#parts), phase: resolved.phase }
  }

  /** Replaces the policies. A set with a mistake, or without room for what routes need, changes nothing. */
  update(set: PolicySet): void {
    this.#settings.policies.update(checkUpdate(set), (next) => this.#checkUses(next))
    reportUpdated(this.#settings.policies.version)
  }

  /** Raises what `update()` would. */
  check(set: PolicySet): void {
    this.#settings.policies.check(checkUpdate(set), (next) => this.#checkUses(next))
  }

  #checkUses(next: KnownPolicies): void {
    for (const [name, { where, cost }] of this.#uses) {
      const group = groupOf(name)
      const policy = group === undefined ? next.get(name) : next.group(group)
      if (policy === undefined) throw new UnknownPolicyError(where, name)
      checkFits(where, cost, policy, next)
    }
  }

  /** Of those that name a policy, the one with the highest cost is remembered. */
  #use(name: string, use: Use): void {
    if (use.cost >= (this.#uses.get(name)?.cost ?? 0)) this.#uses.set(name, use)
  }

  snapshot(): TenantRateLimitSnapshot {
    return {
      policies: this.#settings.policies.snapshot(),
      limiter: this.#limiter.snapshot(),
      requests: { ...this.#counts },
    }
  }
}

function nobody(): undefined {}

/** A promise is no yes; that it may fail as well must not end the process. */
function exempts(answer: unknown): boolean {
  if (typeof answer === 'object') ignoreRejection(answer)
  return answer === true
}
