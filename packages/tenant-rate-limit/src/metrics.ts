import { type Labelled, type MetricsRegistry, SharedMetrics } from '@holdfast/footing'
import { Counter, Gauge, type Registry } from 'prom-client'
import { checks } from './options.ts'
import type { TenantRateLimitSnapshot } from './route-guards.ts'

type Row = readonly [label: Readonly<Record<string, string>>, value: number]

interface Described {
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
  readonly rows: (snapshot: TenantRateLimitSnapshot) => readonly Row[]
}

const counters: readonly Described[] = [
  {
    name: 'holdfast_tenant_rate_limit_decisions_total',
    help: 'Decisions, by who made them',
    labels: ['source'],
    rows: ({ limiter }) => Object.entries(limiter.decisions).map(([source, count]) => [{ source }, count]),
  },
  {
    name: 'holdfast_tenant_rate_limit_policy_total',
    help: 'What became of the claims on each policy',
    labels: ['policy', 'outcome'],
    rows: ({ limiter }) =>
      Object.entries(limiter.policies).flatMap(
        ([policy, { allowed, denied, shadowDenied, nearLimit }]): Row[] => [
          [{ policy, outcome: 'allowed' }, allowed],
          [{ policy, outcome: 'denied' }, denied],
          [{ policy, outcome: 'shadow_denied' }, shadowDenied],
          [{ policy, outcome: 'near_limit' }, nearLimit],
        ],
      ),
  },
  {
    name: 'holdfast_tenant_rate_limit_requests_total',
    help: 'Requests of limited routes that were exempt, answered in the place of the handler, or given back',
    labels: ['outcome'],
    rows: ({ requests }): readonly Row[] => [
      [{ outcome: 'exempt' }, requests.exempt],
      [{ outcome: 'refused' }, requests.refused],
      [{ outcome: 'served_stale' }, requests.servedStale],
      [{ outcome: 'stale_limited' }, requests.staleLimited],
      [{ outcome: 'stale_missed' }, requests.staleMissed],
      [{ outcome: 'handled' }, requests.handled],
      [{ outcome: 'refunded' }, requests.refunded],
    ],
  },
  {
    name: 'holdfast_tenant_rate_limit_store_failures_total',
    help: 'Questions that the shared store did not answer',
    labels: [],
    rows: ({ limiter }) => [[{}, limiter.storeFailures]],
  },
  {
    name: 'holdfast_tenant_rate_limit_refunds_lost_total',
    help: 'Reservations, and what was taken in one slot before another refused, that could not be given back',
    labels: [],
    rows: ({ limiter }) => [[{}, limiter.refundsLost]],
  },
  {
    name: 'holdfast_tenant_rate_limit_lease_units_total',
    help: 'Units that were lent to this process, and what became of them',
    labels: ['state'],
    rows: ({ limiter: { leases } }): readonly Row[] =>
      leases === undefined
        ? []
        : [
            [{ state: 'lent' }, leases.lentUnits],
            [{ state: 'spent' }, leases.spentUnits],
            [{ state: 'returned' }, leases.returnedUnits],
            [{ state: 'lost' }, leases.lostUnits],
          ],
  },
  {
    name: 'holdfast_tenant_rate_limit_lease_requests_total',
    help: 'How often a lease was asked for, by what came of it',
    labels: ['outcome'],
    rows: ({ limiter: { leases } }): readonly Row[] =>
      leases === undefined
        ? []
        : [
            [{ outcome: 'granted' }, leases.asked - leases.refused],
            [{ outcome: 'refused' }, leases.refused],
          ],
  },
  {
    name: 'holdfast_tenant_rate_limit_reconciled_total',
    help: 'Buckets of which Redis was told after it was lost, or could not be told',
    labels: ['outcome'],
    rows: ({ limiter: { fallback } }): readonly Row[] =>
      fallback === undefined
        ? []
        : [
            [{ outcome: 'told' }, fallback.told],
            [{ outcome: 'untold' }, fallback.untold],
          ],
  },
]

const gauges: readonly Described[] = [
  {
    name: 'holdfast_tenant_rate_limit_store_up',
    help: 'Whether the store can decide: 1 or 0',
    labels: [],
    rows: ({ limiter }) => [[{}, limiter.storeAvailable ? 1 : 0]],
  },
  {
    name: 'holdfast_tenant_rate_limit_deny_cache_keys',
    help: 'Buckets of which this process knows that they are empty',
    labels: [],
    rows: ({ limiter }) => [[{}, limiter.denyCacheKeys]],
  },
  {
    name: 'holdfast_tenant_rate_limit_processes',
    help: 'How many processes share the buckets, as far as this one knows',
    labels: [],
    rows: ({ limiter }) => [[{}, limiter.processes]],
  },
  {
    name: 'holdfast_tenant_rate_limit_leases',
    help: 'Buckets of which this process holds units',
    labels: [],
    rows: ({ limiter: { leases } }) => (leases === undefined ? [] : [[{}, leases.held]]),
  },
]

/**
 * Read from snapshots when Prometheus scrapes; no request pays for them. The names of policies are as many as the
 * configuration has; all other labels have a fixed set of values. Tenants, users and addresses never become labels.
 */
export const sharedMetrics = new SharedMetrics<TenantRateLimitSnapshot>({
  label: 'app',
  option: 'appName',
  checks,
  metric: 'holdfast_tenant_rate_limit_decisions_total',
  describe,
})

function describe(given: MetricsRegistry, shown: () => readonly Labelled<TenantRateLimitSnapshot>[]): void {
  // A prom-client registry by another name: the options do not say so, lest their types need prom-client.
  const registers = [given as unknown as Registry]
  const all = (rows: Described['rows']) =>
    shown().flatMap(({ labels, snapshot }) =>
      rows(snapshot).map(([own, value]) => ({ labels: { ...labels, ...own }, value })),
    )
  for (const { name, help, labels, rows } of counters) {
    new Counter<string>({
      name,
      help,
      labelNames: ['app', ...labels],
      registers,
      collect() {
        this.reset()
        for (const row of all(rows)) this.inc(row.labels, row.value)
      },
    })
  }
  for (const { name, help, labels, rows } of gauges) {
    new Gauge<string>({
      name,
      help,
      labelNames: ['app', ...labels],
      registers,
      collect() {
        this.reset()
        for (const row of all(rows)) this.set(row.labels, row.value)
      },
    })
  }
}
