import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { type Clock, type MetricsRegistry, type PageOfRefusal, systemClock } from '@holdfast/footing'
import { type BannerInput, readBanner } from './banner.ts'
import { MAX_BYPASS_MS } from './bypass.ts'
import { checks } from './inputs.ts'
import type { MaintenanceJournal } from './journal.ts'
import type { MaintenanceRedis } from './redis-store.ts'
import { type Rule, type RuleInput, readRule } from './rule.ts'
import { type MaintenanceState, NOTHING, readRules } from './state.ts'

/** Ways past maintenance for whoever tries out what is closed. */
export interface BypassOptions {
  /** The first signs, all are believed; the same in all processes. Each has at least 32 characters. */
  readonly keys: readonly string[]
  /** The header that a program sends. Default `x-maintenance-bypass`. */
  readonly header?: string
  /** The cookie that a browser gets. Default `maintenance-bypass`, with `__Host-` before it when it is secure. */
  readonly cookie?: string
  /** Whether the cookie goes over HTTPS alone. Default true. */
  readonly secure?: boolean
  /** How long a bypass lasts that says nothing about it, in ms, at most a week. Default 43,200,000 (12 hours). */
  readonly defaultMs?: number
}

/** The operators' routes. */
export interface AdminOptions<Request = unknown> {
  /** Where they begin. Default `/admin`. */
  readonly prefix?: string
  /** Who may use them. A throw and an answer after `authorizeTimeoutMs` mean no. Default: nobody. */
  readonly authorize?: (request: Request) => boolean | PromiseLike<boolean>
  /** The time `authorize` may take, in ms. Default 100. */
  readonly authorizeTimeoutMs?: number
  /** Who he is, for the journal and the log. Default: not said. */
  readonly actor?: (request: Request) => string | undefined
}

/** Settings of one route, in `config.maintenance`; `false` there: no rule ever closes it. */
export interface MaintenanceRouteOptions {
  /** The group of routes it belongs to, as rules name it. Default: that of the option `groups`, if any. */
  readonly group?: string
}

/** What holds as long as nobody has changed anything. */
export interface InitialOptions {
  readonly rules?: readonly RuleInput[]
  readonly banner?: BannerInput
}

/** The options of the plugin. `Request` is Fastify's request. */
export interface MaintenanceOptions<Request = unknown> {
  /** Tells services apart that share a Redis, and no maintenance. Default `service`. */
  readonly name?: string
  /** Shares the state with other processes: `app.redisGuard` of `@holdfast/redis-guard`. Default: not shared. */
  readonly redis?: MaintenanceRedis | undefined
  /** Where changes are kept for good: for the history, and for a start after Redis has lost everything. Default: nowhere. */
  readonly journal?: MaintenanceJournal | undefined
  /**
   * How many processes serve, for those without a Redis: from two on they follow the journal, every `syncMs`, and nothing
   * is ever said to be quiescent. Default 1.
   */
  readonly processes?: number
  /** What holds as long as nobody has changed anything. Default: nothing. */
  readonly initial?: InitialOptions
  /** `on` or `off` whatever others say, in this process alone. Default: what others say. */
  readonly force?: 'on' | 'off' | undefined
  /**
   * A file that has this process do what it says, whatever others say: nothing or `on`, `off`, or rules as JSON. Default
   * none.
   */
  readonly file?: string | undefined
  /** How often the file is looked at, in ms. Default 1000. */
  readonly fileCheckMs?: number
  /** The rule of `enable` without more, and of `on`. Default: everything is closed. */
  readonly rule?: RuleInput
  /** Groups of routes by the beginnings of their paths: `{ bots: ['/api/bot'] }`. Default none. */
  readonly groups?: Readonly<Record<string, readonly string[]>>
  /** Beginnings of paths of routes that no rule ever closes, such as that of signing in. Default none. */
  readonly open?: readonly string[]
  /** Whose request it is, for rules of one tenant; asked again when it is known who asks. Default: nobody's. */
  readonly tenant?: (request: Request) => string | undefined
  /**
   * What the user may do, by names, for `allow.roles`; asked when the hooks of the application have found out who he is,
   * and only of whom has sent a cookie or an `Authorization`. Default: nothing.
   */
  readonly roles?: (request: Request) => readonly string[]
  /** The address of the client. Default: `request.ip`. */
  readonly address?: (request: Request) => string | undefined
  /** What whoever is refused is told by a rule without a message. */
  readonly message?: string
  /** When whoever is refused may come back, when no end is known, in ms. Default 120,000. */
  readonly retryAfterMs?: number
  /** Ways past maintenance. Default: none. */
  readonly bypass?: BypassOptions
  /**
   * A page for people in place of the problem document: `app.errorPages.pageFor` of `@holdfast/error-pages`, or a
   * function that answers `{ headers, body }`, or undefined for who wants none. Default: everybody gets the document.
   */
  readonly page?: PageOfRefusal<Request>
  /** The operators' routes. Default: none. */
  readonly admin?: AdminOptions<Request>
  /** The path of the public status; more of it is at `<path>/maintenance`. `false`: none. Default `/api/status`. */
  readonly status?: string | false
  /** How often the state is read when no word came, in ms. Default 5000. */
  readonly syncMs?: number
  /** How long a start waits for the state, in ms; it never fails without it. Default 2000. */
  readonly startupWaitMs?: number
  /** A prom-client registry that receives the metrics. Default: none. */
  readonly registry?: MetricsRegistry | undefined
  /** The label `app` of the metrics; all but one of the instances that share a registry must have it. Default: none. */
  readonly appName?: string | undefined
  /** Where time comes from. Default: the machine's. */
  readonly clock?: Clock
  /** A number in [0, 1). Default `Math.random`. */
  readonly random?: () => number
}

