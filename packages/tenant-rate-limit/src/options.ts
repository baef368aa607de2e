import {
  AddressList,
  type Clock,
  type MetricsRegistry,
  OptionChecks,
  type PageOfRefusal,
  systemClock,
} from '@holdfast/footing'
import { OptionError } from './errors.ts'
import type { FleetRedis } from './fleet-size.ts'
import { type LeaseOptions, resolveLeases, withReserve } from './lease-terms.ts'
import { Policies, type PolicySet } from './policies.ts'
import { compilePolicy, type Policy } from './policy.ts'
import { HEADER_FAMILIES, type HeaderFamily } from './rate-limit-headers.ts'
import type { OnLimit, RouteSetting } from './route-options.ts'

/** The options of the plugin. `Request` and `Reply` are Fastify's. */
export interface TenantRateLimitOptions<Request = unknown, Reply = unknown> extends PolicySet {
  /** `app.redisGuard`: buckets are shared by all processes. Default: none; each process counts for itself. */
  readonly redis?: FleetRedis | undefined
  /** Buckets that this process keeps one by one: without Redis, and while it is lost. Default 50,000. */
  readonly maxKeys?: number
  /**
   * Milliseconds after a refusal by Redis in which this process does not ask it again for that bucket, longer in a
   * flood (up to 5 s); up to 1000. 0 asks as soon as the request can pass. Default 20.
   */
  readonly denyFloorMs?: number
  /**
   * Units that a process takes in advance of buckets it draws on often, so that most requests ask nobody: `true`, or
   * the terms. Without `redis` there are none. Default `false`: limits hold exactly.
   */
  readonly leases?: boolean | LeaseOptions
  /**
   * How many processes share the buckets at least. More are counted as they come; this is for those that start while
   * Redis is lost. Without `redis` it says nothing: each process has the whole of every limit. Default 1.
   */
  readonly processes?: number
  /** The tenant of a request; nothing where there is none. Synchronous. Default: all requests share one. */
  readonly tenant?: (request: Request) => string | null | undefined
  /** The user of a request, once verified; nothing where nobody is signed in. Synchronous. Default: none. */
  readonly user?: (request: Request) => string | null | undefined
  /** Requests that have no limits, by something that was verified, such as a role. Default: none. */
  readonly exempt?: (request: Request) => boolean
  /** Addresses and networks (CIDR) that have no limits, also `'loopback'` and `'private'`. Default: none. */
  readonly exemptAddresses?: readonly string[]
  /** Leading bits of an IPv6 address that are one client, from 32 to 128. Default 64. */
  readonly ipv6PrefixBits?: number
  /** The setting of routes that say nothing themselves. Default: they have no limit. */
  readonly defaultRoute?: RouteSetting<Request, Reply>
  /** The setting of paths that do not exist; `false` for none. Default: `defaultRoute`. */
  readonly notFound?: RouteSetting<Request, Reply>
  /** What a request over its limit gets where its route does not say it. Default `'reject'`. */
  readonly onLimit?: OnLimit<Request, Reply>
  /** The limit of answers that are served stale, for each tenant in each process. Default `'100/s'`. */
  readonly staleLimit?: string
  /**
   * A page for people in place of the problem document: `app.errorPages.pageFor` of `@holdfast/error-pages`, or a
   * function that answers `{ headers, body }`, or undefined for who wants none. Default: everybody gets the document.
   */
  readonly page?: PageOfRefusal<Request>
  /** Which headers answers carry: `'draft'`, `'x-ratelimit'`, `'x-rate-limit'`. Default: the first two. */
  readonly headers?: readonly HeaderFamily[]
  /** A prom-client `Registry` for the metrics. Default: none; prom-client is not loaded. */
  readonly registry?: MetricsRegistry | undefined
  /**
   * The label `app` of the metrics. Needed when scopes or applications of one process share a registry: all but one
   * of them must have it. Default: no such label.
   */
  readonly appName?: string | undefined
  /** Where time comes from. Default: `systemClock`. */
  readonly clock?: Clock
}

/** Refuses wrong options with `HOLDFAST_ERR_TENANT_RATE_LIMIT_OPTION`. */
export const checks = new OptionChecks((...details) => new OptionError(...details))

