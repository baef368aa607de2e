/* From a request to the buckets that it draws on. */
import { ignoreRejection } from '@holdfast/footing'
import { type Claim, claim } from './claim.ts'
import { KeyError } from './errors.ts'
import type { Policies } from './policies.ts'
import type { Policy } from './policy.ts'
import type { CountBy, RateLimitRule, ResolvedRoute } from './route-options.ts'

/** What the plugin knows about the clients of an application. */
export interface Identities<Request> {
  tenant(request: Request): string | null | undefined
  user(request: Request): string | null | undefined
  /** The address in its one spelling. */
  address(request: Request): string
}

/** The tag of requests that belong to no tenant. No tenant has it: an empty name is kept as a hash. */
const NO_TENANT = ''
/** The tag of the ceilings of groups. */
const FLEET = 'fleet'

export class RequestClaims<Request> {
  readonly #policies: Pick<Policies, 'get' | 'group'>
  readonly #identities: Identities<Request>
  readonly #rules: readonly Rule<Request>[]
  readonly #group: string | undefined
  readonly #cost: number | ((request: Request) => number)
  /** The policies as they were when the route was made, for one that is gone: a limit is never lifted by mistake. */
  readonly #known: readonly (Policy | undefined)[]
  readonly #ceiling: Policy | undefined
  /** The last one of each rule, and of the group: requests of one client often follow each other. */
  readonly #last: (Remembered | undefined)[]

  constructor(
    { rules, group, cost }: Pick<ResolvedRoute<Request, never>, 'rules' | 'group' | 'cost'>,
    policies: Pick<Policies, 'get' | 'group'>,
    identities: Identities<Request>,
  ) {
    this.#policies = policies
    this.#identities = identities
    this.#rules = rules
    this.#group = group
    this.#cost = cost
    this.#known = rules.map(({ policy }) => policies.get(policy))
    this.#ceiling = group === undefined ? undefined : policies.group(group)
    this.#last = Array.from({ length: rules.length + 1 }, () => undefined)
  }

  /** Raises what the functions of the application raise, and `HOLDFAST_ERR_TENANT_RATE_LIMIT_` + `KEY` and `COST`. */
  of(request: Request): readonly Claim[] {
    const cost = typeof this.#cost === 'number' ? this.#cost : this.#cost(request)
    // What is no number is refused below; that it may fail as well must not end the process.
    if (typeof cost !== 'number') ignoreRejection(cost)
    const tenant = this.tenantOf(request)
    const claims: Claim[] = []
    const rules = this.#rules
    for (let at = 0; at < rules.length; at += 1) {
      const { policy: name, by } = rules[at] as Rule<Request>
      const policy = this.#policies.get(name, tenant) ?? this.#known[at]
      if (policy !== undefined) claims.push(this.#claim(at, policy, tenant, this.#scopeOf(by, request), cost))
    }
    if (this.#group !== undefined) {
      const ceiling = this.#policies.group(this.#group) ?? this.#ceiling
      if (ceiling !== undefined) claims.push(this.#claim(rules.length, ceiling, FLEET, 'all', cost))
    }
    return claims
  }

  /** The tenant; an empty text where there is none. */
  tenantOf(request: Request): string {
    return textOf('tenant', this.#identities.tenant(request)) ?? NO_TENANT
  }

  /** Kinds are told apart, so that nobody can name a user who is an address. */
  #scopeOf(by: CountBy<Request>, request: Request): string {
    if (by === 'tenant') return 'all'
    if (by === 'user') {
      const user = textOf('user', this.#identities.user(request))
      if (user !== undefined) return `u:${user}`
    } else if (by !== 'address') {
      const key = textOf('by', by(request))
      if (key !== undefined) return `k:${key}`
    }
    return `a:${this.#identities.address(request)}`
  }

  #claim(at: number, policy: Policy, slotTag: string, scope: string, cost: number): Claim {
    const last = this.#last[at]
    if (last !== undefined && last.slotTag === slotTag && last.scope === scope) {
      if (last.claim.policy === policy && last.claim.cost === cost) return last.claim
    }
    const fresh = claim(policy, slotTag, scope, cost)
    this.#last[at] = { slotTag, scope, claim: fresh }
    return fresh
  }
}

type Rule<Request> = Required<RateLimitRule<Request>>

/** A claim by the texts it was made of, which it may hold as hashes only. */
interface Remembered {
  readonly slotTag: string
  readonly scope: string
  readonly claim: Claim
}

function textOf(option: string, value: string | null | undefined): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  // Whatever else it is, two of them might be told apart badly, or not at all.
  if (typeof value === 'string') return value
  ignoreRejection(value)
  throw new KeyError(option, described(value))
}

function described(value: unknown): string {
  if (value instanceof Promise) return 'a promise, and nothing waits for it'
  return typeof value === 'object' ? 'an object' : `the ${typeof value} ${String(value)}`
}