/** The settings of the maintenance itself, without Fastify. */
export interface MaintenanceSettings {
  readonly journal: MaintenanceJournal | undefined
  /** Whether there are others that the store knows nothing of. */
  readonly scattered: boolean
  readonly initial: MaintenanceState
  readonly force: 'on' | 'off' | undefined
  readonly file: string | undefined
  readonly fileCheckMs: number
  readonly rule: Rule
  readonly message: string
  readonly retryAfterMs: number
  readonly bypass: Required<BypassOptions> | undefined
  readonly syncMs: number
  readonly startupWaitMs: number
  readonly clock: Clock
  readonly random: () => number
  /** Names this process; no other one ever has the name. */
  readonly processName: string
  /** An id that nobody has had. */
  readonly newId: () => string
}

/** The options after validation. */
export interface ResolvedOptions<Request> extends MaintenanceSettings {
  readonly name: string
  readonly redis: MaintenanceRedis | undefined
  readonly groups: Readonly<Record<string, readonly string[]>>
  readonly open: readonly string[]
  readonly tenant: MaintenanceOptions<Request>['tenant']
  readonly roles: MaintenanceOptions<Request>['roles']
  readonly address: MaintenanceOptions<Request>['address']
  readonly page: MaintenanceOptions<Request>['page']
  readonly admin: ResolvedAdmin<Request> | undefined
  readonly status: string | false
  readonly registry: MetricsRegistry | undefined
  readonly appName: string | undefined
}

/** The operators' routes after validation. */
export interface ResolvedAdmin<Request> {
  readonly prefix: string
  readonly authorize: AdminOptions<Request>['authorize']
  readonly authorizeTimeoutMs: number
  readonly actor: AdminOptions<Request>['actor']
}

