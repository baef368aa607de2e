import { type Clock, type MetricsRegistry, OptionChecks, systemClock } from '@holdfast/footing'
import type { StatePolicy } from './check-state.ts'
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
  /** Further options of its `Fastify()`, such as time-outs and `http`. Default: none. */
  server?: object
  /**
   * `false`: nobody listens, and its pages are for whoever asks `app.health.management.inject()`, such as a process that
   * serves the port for several. Default `true`.
   */
  listen?: boolean
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
  /**
   * The label `app` of the metrics. Needed when scopes or applications of one process share a registry: all but one
   * of them must have it. Default: no such label.
   */
  appName?: string
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
  readonly appName: string | undefined
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
const severities = ['critical', 'degrading', 'informative'] as const
const MAX_PORT = 65_535
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/

export const checks = new OptionChecks(
  (option, expected, received) => new OptionError(option, expected, received),
)

/** Whether `name` may stand in a path, a label and a log line. */
export function isName(name: unknown): name is string {
  return typeof name === 'string' && namePattern.test(name)
}

/** Refuses a name that is not one: `HOLDFAST_ERR_HEALTH_NAME`. */
export function requireName(what: string, name: unknown): asserts name is string {
  if (!isName(name)) namesOf(what).refuse('name', 'a name', name)
}

/** Only what was received finds its way into the message: the rule for names is in it already. */
function namesOf(what: string): OptionChecks {
  return new OptionChecks((_option, _expected, received) => new NameError(what, received))
}

/** Validates the options of `register()`; raises `HOLDFAST_ERR_HEALTH_OPTION` and the errors of `resolveCheck()`. */
export function resolveOptions<Request>(options: HealthOptions<Request>): ResolvedOptions<Request> {
  const { management, livenessWorker, omitPaths = [] } = options
  if (!Array.isArray(omitPaths)) checks.refuse('omitPaths', 'an array of paths', omitPaths)
  for (const path of omitPaths) checks.oneOf('omitPaths', path, allPaths)
  const resolved = {
    service: checks.text('service', options.service ?? 'app'),
    version: checks.text('version', options.version ?? '0.0.0'),
    authorize: checks.callable('authorize', options.authorize),
    authorizeTimeoutMs: checks.duration('authorizeTimeoutMs', options.authorizeTimeoutMs ?? 100),
    checks: Object.entries(checks.object('checks', options.checks ?? {})).map(([name, check]) =>
      resolveCheck(name, check),
    ),
    jitter: checks.number('jitter', options.jitter ?? 0.1, 0, 0.5),
    omitPaths,
    management: management && {
      port: checks.count('management.port', management.port, 0, MAX_PORT),
      host: checks.text('management.host', management.host ?? '127.0.0.1'),
      server: checks.object('management.server', management.server ?? {}),
      listen: checks.flag('management.listen', management.listen ?? true),
    },
    livenessWorker: livenessWorker && {
      port: checks.count('livenessWorker.port', livenessWorker.port, 0, MAX_PORT),
      host: checks.text('livenessWorker.host', livenessWorker.host ?? '127.0.0.1'),
      maxStallMs: checks.duration('livenessWorker.maxStallMs', livenessWorker.maxStallMs ?? 5000, 500),
    },
    maxChecks: checks.count('maxChecks', options.maxChecks ?? 64, 0, 1000),
    maxFeatures: checks.count('maxFeatures', options.maxFeatures ?? 100, 0, 10_000),
    maxReports: checks.count('maxReports', options.maxReports ?? 50, 0, 1000),
    registry: checks.having('registry', options.registry, ['registerMetric', 'getSingleMetric']),
    appName: options.appName === undefined ? undefined : checks.text('appName', options.appName, 63),
    clock: checks.having('clock', options.clock, ['nowMs', 'wallMs', 'schedule']) ?? systemClock,
    random: checks.callable('random', options.random) ?? Math.random,
  }
  checks.onlyKnown('', options, Object.keys(resolved))
  for (const part of ['management', 'livenessWorker'] as const) {
    if (resolved[part]) checks.onlyKnown(`${part}.`, { ...options[part] }, Object.keys(resolved[part]))
  }
  return resolved
}

/** Validates one check; raises `HOLDFAST_ERR_HEALTH_NAME` and `HOLDFAST_ERR_HEALTH_CHECK_OPTION`. */
export function resolveCheck(name: string, options: CheckOptions): ResolvedCheck {
  requireName('check', name)
  const of = new OptionChecks(
    (option, expected, received) => new CheckOptionError(name, option, expected, received),
  )
  of.object('check', options)
  if (typeof options.check !== 'function') of.refuse('check', 'a function', options.check)
  of.onlyKnown('', options, checkOptionNames)
  const intervalMs = of.duration('intervalMs', options.intervalMs ?? 5000, 10)
  const timeoutMs = of.duration('timeoutMs', options.timeoutMs ?? Math.min(1000, intervalMs), 1)
  const severity = of.oneOf('severity', options.severity ?? 'degrading', severities)
  const groups = options.groups ?? ['ready']
  if (!Array.isArray(groups) || groups.length > maxGroupsPerCheck) {
    of.refuse('groups', `an array of at most ${maxGroupsPerCheck} names`, groups)
  }
  for (const group of groups) {
    requireName('group', group)
    if (group === 'startup') {
      of.refuse('groups', 'without "startup": start-up waits for every critical check', group)
    }
  }
  // One slow turn with the longest wait must not look stale.
  const leastStaleMs = 1.5 * intervalMs + timeoutMs
  const staleAfterMs = of.duration('staleAfterMs', options.staleAfterMs ?? 3 * intervalMs + timeoutMs)
  if (staleAfterMs < leastStaleMs) {
    of.refuse('staleAfterMs', `at least 1.5 * intervalMs + timeoutMs (${leastStaleMs})`, staleAfterMs)
  }
  return {
    name,
    check: options.check,
    intervalMs,
    timeoutMs,
    severity,
    degradedAboveMs:
      options.degradedAboveMs === undefined
        ? undefined
        : of.duration('degradedAboveMs', options.degradedAboveMs),
    groups: [...new Set(groups)],
    policy: {
      failAfter: of.count('failAfter', options.failAfter ?? 3),
      recoverAfter: of.count('recoverAfter', options.recoverAfter ?? 2),
      minDwellMs: of.duration('minDwellMs', options.minDwellMs ?? 2000),
      staleAfterMs,
    },
  }
}
