import { type Labelled, type MetricsRegistry, SharedMetrics } from '@holdfast/footing'
import { Counter, Gauge, type Registry } from 'prom-client'
import { checks } from './option-checks.ts'
import type { PoolGuardSnapshot } from './pool-guard.ts'
import type { Criticality } from './request-scope.ts'
import { WAIT_BUCKETS_SECONDS } from './wait-histogram.ts'

const criticalities: readonly Criticality[] = ['critical', 'normal', 'background']

/** The state at the moment of the scrape. Labels `process_type` and `pool`. */
const gauges = [
  {
    name: 'db_pool_usage_percent',
    help: 'Connections in use, in percent of max; above 100 with overflow',
    read: ({ usage }: PoolGuardSnapshot) => usage * 100,
  },
  {
    name: 'db_pool_usage_ratio',
    help: 'Connections in use, as a share of max; above 1 with overflow',
    read: ({ usage }: PoolGuardSnapshot) => usage,
  },
  {
    name: 'db_pool_waiting_connections',
    help: 'Callers that wait for a connection',
    read: ({ waiting }: PoolGuardSnapshot) => waiting,
  },
  {
    name: 'db_active_connections',
    help: 'Callers that have a connection, or one that is being opened for them',
    read: ({ inUse }: PoolGuardSnapshot) => inUse,
  },
  {
    name: 'holdfast_pool_guard_idle_connections',
    help: 'Open connections that nobody has',
    read: ({ connections }: PoolGuardSnapshot) => connections.idle,
  },
  {
    name: 'holdfast_pool_guard_saturated',
    help: '1 while the pool is saturated at this moment',
    read: ({ saturated }: PoolGuardSnapshot) => Number(saturated),
  },
  {
    name: 'holdfast_pool_guard_pressure',
    help: '1 while the latched pressure signal is on',
    read: ({ pressure }: PoolGuardSnapshot) => Number(pressure.state === 'pressed'),
  },
  {
    name: 'holdfast_pool_guard_open',
    help: '1 while the breaker keeps everybody but probes from the database',
    read: ({ breaker }: PoolGuardSnapshot) => Number(breaker !== undefined && breaker.state !== 'closed'),
  },
  {
    name: 'holdfast_pool_guard_pooler_waiting',
    help: 'Clients of all processes that wait in PgBouncer for this database; 0 when it is not asked',
    read: ({ pooler }: PoolGuardSnapshot) => pooler?.waiting ?? 0,
  },
] as const

/** Counted over the life of the process. Labels `process_type` and `pool`. */
const counters = [
  {
    name: 'holdfast_pool_guard_leaks_total',
    help: 'Connections held for longer than leakAfterMs',
    read: ({ totals }: PoolGuardSnapshot) => totals.leaks,
  },
  {
    name: 'holdfast_pool_guard_reclaimed_total',
    help: 'Connections taken back after reclaimAfterMs',
    read: ({ totals }: PoolGuardSnapshot) => totals.reclaimed,
  },
  {
    name: 'holdfast_pool_guard_dirty_releases_total',
    help: 'Connections released inside a transaction or while a statement ran',
    read: ({ totals }: PoolGuardSnapshot) => totals.dirtyReleases,
  },
  {
    name: 'holdfast_pool_guard_opened_total',
    help: 'Connections opened',
    read: ({ totals }: PoolGuardSnapshot) => totals.opened,
  },
  {
    name: 'holdfast_pool_guard_connect_failures_total',
    help: 'Connections that could not be opened',
    read: ({ totals }: PoolGuardSnapshot) => totals.connectFailures,
  },
  {
    name: 'holdfast_pool_guard_lost_total',
    help: 'Connections that broke',
    read: ({ totals }: PoolGuardSnapshot) => totals.lost,
  },
  {
    name: 'holdfast_pool_guard_pressure_transitions_total',
    help: 'Changes of the latched pressure signal',
    read: ({ pressure }: PoolGuardSnapshot) => pressure.transitions,
  },
] as const