/** The limits themselves; they can be replaced while the application runs. */
const setNames = ['policies', 'groups', 'overrides', 'shadow', 'onStoreLoss'] as const

/**
 * Fills in the defaults; raises `HOLDFAST_ERR_TENANT_RATE_LIMIT_OPTION` for a wrong value and for an unknown name, and
 * `HOLDFAST_ERR_TENANT_RATE_LIMIT_POLICY` for a policy that cannot be compiled.
 */
export function resolveOptions<Request, Reply>(options: TenantRateLimitOptions<Request, Reply>) {
  checks.object('options', options)
  const { redis, tenant, user, exempt, exemptAddresses = [], clock, registry, appName } = options
  const { headers = ['draft', 'x-ratelimit'], onLimit = 'reject', defaultRoute = false } = options
  if (!Array.isArray(headers)) checks.refuse('headers', 'a list of families of headers', headers)
  if (!Array.isArray(exemptAddresses)) {
    checks.refuse('exemptAddresses', 'a list of addresses and networks', exemptAddresses)
  }
  if (typeof onLimit !== 'function') checks.oneOf('onLimit', onLimit, ['reject', 'stale'])
  if (appName !== undefined) checks.text('appName', appName, 63)
  const leases = resolveLeases(options.leases ?? false, checks)
  const resolved = {
    redis: checks.having('redis', redis, ['run', 'key', 'onStateChange']),
    // Without Redis there is nobody to borrow from, and no burst has to be smaller for it.
    leases: redis && leases,
    processes: checks.count('processes', options.processes ?? 1, 1, 100_000),
    maxKeys: checks.count('maxKeys', options.maxKeys ?? 50_000),
    denyFloorMs: checks.duration('denyFloorMs', options.denyFloorMs ?? 20, 0, 1000),
    tenant: checks.synchronous('tenant', tenant),
    user: checks.synchronous('user', user),
    exempt: checks.synchronous('exempt', exempt),
    exemptAddresses: new AddressList(exemptAddresses, (entry) =>
      checks.refuse(
        'exemptAddresses',
        'a list of addresses, networks (CIDR), "loopback" and "private"',
        entry,
      ),
    ),
    ipv6PrefixBits: checks.count('ipv6PrefixBits', options.ipv6PrefixBits ?? 64, 32, 128),
    defaultRoute,
    notFound: options.notFound ?? defaultRoute,
    onLimit,
    staleLimit: compilePolicy('stale', checks.text('staleLimit', options.staleLimit ?? '100/s'), {
      version: 1,
    }),
    page: checks.synchronous('page', options.page),
    headers: headers.map((family) => checks.oneOf('headers', family, HEADER_FAMILIES)),
    registry: checks.having('registry', registry, ['registerMetric', 'getSingleMetric']),
    appName,
    clock: checks.having('clock', clock ?? systemClock, ['nowMs', 'wallMs', 'schedule']),
  }
  checks.onlyKnown('', options, [...setNames, ...Object.keys(resolved)])
  const { leases: lent } = resolved
  const adapt = lent === undefined ? undefined : (policy: Policy) => withReserve(policy, lent)
  return { ...resolved, policies: new Policies(checkedSet(options), adapt) }
}

/** The limits among the options. */
export function checkedSet(options: PolicySet): PolicySet {
  checks.object('policies', options.policies)
  for (const name of ['groups', 'overrides'] as const) {
    if (options[name] !== undefined) checks.object(name, options[name])
  }
  for (const [tenant, own] of Object.entries(options.overrides ?? {}))
    checks.object(`overrides.${tenant}`, own)
  if (options.shadow !== undefined) checks.flag('shadow', options.shadow)
  return Object.fromEntries(
    setNames.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])),
  ) as unknown as PolicySet
}

/** Raises `HOLDFAST_ERR_TENANT_RATE_LIMIT_OPTION` for a name that is no limit. */
export function checkUpdate(set: PolicySet): PolicySet {
  checks.object('update', set)
  checks.onlyKnown('', set, setNames)
  return checkedSet(set)
}
