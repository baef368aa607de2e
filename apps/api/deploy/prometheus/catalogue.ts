// The metrics that rules and panels may name, with their labels: another name, or another label, does not compile. A
// test holds this list and a live scrape together.

const HTTP = ['method', 'route', 'status'] as const
const POOL = ['process_type', 'pool'] as const
const REDIS = ['redis'] as const

/** By name. `up` is Prometheus' own. */
export const CATALOGUE = {
  up: { type: 'gauge', labels: [] },
  app_info: { type: 'gauge', labels: ['version', 'environment'] },
  http_requests_total: { type: 'counter', labels: HTTP },
  http_request_duration_seconds: { type: 'histogram', labels: HTTP },
  http_requests_in_flight: { type: 'gauge', labels: [] },
  http_parser_errors_total: { type: 'counter', labels: ['code'] },
  tenant_requests_total: { type: 'counter', labels: ['tenant'] },
  errors_total: { type: 'counter', labels: ['type', 'component'] },
  health_ready: { type: 'gauge', labels: [] },
  health_check_status: { type: 'gauge', labels: ['check'] },
  feature_degraded: { type: 'gauge', labels: ['feature'] },
  db_pool_usage_percent: { type: 'gauge', labels: POOL },
  db_pool_usage_ratio: { type: 'gauge', labels: POOL },
  db_pool_waiting_connections: { type: 'gauge', labels: POOL },
  db_active_connections: { type: 'gauge', labels: POOL },
  holdfast_pool_guard_open: { type: 'gauge', labels: POOL },
  holdfast_pool_guard_shed_total: { type: 'counter', labels: [...POOL, 'criticality', 'reason'] },
  cache_hits_total: { type: 'counter', labels: ['cache'] },
  cache_misses_total: { type: 'counter', labels: ['cache'] },
  circuit_breaker_state: { type: 'gauge', labels: ['breaker'] },
  holdfast_redis_guard_up: { type: 'gauge', labels: REDIS },
  holdfast_tenant_rate_limit_requests_total: { type: 'counter', labels: ['outcome'] },
  holdfast_abuse_guard_blocked: { type: 'gauge', labels: [] },
  holdfast_maintenance_enabled: { type: 'gauge', labels: [] },
  bot_starts_total: { type: 'counter', labels: ['status'] },
  bot_stops_total: { type: 'counter', labels: ['status'] },
  bot_recovers_total: { type: 'counter', labels: ['status'] },
  active_bots: { type: 'gauge', labels: [] },
  process_cpu_seconds_total: { type: 'counter', labels: [] },
  process_start_time_seconds: { type: 'gauge', labels: [] },
  process_resident_memory_bytes: { type: 'gauge', labels: [] },
  process_open_fds: { type: 'gauge', labels: [] },
  process_max_fds: { type: 'gauge', labels: [] },
  nodejs_heap_size_used_bytes: { type: 'gauge', labels: [] },
  nodejs_heap_size_limit_bytes: { type: 'gauge', labels: [] },
  nodejs_gc_duration_seconds: { type: 'histogram', labels: ['kind'] },
  nodejs_eventloop_delay_seconds: { type: 'histogram', labels: [] },
  nodejs_eventloop_active_seconds_total: { type: 'counter', labels: [] },
} as const satisfies Readonly<Record<string, { readonly type: string; readonly labels: readonly string[] }>>

/** One of them. */
export type MetricName = keyof typeof CATALOGUE

/** What Prometheus adds to every series. */
type Target = 'job' | 'instance'

/** The labels that a metric has. */
export type LabelOf<Name extends MetricName> = (typeof CATALOGUE)[Name]['labels'][number] | Target

/** What a label must be: `="GET"`, `!="GET"`, `=~"5.."`, `!~"/health.*"`. */
type Matcher = `=${string}` | `!${string}`

/** `name{label="value"}`: a metric of the catalogue, by labels that it has. */
export function series<Name extends MetricName>(
  name: Name,
  matchers?: Partial<Record<LabelOf<Name>, Matcher>>,
): string {
  return name + matching(matchers)
}

/** How much a counter grows in a second, over a time. */
export function rate(counter: string, over = '5m'): string {
  return `rate(${counter}[${over}])`
}

/** A sum, by labels where there are any. */
export function sum(expression: string, ...by: readonly string[]): string {
  return by.length === 0 ? `sum(${expression})` : `sum by (${by.join(', ')}) (${expression})`
}

/** A quantile of a histogram over all series, or by labels. */
export function quantile(
  share: number,
  name: 'http_request_duration_seconds' | 'nodejs_eventloop_delay_seconds' | 'nodejs_gc_duration_seconds',
  matchers: Readonly<Record<string, Matcher>> = {},
  by: readonly string[] = [],
): string {
  return `histogram_quantile(${share}, ${sum(rate(`${name}_bucket${matching(matchers)}`), ...by, 'le')})`
}

function matching(matchers: object = {}): string {
  const all = Object.entries(matchers).map(([label, matcher]) => `${label}${matcher}`)
  return all.length === 0 ? '' : `{${all.join(',')}}`
}

/** Requests of people and programs: probes are many, quick and never fail. */
export const NO_PROBES = { route: '!~"/health.*|/livez.*|/readyz.*|/startupz.*|/live|/ready"' } as const

/** Of the service alone. */
export const JOB = { job: '="holdfast-api"' } as const