/** How cancelled statements ended. */
const cancelResults = [
  { result: 'cancelled', read: ({ totals }: PoolGuardSnapshot) => totals.cancelled },
  { result: 'too_late', read: ({ totals }: PoolGuardSnapshot) => totals.cancelsTooLate },
  { result: 'destroyed', read: ({ totals }: PoolGuardSnapshot) => totals.destroyedByCancel },
] as const

/**
 * Read from a snapshot when Prometheus scrapes; no query pays for them. Every label has a fixed, small set of values:
 * tenants and routes never become labels.
 */
export const sharedMetrics = new SharedMetrics<PoolGuardSnapshot>({
  label: 'pool',
  option: 'name',
  checks,
  metric: 'db_pool_usage_percent',
  describe,
})

function describe(given: MetricsRegistry, shown: () => readonly Labelled<PoolGuardSnapshot>[]): void {
  // A prom-client registry by another name: the options do not say so, lest their types need prom-client.
  const registry = given as unknown as Registry
  const registers = [registry]
  const pools = () =>
    shown().map(({ labels, snapshot }) => ({
      labels: { process_type: snapshot.processType, ...labels },
      now: snapshot,
    }))
  const labelNames = ['process_type', 'pool'] as const
  for (const { name, help, read } of gauges) {
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset()
        for (const { labels, now } of pools()) this.set(labels, read(now))
      },
    })
  }
  for (const { name, help, read } of counters) {
    new Counter({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset()
        for (const { labels, now } of pools()) this.inc(labels, read(now))
      },
    })
  }
  new Counter({
    name: 'holdfast_pool_guard_cancels_total',
    help: 'Statements cancelled on the server, by how they ended',
    labelNames: [...labelNames, 'result'],
    registers,
    collect() {
      this.reset()
      for (const { labels, now } of pools()) {
        for (const { result, read } of cancelResults) this.inc({ ...labels, result }, read(now))
      }
    },
  })
  new Counter({
    name: 'holdfast_pool_guard_granted_total',
    help: 'Callers that got a connection, by class',
    labelNames: [...labelNames, 'criticality'],
    registers,
    collect() {
      this.reset()
      for (const { labels, now } of pools()) {
        for (const criticality of criticalities) {
          this.inc({ ...labels, criticality }, now.counts.granted[criticality])
        }
      }
    },
  })
  new Counter({
    name: 'holdfast_pool_guard_shed_total',
    help: 'Callers that got no connection, by class and reason',
    labelNames: [...labelNames, 'criticality', 'reason'],
    registers,
    collect() {
      this.reset()
      for (const { labels, now } of pools()) {
        for (const criticality of criticalities) {
          const reasons = { ...now.counts.refused[criticality], aborted: now.left[criticality] }
          for (const [reason, count] of Object.entries(reasons)) {
            this.inc({ ...labels, criticality, reason: reason.replace('-', '_') }, count)
          }
        }
      }
    },
  })
  // A histogram of prom-client can only be observed, not set; a registry asks no more of a metric than this.
  const waits = {
    name: 'holdfast_pool_guard_acquire_wait_seconds',
    help: 'How long callers that got a connection waited for their turn, by class',
    type: 'histogram',
    aggregator: 'sum',
    labelNames: [...labelNames, 'criticality'],
    reset() {},
    async get() {
      return { ...waits, values: pools().flatMap(({ labels, now }) => waitValues(labels, now)) }
    },
  }
  registry.registerMetric(waits as never)
}

function waitValues(pool: Readonly<Record<string, string>>, { waits }: PoolGuardSnapshot) {
  const name = 'holdfast_pool_guard_acquire_wait_seconds'
  return criticalities.flatMap((criticality) => {
    const labels = { ...pool, criticality }
    let total = 0
    const buckets = waits[criticality].counts.map((count, index) => {
      total += count
      const le = WAIT_BUCKETS_SECONDS[index] ?? '+Inf'
      return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: total }
    })
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: waits[criticality].sumMs / 1000 },
      { metricName: `${name}_count`, labels, value: total },
    ]
  })
}
