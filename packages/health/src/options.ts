import type { StatePolicy } from './check-state.ts'
import { type Clock, systemClock } from './clock.ts'
import { CheckOptionError, NameError, OptionError } from './errors.ts'
import type { CheckResult } from './observation.ts'
import type { CheckContext } from './poller.ts'
import { allPaths } from './route-table.ts'

/** What a failing check means for the group it is in: `critical` fails it, `degrading` degrades it, `informative` is only shown. */
export type Severity = 'critical' | 'degrading' | 'informative'

// biome-ignore lint/suspicious/noConfusingVoidType: most checks are async functions that return nothing
type CheckAnswer = CheckResult | undefined | void

/** One check, as given to `addCheck()`. */
export interface CheckOptions {
  /**
   * Asks the dependency; anything it resolves with but a `CheckResult` means healthy, a throw means unhealthy. It is
   * run in the background, one execution at a time. `signal` aborts when `timeoutMs` has passed.
   */
  check: (context: CheckContext) => CheckAnswer | PromiseLike<CheckAnswer>
  /** Wait between two executions, in ms. Default 5000. */
  intervalMs?: number
  /** Longest execution, in ms. Default 1000, or `intervalMs` when that is shorter. */
  timeoutMs?: number
  /** `critical`, `degrading` or `informative`. Default `degrading`: a shared dependency takes no replica out. */
  severity?: Severity
  /** A successful execution that took longer is slow, in ms; 0 is honoured. Default: speed is not judged. */
  degradedAboveMs?: number
  /** The groups it counts in: `ready`, `live`, or names of your own (`/health/groups/<name>`). Default `['ready']`. */
  groups?: readonly string[]
  /** Ambiguous failures in a row before the level worsens. Default 3. */
  failAfter?: number
  /** Successes in a row before the level improves. Default 2. */
  recoverAfter?: number
  /** The least time between two changes, in ms; explicit failures do not wait for it. Default 2000. */
  minDwellMs?: number
  /** A result older than this counts as `unknown`, in ms. Default `3 * intervalMs + timeoutMs`. */
  staleAfterMs?: number
}

/** The management listener: the same table with details, for the cluster's inside only. */
export interface ManagementOptions {
  /** TCP port; 0 picks a free one. */
  port: number
  /** Address. Default `127.0.0.1`; in a container `0.0.0.0` makes it reachable for the kubelet. */
  host?: string
}

/** The worker thread that answers liveness while the main loop is blocked. */
export interface LivenessWorkerOptions {
  /** TCP port; 0 picks a free one. */
  port: number
  /** Address. Default `127.0.0.1`. */
  host?: string
  /** The main loop may be silent for so long, in ms, before `/livez` answers 503. Default 5000. */
  maxStallMs?: number
}

/** What this package needs of a prom-client `Registry`, so that its types do not need prom-client installed. */
export interface MetricsRegistry {
  registerMetric(metric: never): void
  getSingleMetric(name: string): unknown
}

/** The options of the plugin. `Request` is Fastify's request. */
export interface HealthOptions<Request = unknown> {
  /** Shown by `/healthz`. Default `app`. */
  service?: string
  /** Shown by `/healthz`. Default `0.0.0`. */
  version?: string
  /** Who may see details on the main port. A throw and an answer after `authorizeTimeoutMs` mean no. Default: nobody. */
  authorize?: (request: Request) => boolean | PromiseLike<boolean>
  /** The time `authorize` may take, in ms. Default 100. */
  authorizeTimeoutMs?: number
  /** Checks by name, as `addCheck()` takes them. */
  checks?: Readonly<Record<string, CheckOptions>>
  /** Each wait between two executions is `intervalMs` times 1 - jitter to 1 + jitter; 0 to 0.5. Default 0.1. */
  jitter?: number
  /** Paths of the table that the application wants for itself, such as `/health`. Default none. */
  omitPaths?: readonly string[]
  /** A second listener with details for everyone who reaches it. Default: none. */
  management?: ManagementOptions
  /** A worker thread with a listener of its own for liveness. Default: none. */
  livenessWorker?: LivenessWorkerOptions
  /** Most checks. Default 64. */
  maxChecks?: number
  /** Most features degraded at one time. Default 100. */
  maxFeatures?: number
  /** Most reports. Default 50. */
  maxReports?: number
  /** A prom-client registry that receives the metrics. Default: none. */
  registry?: MetricsRegistry
  /** Time, for tests. Default: the machine's. */
  clock?: Clock
  /** Numbers in [0, 1) for the jitter, for tests. Default `Math.random`. */
  random?: () => number
}

/** A check after validation. */
export interface ResolvedCheck {
  readonly name: string
  readonly check: CheckOptions['check']
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly severity: Severity
  readonly degradedAboveMs: number | undefined
  readonly groups: readonly string[]
  readonly policy: StatePolicy
}