const MESSAGE = 'This part of the service is closed for maintenance. What was saved before is safe.'
const MIN_KEY = 32
const MAX_PROCESSES = 100_000
const MAX_GROUPS = 100
const MAX_PATHS = 200
const NAME = /^[A-Za-z0-9][\w.:-]{0,63}$/
const PATH = /^(?!.*\/\/)\/[^\s?#*]*$/
const TOKEN_NAME = /^[!#$%&'*+.^_`|~\w-]{1,64}$/

/** Fills in the defaults; raises `HOLDFAST_ERR_MAINTENANCE_OPTION` for a wrong value and for an unknown name. */
export function resolveOptions<Request>(options: MaintenanceOptions<Request>): ResolvedOptions<Request> {
  checks.object('options', options)
  const processes = checks.count('processes', options.processes ?? 1, 1, MAX_PROCESSES)
  const resolved = {
    name: nameOf('name', options.name ?? 'service'),
    redis: checks.having('redis', options.redis, ['run', 'key', 'subscribe', 'onStateChange', 'ready']),
    journal: checks.having('journal', options.journal, ['append', 'latest', 'history']),
    initial: initialOf(options.initial ?? {}),
    force: options.force === undefined ? undefined : checks.oneOf('force', options.force, ['on', 'off']),
    file: options.file === undefined ? undefined : checks.text('file', options.file, 4096),
    fileCheckMs: checks.duration('fileCheckMs', options.fileCheckMs ?? 1000, 10),
    rule: ruleOf('rule', options.rule ?? {}),
    groups: groupsOf(options.groups ?? {}),
    open: pathsOf('open', options.open ?? []),
    tenant: checks.synchronous('tenant', options.tenant),
    roles: checks.synchronous('roles', options.roles),
    address: checks.synchronous('address', options.address),
    message: checks.text('message', options.message ?? MESSAGE, 500),
    retryAfterMs: checks.duration('retryAfterMs', options.retryAfterMs ?? 120_000, 1000),
    bypass: options.bypass === undefined ? undefined : bypassOf(options.bypass),
    page: checks.synchronous('page', options.page),
    admin: options.admin === undefined ? undefined : adminOf(options.admin),
    status: options.status === false ? (false as const) : pathOf('status', options.status ?? '/api/status'),
    syncMs: checks.duration('syncMs', options.syncMs ?? 5000, 10, 60_000),
    startupWaitMs: checks.duration('startupWaitMs', options.startupWaitMs ?? 2000),
    registry: checks.having('registry', options.registry, ['registerMetric', 'getSingleMetric']),
    appName: options.appName === undefined ? undefined : checks.text('appName', options.appName, 63),
    clock: checks.having('clock', options.clock, ['nowMs', 'wallMs', 'schedule']) ?? systemClock,
    random: checks.callable('random', options.random) ?? Math.random,
  }
  checks.onlyKnown('', options, [...Object.keys(resolved), 'processes'])
  const scattered = processes > 1 && resolved.redis === undefined
  const processName = `${hostname().slice(0, 100)}:${process.pid}:${newId()}`
  return { ...resolved, scattered, processName, newId }
}

function newId(): string {
  return randomBytes(9).toString('base64url')
}

/** Refuses wrong settings of a route with `HOLDFAST_ERR_MAINTENANCE_OPTION`. */
export function checkRoute(url: string, given: MaintenanceRouteOptions): void {
  const name = `config.maintenance of ${url}`
  const { group } = checks.object(name, given)
  checks.onlyKnown(`${name}: `, given, ['group'])
  if (group !== undefined) nameOf(`config.maintenance.group of ${url}`, group)
}

function initialOf(given: InitialOptions): MaintenanceState {
  checks.object('initial', given)
  checks.onlyKnown('initial.', given, ['rules', 'banner'])
  const { rules = [], banner } = given
  return {
    ...NOTHING,
    rules: asOption('initial.rules', rules, () => readRules(rules)),
    ...(banner !== undefined && { banner: asOption('initial.banner', banner, () => readBanner(banner)) }),
  }
}

function ruleOf(name: string, given: RuleInput): Rule {
  return asOption(name, given, () => readRule(given))
}

/** What an operator would be told is here a mistake of an option. */
function asOption<T>(name: string, given: unknown, read: () => T): T {
  try {
    return read()
  } catch (error) {
    return checks.refuse(name, `readable: ${(error as Error).message}`, given)
  }
}

function groupsOf(given: Readonly<Record<string, readonly string[]>>): ResolvedOptions<never>['groups'] {
  const entries = Object.entries(checks.object('groups', given))
  if (entries.length > MAX_GROUPS) checks.refuse('groups', `at most ${MAX_GROUPS} groups`, entries.length)
  return Object.fromEntries(
    entries.map(([group, paths]) => [nameOf('groups', group), pathsOf(`groups.${group}`, paths)]),
  )
}

function bypassOf(given: BypassOptions): Required<BypassOptions> {
  checks.object('bypass', given)
  const { keys, header = 'x-maintenance-bypass', secure = true, defaultMs = 43_200_000 } = given
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > 10) {
    checks.refuse('bypass.keys', 'a list of 1 to 10 texts', keys)
  }
  for (const key of keys) {
    // What was received is a secret.
    if (typeof key !== 'string' || key.length < MIN_KEY) {
      checks.refuse('bypass.keys', `texts of at least ${MIN_KEY} characters`, { hidden: true })
    }
  }
  const prefix = checks.flag('bypass.secure', secure) ? '__Host-' : ''
  const bypass = {
    keys,
    header: tokenOf('bypass.header', header).toLowerCase(),
    cookie: tokenOf('bypass.cookie', given.cookie ?? `${prefix}maintenance-bypass`),
    secure,
    defaultMs: checks.duration('bypass.defaultMs', defaultMs, 1000, MAX_BYPASS_MS),
  }
  checks.onlyKnown('bypass.', given, Object.keys(bypass))
  return bypass
}

function adminOf<Request>(given: AdminOptions<Request>): ResolvedAdmin<Request> {
  checks.object('admin', given)
  const admin = {
    prefix: pathOf('admin.prefix', given.prefix ?? '/admin'),
    authorize: checks.callable('admin.authorize', given.authorize),
    authorizeTimeoutMs: checks.duration('admin.authorizeTimeoutMs', given.authorizeTimeoutMs ?? 100),
    actor: checks.synchronous('admin.actor', given.actor),
  }
  checks.onlyKnown('admin.', given, Object.keys(admin))
  return admin
}

function pathsOf(name: string, given: readonly string[]): readonly string[] {
  if (!Array.isArray(given) || given.length > MAX_PATHS) {
    checks.refuse(name, `a list of at most ${MAX_PATHS} beginnings of paths, such as /api/bot`, given)
  }
  return given.map((path) => pathOf(name, path))
}

function pathOf(name: string, given: unknown): string {
  if (typeof given === 'string' && given.length <= 255 && PATH.test(given)) return given
  return checks.refuse(name, 'a path such as /api/status, without ?, #, *, // and spaces', given)
}

function nameOf(name: string, given: unknown): string {
  if (typeof given === 'string' && NAME.test(given)) return given
  return checks.refuse(name, 'a name of 1 to 64 letters, digits, "_", ".", ":" and "-"', given)
}

function tokenOf(name: string, given: unknown): string {
  if (typeof given === 'string' && TOKEN_NAME.test(given)) return given
  return checks.refuse(name, 'a name that HTTP allows', given)
}
