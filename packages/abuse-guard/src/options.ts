import { randomInt } from 'node:crypto'
import {
  AddressList,
  type Clock,
  LONGEST_TIMER_MS,
  type MetricsRegistry,
  OptionChecks,
  type PageOfRefusal,
  systemClock,
} from '@holdfast/footing'
import { InputError, OptionError } from './errors.ts'
import type { EscalationPolicy } from './escalation.ts'
import type { BlockRedis } from './redis-store.ts'
import type { UserSpikeSettings } from './user-spikes.ts'

/** How much more a network of IPv6 addresses may send than one /64, as a multiple of `maxPerMinute`. */
export interface Ipv6Options {
  /** A /56, as a home has it; `Infinity` does not count them. Default 8. */
  readonly per56?: number
  /** A /48, as a site has it; many phones of one carrier may share one. `Infinity` does not count them. Default 64. */
  readonly per48?: number
}

/** The events of users. */
export interface UserOptions {
  /** So many events within `windowMs` flag a user. Default 50. */
  readonly maxEvents?: number
  /** The window, in ms. Default 300,000. */
  readonly windowMs?: number
  /** Users counted at one time, about 360 bytes each; who did least makes room. Default 10,000. */
  readonly maxUsers?: number
  /** Users flagged at one time; the oldest flag makes room. Default 1000. */
  readonly maxFlagged?: number
}

/** The operators' routes. */
export interface AdminOptions<Request = unknown> {
  /** Where they begin. Default `/admin/abuse`. */
  readonly prefix?: string
  /** Who may use them. A throw and an answer after `authorizeTimeoutMs` mean no. Default: nobody. */
  readonly authorize?: (request: Request) => boolean | PromiseLike<boolean>
  /** The time `authorize` may take, in ms. Default 100. */
  readonly authorizeTimeoutMs?: number
}

/** Settings of one route, in `config.abuseGuard`; `false` there leaves the route alone. */
export interface AbuseGuardRouteOptions {
  /** What a request counts, up to 1000; 0 counts nothing. Default 1. */
  readonly cost?: number
  /** Lets blocked clients in, too. Default false. */
  readonly admitBlocked?: boolean
}

/** The options of the plugin. `Request` is Fastify's request. */
export interface AbuseGuardOptions<Request = unknown> {
  /** An address that sends more within a minute is blocked; 0 blocks at the first request. Default 100. */
  readonly maxPerMinute?: number
  /** The first block, in ms; each further one is twice as long. Default 900,000 (15 minutes). */
  readonly blockMs?: number
  /** The longest block, in ms. Default 86,400,000 (a day). */
  readonly maxBlockMs?: number
  /** The quiet time that takes back one doubling, in ms. Default 86,400,000 (a day). */
  readonly decayMs?: number
  /** What an answer counts, by its status: `{ 404: 2 }`. A request counts 1 when it comes, whatever its answer. Default none. */
  readonly weights?: Readonly<Record<number, number>>
  /** Networks of IPv6 addresses, which are counted as a whole, too. */
  readonly ipv6?: Ipv6Options
  /** Addresses and networks that are never blocked, and the words `loopback` and `private`. Default none. */
  readonly allow?: readonly string[]
  /** The address of the client. Default: `request.ip`, which is only as good as Fastify's `trustProxy`. */
  readonly address?: (request: Request) => string | undefined
  /**
   * What happens when an address cannot be right, because it is that of a proxy that is not trusted, or everybody is:
   * `refuse` does not block it by counting, and says so; `block` does. Default `refuse`; with `address` it is not asked.
   */
  readonly onDoubt?: 'refuse' | 'block'
  /** Addresses counted exactly at one time, from 16; rounded up to a power of two. About 90 bytes each. Default 65,536. */
  readonly maxTracked?: number
  /** Blocks, and what is remembered of ended ones; whoever would be free first makes room. Default 10,000. */
  readonly maxBlocks?: number
  /** More blocks by counting within a minute mean that the rule is wrong, and are not made. Default 1000. */
  readonly maxBlocksPerMinute?: number
  /** The events of users. */
  readonly users?: UserOptions
  /** Shares the blocks with other processes: `app.redisGuard` of `@holdfast/redis-guard`. Default: not shared. */
  readonly redis?: BlockRedis | undefined
  /** How often the blocks of others are read when no word came, in ms. Default 1000. */
  readonly syncMs?: number
  /** How long a start waits for the blocks of others, in ms; it never fails without them. Default 500. */
  readonly startupWaitMs?: number
  /** The operators' routes. Default: none. */
  readonly admin?: AdminOptions<Request>
  /**
   * A page for people in place of the problem document: `app.errorPages.pageFor` of `@holdfast/error-pages`, or a
   * function that answers `{ headers, body }`, or undefined for who wants none. Default: everybody gets the document.
   */
  readonly page?: PageOfRefusal<Request>
  /** A prom-client registry that receives the metrics. Default: none. */
  readonly registry?: MetricsRegistry | undefined
  /** The label `app` of the metrics; all but one of the instances that share a registry must have it. Default: none. */
  readonly appName?: string | undefined
  /** Where time comes from. Default: the machine's. */
  readonly clock?: Clock
  /** A whole number that makes the tables unpredictable; for tests. Default: random. */
  readonly seed?: number
}