/** The options after validation. */
export interface ResolvedOptions<Request> {
  readonly service: string
  readonly version: string
  readonly authorize: HealthOptions<Request>['authorize']
  readonly authorizeTimeoutMs: number
  readonly checks: readonly ResolvedCheck[]
  readonly jitter: number
  readonly omitPaths: readonly string[]
  readonly management: Required<ManagementOptions> | undefined
  readonly livenessWorker: Required<LivenessWorkerOptions> | undefined
  readonly maxChecks: number
  readonly maxFeatures: number
  readonly maxReports: number
  readonly registry: MetricsRegistry | undefined
  readonly clock: Clock
  readonly random: () => number
}

/** Groups with paths of their own; `startup` is every critical check. */
export const builtInGroups: readonly string[] = ['ready', 'live', 'startup']
export const maxGroupsPerCheck = 8

const checkOptionNames: readonly (keyof CheckOptions)[] = [
  'check',
  'intervalMs',
  'timeoutMs',
  'severity',
  'degradedAboveMs',
  'groups',
  'failAfter',
  'recoverAfter',
  'minDwellMs',
  'staleAfterMs',
]
const severities: readonly unknown[] = ['critical', 'degrading', 'informative']
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/
// setTimeout takes at most this long; longer ones fire at once.
const maxTimerMs = 2 ** 31 - 1

/** Whether `name` may stand in a path, a label and a log line. */
export function isName(name: unknown): name is string {
  return typeof name === 'string' && namePattern.test(name)
}

/** Refuses a name that is not one: `HOLDFAST_ERR_HEALTH_NAME`. */
export function requireName(what: string, name: unknown): asserts name is string {
  if (!isName(name)) throw new NameError(what, shown(name))
}

/** Validates the options of `register()`; raises `HOLDFAST_ERR_HEALTH_OPTION` and the errors of `resolveCheck()`. */
export function resolveOptions<Request>(options: HealthOptions<Request>): ResolvedOptions<Request> {
  const management = options.management
  const livenessWorker = options.livenessWorker
  const omitPaths = options.omitPaths ?? []
  if (!Array.isArray(omitPaths)) refuse('omitPaths', omitPaths, 'give a list of paths')
  for (const path of omitPaths) {
    if (!allPaths.includes(path)) refuse('omitPaths', path, `give paths out of ${allPaths.join(' ')}`)
  }
  const checks = options.checks ?? {}
  if (typeof checks !== 'object' || checks === null || Array.isArray(checks)) {
    refuse('checks', checks, 'give an object of checks by name')
  }
  const resolved = {
    service: text('service', options.service, 'app'),
    version: text('version', options.version, '0.0.0'),
    authorize: callable('authorize', options.authorize),
    authorizeTimeoutMs: number('authorizeTimeoutMs', options.authorizeTimeoutMs, 100, 0, maxTimerMs),
    checks: Object.entries(checks).map(([name, check]) => resolveCheck(name, check)),
    jitter: number('jitter', options.jitter, 0.1, 0, 0.5),
    omitPaths,
    management: management && {
      port: count('management.port', management.port, undefined, 0, 65_535),
      host: text('management.host', management.host, '127.0.0.1'),
    },
    livenessWorker: livenessWorker && {
      port: count('livenessWorker.port', livenessWorker.port, undefined, 0, 65_535),
      host: text('livenessWorker.host', livenessWorker.host, '127.0.0.1'),
      maxStallMs: number('livenessWorker.maxStallMs', livenessWorker.maxStallMs, 5000, 500, maxTimerMs),
    },
    maxChecks: count('maxChecks', options.maxChecks, 64, 0, 1000),
    maxFeatures: count('maxFeatures', options.maxFeatures, 100, 0, 10_000),
    maxReports: count('maxReports', options.maxReports, 50, 0, 1000),
    registry: having(
      'registry',
      options.registry,
      ['registerMetric', 'getSingleMetric'],
      'give a prom-client registry',
    ),
    clock:
      having(
        'clock',
        options.clock,
        ['nowMs', 'wallMs', 'schedule'],
        'give an object with nowMs, wallMs and schedule',
      ) ?? systemClock,
    random: callable('random', options.random) ?? Math.random,
  }
  refuseUnknown(options, Object.keys(resolved), refuse)
  for (const part of ['management', 'livenessWorker'] as const) {
    if (resolved[part]) {
      refuseUnknown({ ...options[part] }, Object.keys(resolved[part]), (name, value, fix) =>
        refuse(`${part}.${name}`, value, fix),
      )
    }
  }
  return resolved
}

