import { MAX_CLAIMS } from './claim.ts'
import { RuleError, UnknownPolicyError } from './errors.ts'
import { ceilingOf } from './group-name.ts'
import { checks } from './options.ts'
import type { KnownPolicies } from './policies.ts'
import type { Policy } from './policy.ts'
import type { Refusal } from './refusal.ts'
import type { PeekedLike } from './stale-answers.ts'

/** Whose bucket a request draws on. */
export type CountBy<Request> =
  | 'tenant'
  | 'user'
  | 'address'
  | ((request: Request) => string | null | undefined)

/** One policy that a route keeps to. */
export interface RateLimitRule<Request = unknown> {
  /** The name of the policy. */
  readonly policy: string
  /** Whose bucket it is. Default: what the route says. */
  readonly by?: CountBy<Request>
}

/** Which answers are counted: all, or only those below 400 (`successes`), or only the others (`failures`). */
export type Counted = 'all' | 'successes' | 'failures'

/** What happens to a request that is over its limit. */
export type OnLimit<Request, Reply> =
  | 'reject'
  | 'stale'
  | ((request: Request, reply: Reply, refusal: Refusal) => unknown)

/** Per-route setting `config.tenantRateLimit`; a name is short for `{ policy: name }`, and `false` means no limit. */
export interface RouteLimitOptions<Request = unknown, Reply = unknown> {
  /** The policies it keeps to, all or nothing: a name, a rule, or a list of them. Default: none but `group`. */
  readonly policy?: string | RateLimitRule<Request> | readonly (string | RateLimitRule<Request>)[]
  /**
   * Whose bucket it is, within the tenant: one for the whole tenant, one for each user, one for each address, or one for
   * each text that a function answers. Who has no name (nobody signed in, the function answers nothing) is counted by
   * address. Default `'tenant'`.
   */
  readonly by?: CountBy<Request>
  /** The group whose ceiling it shares with all other routes that name it. Default: none. */
  readonly group?: string
  /** What a request takes, in whole units: a number, or a function of the request; 0 looks only. Default 1. */
  readonly cost?: number | ((request: Request) => number)
  /** Which answers count. Who leaves before the answer is counted. Default `'all'`. */
  readonly count?: Counted
  /**
   * What a request over the limit gets: a refusal, what `stale` has, or what a function answers in the way of a handler
   * (status and headers of the refusal are set already). Default: that of the plugin, else `'reject'`.
   */
  readonly onLimit?: OnLimit<Request, Reply>
  /**
   * For `onLimit: 'stale'`: what `peek` of `@holdfast/stale-cache` answers, or `reply` when it has sent something
   * itself; anything else means that there is nothing, and the request is refused. Synchronous. Default: none.
   */
  readonly stale?: (request: Request, reply: Reply) => PeekedLike | Reply | false | null | undefined
  /** When it is decided. `preHandler` is for what is known only after authentication. Default `'onRequest'`. */
  readonly phase?: 'onRequest' | 'preHandler'
}

/** What a route may be given. */
export type RouteSetting<Request = unknown, Reply = unknown> =
  | string
  | RouteLimitOptions<Request, Reply>
  | false

/** A route's setting with every default filled in. */
export interface ResolvedRoute<Request, Reply> {
  readonly rules: readonly Required<RateLimitRule<Request>>[]
  readonly group: string | undefined
  readonly cost: number | ((request: Request) => number)
  readonly count: Counted
  readonly onLimit: OnLimit<Request, Reply>
  readonly stale: RouteLimitOptions<Request, Reply>['stale']
  readonly phase: 'onRequest' | 'preHandler'
}

/** What the settings of routes are checked against. */
export interface RouteContext {
  /** The methods of the route. */
  readonly methods: readonly string[]
  readonly policies: KnownPolicies
  readonly onLimit: OnLimit<never, never>
  /** Whether there is a function that names users. */
  readonly knowsUsers: boolean
}

const optionNames: readonly (keyof RouteLimitOptions)[] = [
  'policy',
  'by',
  'group',
  'cost',
  'count',
  'onLimit',
  'stale',
  'phase',
]

/**
 * Checks the setting of a route. Raises `HOLDFAST_ERR_TENANT_RATE_LIMIT_` + `OPTION`, `UNKNOWN_POLICY` and `RULE`.
 * `name` is what messages call it: `config.tenantRateLimit of GET /theme`.
 */