/** The options after validation. */
export interface ResolvedOptions<Request> {
  readonly maxPerMinute: number
  readonly policy: EscalationPolicy
  readonly weights: ReadonlyMap<number, number>
  readonly ipv6: Required<Ipv6Options>
  readonly allow: AddressList
  readonly address: AbuseGuardOptions<Request>['address']
  readonly onDoubt: 'refuse' | 'block'
  readonly maxTracked: number
  readonly maxBlocks: number
  readonly maxBlocksPerMinute: number
  readonly users: UserSpikeSettings
  readonly redis: BlockRedis | undefined
  readonly syncMs: number
  readonly startupWaitMs: number
  readonly admin:
    | {
        readonly prefix: string
        readonly authorize: AdminOptions<Request>['authorize']
        readonly authorizeTimeoutMs: number
      }
    | undefined
  readonly page: AbuseGuardOptions<Request>['page']
  readonly registry: MetricsRegistry | undefined
  readonly appName: string | undefined
  readonly clock: Clock
  readonly seed: number
}

/** Those of the guard itself, without Fastify. */
export type GuardOptions = Omit<
  ResolvedOptions<never>,
  'address' | 'admin' | 'registry' | 'appName' | 'startupWaitMs' | 'weights'
>

export const checks = new OptionChecks(
  (option, expected, received) => new OptionError(option, expected, received),
)

/** Refuses what a caller or an operator gives with `HOLDFAST_ERR_ABUSE_GUARD_INPUT`. */
export const inputs = new OptionChecks((what, expected, received) => new InputError(what, expected, received))

const MAX_COUNT = 1_000_000
const MAX_PER_MINUTE = 1_000_000_000
const MAX_TABLE = 2 ** 22
const MAX_COST = 1000

/** Fills in the defaults; raises `HOLDFAST_ERR_ABUSE_GUARD_OPTION` for a wrong value and for an unknown name. */
export function resolveOptions<Request>(options: AbuseGuardOptions<Request>): ResolvedOptions<Request> {
  checks.object('options', options)
  const { blockMs = 900_000, maxBlockMs = 86_400_000, decayMs = 86_400_000, ...rest } = options
  const policy = {
    blockMs: checks.duration('blockMs', blockMs, 1),
    maxBlockMs: checks.duration('maxBlockMs', maxBlockMs, 1),
    decayMs: checks.duration('decayMs', decayMs, 1),
  }
  if (maxBlockMs < blockMs) checks.refuse('maxBlockMs', `at least blockMs (${blockMs})`, maxBlockMs)
  const resolved = {
    maxPerMinute: checks.count('maxPerMinute', options.maxPerMinute ?? 100, 0, MAX_PER_MINUTE),
    weights: weightsOf(options.weights ?? {}),
    ipv6: ipv6Of(options.ipv6 ?? {}),
    allow: allowOf(options.allow ?? []),
    address: checks.synchronous('address', options.address),
    onDoubt: checks.oneOf('onDoubt', options.onDoubt ?? 'refuse', ['refuse', 'block']),
    maxTracked: checks.count('maxTracked', options.maxTracked ?? 65_536, 16, MAX_TABLE),
    maxBlocks: checks.count('maxBlocks', options.maxBlocks ?? 10_000, 1, MAX_COUNT),
    maxBlocksPerMinute: checks.count('maxBlocksPerMinute', options.maxBlocksPerMinute ?? 1000, 0, MAX_COUNT),
    users: usersOf(options.users ?? {}),
    redis: checks.having('redis', options.redis, ['run', 'key', 'subscribe', 'onStateChange']),
    syncMs: checks.duration('syncMs', options.syncMs ?? 1000, 10),
    startupWaitMs: checks.duration('startupWaitMs', options.startupWaitMs ?? 500),
    admin: options.admin === undefined ? undefined : adminOf(options.admin),
    page: checks.synchronous('page', options.page),
    registry: checks.having('registry', options.registry, ['registerMetric', 'getSingleMetric']),
    appName: options.appName === undefined ? undefined : checks.text('appName', options.appName, 63),
    clock: checks.having('clock', options.clock, ['nowMs', 'wallMs', 'schedule']) ?? systemClock,
    seed: checks.count('seed', options.seed ?? randomInt(2 ** 32), 0),
  }
  checks.onlyKnown('', rest, Object.keys(resolved))
  return { ...resolved, policy }
}