/** Validates one check; raises `HOLDFAST_ERR_HEALTH_NAME` and `HOLDFAST_ERR_HEALTH_CHECK_OPTION`. */
export function resolveCheck(name: string, options: CheckOptions): ResolvedCheck {
  requireName('check', name)
  const wrong = (option: string, value: unknown, fix: string): never => {
    throw new CheckOptionError(name, option, shown(value), fix)
  }
  const ranged = (option: keyof CheckOptions, otherwise: number, min: number, whole: boolean): number => {
    const value = options[option] ?? otherwise
    const fits = typeof value === 'number' && value >= min && value <= maxTimerMs
    if (!fits || (whole && !Number.isInteger(value))) {
      return wrong(
        option,
        value,
        `give ${whole ? 'a whole number' : 'milliseconds'} from ${min} to ${maxTimerMs}`,
      )
    }
    return value
  }
  if (typeof options !== 'object' || options === null)
    wrong('check', options, 'give an object with a check function')
  if (typeof options.check !== 'function') wrong('check', options.check, 'give a function')
  refuseUnknown(options, checkOptionNames, wrong)
  const intervalMs = ranged('intervalMs', 5000, 10, false)
  const timeoutMs = ranged('timeoutMs', Math.min(1000, intervalMs), 1, false)
  const severity = options.severity ?? 'degrading'
  if (!severities.includes(severity)) wrong('severity', severity, `give one of ${severities.join(', ')}`)
  const groups = options.groups ?? ['ready']
  if (!Array.isArray(groups) || groups.length > maxGroupsPerCheck) {
    wrong('groups', groups, `give a list of at most ${maxGroupsPerCheck} names`)
  }
  for (const group of groups) {
    requireName('group', group)
    if (group === 'startup') wrong('groups', group, 'leave it out: start-up waits for every critical check')
  }
  // One slow turn with the longest wait must not look stale.
  const leastStaleMs = 1.5 * intervalMs + timeoutMs
  const staleAfterMs = ranged('staleAfterMs', 3 * intervalMs + timeoutMs, 0, false)
  if (staleAfterMs < leastStaleMs) {
    wrong('staleAfterMs', staleAfterMs, `give at least 1.5 * intervalMs + timeoutMs (${leastStaleMs})`)
  }
  return {
    name,
    check: options.check,
    intervalMs,
    timeoutMs,
    severity,
    degradedAboveMs:
      options.degradedAboveMs === undefined ? undefined : ranged('degradedAboveMs', 0, 0, false),
    groups: [...new Set(groups)],
    policy: {
      failAfter: ranged('failAfter', 3, 1, true),
      recoverAfter: ranged('recoverAfter', 2, 1, true),
      minDwellMs: ranged('minDwellMs', 2000, 0, false),
      staleAfterMs,
    },
  }
}

type Refuse = (name: string, value: unknown, fix: string) => void

/** A mistyped name would leave its default in force, unnoticed. */
function refuseUnknown(given: object, accepted: readonly string[], refuse: Refuse): void {
  for (const [name, value] of Object.entries(given)) {
    if (!accepted.includes(name)) refuse(name, value, `leave it out, accepted are: ${accepted.join(', ')}`)
  }
}

function refuse(name: string, value: unknown, fix: string): never {
  throw new OptionError(name, shown(value), fix)
}

function text(name: string, value: unknown, otherwise: string): string {
  const given = value ?? otherwise
  if (typeof given !== 'string' || given === '' || given.length > 255) {
    refuse(name, given, 'give a text of 1 to 255 characters')
  }
  return given
}

function number(
  name: string,
  value: unknown,
  otherwise: number | undefined,
  min: number,
  max: number,
): number {
  const given = value ?? otherwise
  if (typeof given !== 'number' || !(given >= min && given <= max)) {
    refuse(name, given, `give a number from ${min} to ${max}`)
  }
  return given
}

function count(
  name: string,
  value: unknown,
  otherwise: number | undefined,
  min: number,
  max: number,
): number {
  const given = number(name, value, otherwise, min, max)
  if (!Number.isInteger(given)) refuse(name, given, `give a whole number from ${min} to ${max}`)
  return given
}

function callable<T>(name: string, value: T): T {
  if (value !== undefined && typeof value !== 'function') refuse(name, value, 'give a function')
  return value
}

/** An object with these methods, or nothing. */
function having<T>(name: string, value: T, methods: readonly (keyof NonNullable<T>)[], fix: string): T {
  const given: unknown = value
  const members = given as Record<PropertyKey, unknown> | null | undefined
  if (members !== undefined && !methods.every((method) => typeof members?.[method] === 'function')) {
    refuse(name, value, fix)
  }
  return value
}

function shown(value: unknown): string {
  if (typeof value === 'string') return `"${value.slice(0, 100)}"`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object'
  return String(value)
}