export function resolveRoute<Request, Reply>(
  name: string,
  setting: Exclude<RouteSetting<Request, Reply>, false>,
  context: RouteContext,
): ResolvedRoute<Request, Reply> {
  const given = typeof setting === 'string' ? { policy: setting } : setting
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    checks.refuse(name, 'the name of a policy, an object, or false', given)
  }
  checks.onlyKnown(`${name}: `, given, optionNames)
  const { group, cost = 1, stale } = given
  const rules = rulesOf(name, given, context)
  if (group !== undefined && context.policies.group(group) === undefined) {
    throw new UnknownPolicyError(name, ceilingOf(String(group)))
  }
  if (rules.length === 0 && group === undefined) {
    checks.refuse(`${name}: policy`, 'given where there is no group', given.policy)
  }
  if (rules.length + (group === undefined ? 0 : 1) > MAX_CLAIMS) {
    throw new RuleError(name, `it keeps to more than ${MAX_CLAIMS} policies`)
  }
  if (typeof cost === 'function') checks.synchronous(`${name}: cost`, cost)
  else checkCost(name, cost, rules, group, context)
  const onLimit = given.onLimit ?? (context.onLimit as OnLimit<Request, Reply>)
  if (typeof onLimit !== 'function') checks.oneOf(`${name}: onLimit`, onLimit, ['reject', 'stale'])
  checks.synchronous(`${name}: stale`, stale)
  // A plugin-wide 'stale' refuses where a route has nothing; said for the route itself, it is a mistake.
  if (given.onLimit === 'stale') {
    if (stale === undefined) checks.refuse(`${name}: stale`, "a function with onLimit: 'stale'", stale)
    if (!reads(context.methods)) throw new RuleError(name, 'a write is never answered from a cache (onLimit)')
  }
  return {
    rules,
    group,
    cost,
    // What was cached says nothing about a write.
    stale: reads(context.methods) ? stale : undefined,
    count: checks.oneOf(`${name}: count`, given.count ?? 'all', ['all', 'successes', 'failures']),
    onLimit,
    phase: checks.oneOf(`${name}: phase`, given.phase ?? 'onRequest', ['onRequest', 'preHandler']),
  }
}

/** Refuses what says something about answers: nobody would do it. */
export function byHand<Setting>(setting: Setting): Setting {
  if (typeof setting === 'object' && setting !== null) {
    checks.onlyKnown('limit(): ', setting, ['policy', 'by', 'group', 'cost'])
  }
  return setting
}

function rulesOf<Request>(
  name: string,
  { policy, by: commonly = 'tenant' }: Pick<RouteLimitOptions<Request>, 'policy' | 'by'>,
  context: RouteContext,
): Required<RateLimitRule<Request>>[] {
  const listed = policy === undefined ? [] : Array.isArray(policy) ? policy : [policy]
  const rules = listed.map((given: string | RateLimitRule<Request>) => {
    const rule = typeof given === 'string' ? { policy: given } : checks.object(`${name}: policy`, given)
    checks.onlyKnown(`${name}: policy.`, rule, ['policy', 'by'])
    checks.text(`${name}: policy`, rule.policy, 64)
    const by = rule.by ?? commonly
    if (typeof by === 'function') checks.synchronous(`${name}: by`, by)
    else checks.oneOf(`${name}: by`, by, ['tenant', 'user', 'address'])
    if (by === 'user' && !context.knowsUsers) {
      throw new RuleError(name, 'it counts by user, and the plugin has no option "user"')
    }
    if (context.policies.get(rule.policy) === undefined) throw new UnknownPolicyError(name, rule.policy)
    return { policy: rule.policy, by }
  })
  for (const [at, { policy, by }] of rules.entries()) {
    if (rules.findIndex((other) => other.policy === policy && other.by === by) === at) continue
    throw new RuleError(name, `it names "${policy}" twice for the same bucket; "cost" takes more than one`)
  }
  return rules
}

function checkCost(
  name: string,
  cost: unknown,
  rules: readonly { readonly policy: string }[],
  group: string | undefined,
  { policies }: RouteContext,
): void {
  const units = checks.count(`${name}: cost`, cost, 0)
  const known = [...rules.map(({ policy }) => policies.get(policy)), policies.group(group ?? '')]
  for (const policy of known) if (policy !== undefined) checkFits(name, units, policy, policies)
}

/**
 * Raises `HOLDFAST_ERR_TENANT_RATE_LIMIT_RULE` for a cost that can never be taken, of the policy or of what a tenant has
 * instead: nobody, or nobody of that tenant, would ever pass.
 */
export function checkFits(
  name: string,
  units: number,
  policy: Policy,
  policies: Pick<KnownPolicies, 'leastOverride'>,
): void {
  const refuse = (whose: string, { capacity }: Policy): void => {
    if (units <= capacity) return
    throw new RuleError(name, `it costs ${units}, and ${whose} never holds more than ${capacity}`)
  }
  refuse(`"${policy.name}"`, policy)
  const least = policies.leastOverride(policy.name)
  if (least !== undefined) refuse(`"${policy.name}" of tenant "${least.tenant}"`, least.policy)
}

function reads(methods: readonly string[]): boolean {
  return methods.every((method) => method === 'GET' || method === 'HEAD')
}