/** Refuses wrong settings of a route with `HOLDFAST_ERR_ABUSE_GUARD_OPTION`. */
export function checkRoute(url: string, given: AbuseGuardRouteOptions): void {
  const name = `config.abuseGuard of ${url}`
  const { cost = 1, admitBlocked = false } = checks.object(name, given)
  checks.onlyKnown(`${name}: `, given, ['cost', 'admitBlocked'])
  checks.count(`config.abuseGuard.cost of ${url}`, cost, 0, MAX_COST)
  checks.flag(`config.abuseGuard.admitBlocked of ${url}`, admitBlocked)
}

function weightsOf(weights: Readonly<Record<number, number>>): ReadonlyMap<number, number> {
  checks.object('weights', weights)
  const map = new Map<number, number>()
  for (const [status, weight] of Object.entries(weights)) {
    if (!/^[1-5]\d\d$/.test(status))
      checks.refuse(`weights.${status}`, 'named by a status, such as 404', weight)
    map.set(Number(status), checks.count(`weights.${status}`, weight, 1, MAX_COST))
  }
  return map
}

function ipv6Of(given: Ipv6Options): Required<Ipv6Options> {
  checks.object('ipv6', given)
  checks.onlyKnown('ipv6.', given, ['per56', 'per48'])
  const { per56 = 8, per48 = 64 } = given
  return {
    per56: checks.numberOrInfinity('ipv6.per56', per56, 1),
    per48: checks.numberOrInfinity('ipv6.per48', per48, 1),
  }
}

function allowOf(entries: readonly string[]): AddressList {
  if (!Array.isArray(entries)) checks.refuse('allow', 'a list of addresses and networks', entries)
  return new AddressList(entries, (entry) =>
    checks.refuse('allow', 'a list of addresses and networks, such as 10.0.0.0/8', entry),
  )
}

function usersOf(given: UserOptions): UserSpikeSettings {
  checks.object('users', given)
  const users = {
    maxEvents: checks.count('users.maxEvents', given.maxEvents ?? 50, 1, MAX_COUNT),
    windowMs: checks.duration('users.windowMs', given.windowMs ?? 300_000, 12),
    maxUsers: checks.count('users.maxUsers', given.maxUsers ?? 10_000, 0, MAX_COUNT),
    maxFlagged: checks.count('users.maxFlagged', given.maxFlagged ?? 1000, 1, MAX_COUNT),
  }
  checks.onlyKnown('users.', given, Object.keys(users))
  return users
}

const PATH = /^(?!.*\/\/)\/[^\s?#*]*$/

function adminOf<Request>(given: AdminOptions<Request>) {
  checks.object('admin', given)
  const admin = {
    prefix: checks.text('admin.prefix', given.prefix ?? '/admin/abuse'),
    authorize: checks.callable('admin.authorize', given.authorize),
    authorizeTimeoutMs: checks.duration('admin.authorizeTimeoutMs', given.authorizeTimeoutMs ?? 100),
  }
  // With anything else the routes would be somewhere else than where an operator looks for them.
  if (!PATH.test(admin.prefix)) {
    checks.refuse('admin.prefix', 'a path such as /admin/abuse, without ?, #, *, // and spaces', admin.prefix)
  }
  checks.onlyKnown('admin.', given, Object.keys(admin))
  return admin
}

/** The longest block that a person can set, in ms. */
export const MAX_HOLD_MS = LONGEST_TIMER_MS

/** The longest reason that a person can give, in characters. */
export const MAX_REASON = 200
