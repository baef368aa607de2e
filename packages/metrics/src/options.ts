import { type Clock, type MetricsRegistry, OptionChecks, systemClock } from '@holdfast/footing'
import { type RuntimeClock, systemRuntimeClock } from './clock.ts'
import { resolveBuckets, SECONDS } from './definition.ts'
import { OptionError } from './errors.ts'
import { componentOf } from './errors-seen.ts'
import { OwnRegistry, type RegistryLike } from './registry.ts'

/** The options of the plugin. `Request` is Fastify's request. */
export interface MetricsOptions<Request = unknown> {
  /** A registry of prom-client or of its successor, whose metrics are shown too. Default: one of its own. */
  readonly registry?: MetricsRegistry
  /** Where the metrics are on the main port; `false`: nowhere. Default `/metrics`. */
  readonly path?: string | false
  /** Who sends `Authorization: Bearer <token>` may read them on the main port. Default: nobody. */
  readonly token?: string
  /**
   * Who else may read them there; it is asked after every hook that finds out who asks. A throw and an answer after
   * `authorizeTimeoutMs` mean no. Default: nobody.
   */
  readonly authorize?: (request: Request) => boolean | PromiseLike<boolean>
  /** The time `authorize` may take, in ms. Default 100. */
  readonly authorizeTimeoutMs?: number
  /** The `config` of the route, for guards of yours. Default: none. */
  readonly routeConfig?: object
  /** Whether they are also on the management listener of `@holdfast/health`, for whoever reaches it. Default `true`. */
  readonly management?: boolean
  /** Shown by `app_info`. Default `0.0.0`. */
  readonly version?: string
  /** Shown by `app_info`. Default `development`. */
  readonly environment?: string
  /** The bounds of `http_request_duration_seconds`, in seconds, ascending. Default: 14 from 0.005 to 10. */
  readonly buckets?: readonly number[]
  /** Routes with a label of their own; those after them share `other`. Default 500. */
  readonly maxRoutes?: number
  /**
   * Whose request it is, for `tenant_requests_total`; asked when the request has ended, at once. Answer only tenants
   * that exist: what strangers write is no tenant. Default: no such metric.
   */
  readonly tenant?: (request: Request) => string | undefined
  /** Tenants with a label of their own; those after them share `other`. Default 100. */
  readonly maxTenants?: number
  /**
   * The trace of a request, for OpenMetrics: labels of at most 128 characters together, undefined for one that is not
   * sampled. Default: no exemplars.
   */
  readonly exemplar?: (request: Request) => Readonly<Record<string, string>> | undefined
  /** The label `component` of `errors_total`. Default: `fastify` by the code of the error, else `application`. */
  readonly component?: (error: unknown) => string
  /** Whether the metrics of the process and of Node.js are collected. Default `true`. */
  readonly runtime?: boolean
  /** A metric of the registry that cannot be read in so many ms is left out of the scrape. Default 500. */
  readonly collectTimeoutMs?: number
  /** A scrape is told again for so many ms, 1000 at most. Default 0: only to who asks while it is under way. */
  readonly keepMs?: number
  /**
   * Whether this is a worker of `node:cluster` whose primary has called `collectCluster()`: then whoever asks gets the
   * metrics of all workers. Default `false`.
   */
  readonly cluster?: boolean
  /** Operations whose times are kept for `/health/metrics`. Default 50. */
  readonly maxOperations?: number
  /** Time, for tests. Default: the machine's. */
  readonly clock?: Clock
  /** What the runtime tells about itself, for tests. Default: the machine's. */
  readonly runtimeClock?: RuntimeClock
}

/** The options after validation. */
export interface ResolvedOptions<Request> {
  readonly registry: RegistryLike
  readonly path: string | false
  readonly token: string | undefined
  readonly authorize: MetricsOptions<Request>['authorize']
  readonly authorizeTimeoutMs: number
  readonly routeConfig: object
  readonly management: boolean
  readonly version: string
  readonly environment: string
  readonly buckets: Float64Array
  readonly maxRoutes: number
  readonly tenant: MetricsOptions<Request>['tenant']
  readonly maxTenants: number
  readonly exemplar: MetricsOptions<Request>['exemplar']
  readonly component: (error: unknown) => string
  readonly runtime: boolean
  readonly collectTimeoutMs: number
  readonly keepMs: number
  readonly cluster: boolean
  readonly maxOperations: number
  readonly clock: Clock
  readonly runtimeClock: RuntimeClock
}

const MAX_KEPT_MS = 1000
const checks = new OptionChecks((option, expected, received) => new OptionError(option, expected, received))

/** Validates the options of `register()`; raises `HOLDFAST_ERR_METRICS_OPTION`. */
export function resolveOptions<Request>(options: MetricsOptions<Request>): ResolvedOptions<Request> {
  const { path = '/metrics', registry } = options
  if (path !== false && !/^\/[^?#]*$/.test(checks.text('path', path))) {
    checks.refuse('path', 'a path that begins with /, or false', path)
  }
  const given = registry as RegistryLike | undefined
  checks.having('registry', given, ['registerMetric', 'getSingleMetric', 'getMetricsAsArray'])
  const resolved = {
    registry: given ?? new OwnRegistry(),
    path,
    token: options.token === undefined ? undefined : checks.text('token', options.token, 4096),
    authorize: checks.callable('authorize', options.authorize),
    authorizeTimeoutMs: checks.duration('authorizeTimeoutMs', options.authorizeTimeoutMs ?? 100),
    routeConfig: checks.object('routeConfig', options.routeConfig ?? {}),
    management: checks.flag('management', options.management ?? true),
    version: checks.text('version', options.version ?? '0.0.0', 100),
    environment: checks.text('environment', options.environment ?? 'development', 100),
    buckets: bucketsOf(options.buckets ?? SECONDS),
    maxRoutes: checks.count('maxRoutes', options.maxRoutes ?? 500, 1, 10_000),
    tenant: checks.synchronous('tenant', options.tenant),
    maxTenants: checks.count('maxTenants', options.maxTenants ?? 100, 1, 1000),
    exemplar: checks.synchronous('exemplar', options.exemplar),
    component: checks.synchronous('component', options.component) ?? componentOf,
    runtime: checks.flag('runtime', options.runtime ?? true),
    collectTimeoutMs: checks.duration('collectTimeoutMs', options.collectTimeoutMs ?? 500, 1),
    keepMs: checks.duration('keepMs', options.keepMs ?? 0, 0, MAX_KEPT_MS),
    cluster: clusterOf(options.cluster ?? false),
    maxOperations: checks.count('maxOperations', options.maxOperations ?? 50, 0, 1000),
    clock: checks.having('clock', options.clock, ['nowMs', 'wallMs', 'schedule']) ?? systemClock,
    runtimeClock:
      checks.having('runtimeClock', options.runtimeClock, ['loop', 'onGarbage']) ?? systemRuntimeClock,
  }
  checks.onlyKnown('', options, Object.keys(resolved))
  return resolved
}

/** Where there is no primary, nobody would answer, and every scrape fail. */
function clusterOf(given: boolean): boolean {
  if (checks.flag('cluster', given) && process.send === undefined)
    checks.refuse('cluster', 'left out in a process that node:cluster has not forked', given)
  return given
}

function bucketsOf(buckets: readonly number[]): Float64Array {
  try {
    return resolveBuckets({ name: '', help: '', buckets })
  } catch {
    return checks.refuse('buckets', '1 to 40 numbers, each larger than the one before', buckets)
  }
}
