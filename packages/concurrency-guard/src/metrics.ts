import { SharedMetrics, type ShownMetric, showMetrics } from '@holdfast/footing'
import { Counter, Gauge } from 'prom-client'
import type { ConcurrencyGuardSnapshot } from './concurrency-guard.ts'
import { checks } from './options.ts'

const counters: readonly ShownMetric<ConcurrencyGuardSnapshot>[] = [
  {
    name: 'holdfast_concurrency_guard_operations_total',
    help: 'Operations that began, by who granted them',
    label: 'grant',
    read: ({ begun }) => underscored(begun),
  },
  {
    name: 'holdfast_concurrency_guard_refused_total',
    help: 'Operations that did not begin, by the reason',
    label: 'reason',
    read: ({ refused }) => underscored(refused),
  },
  {
    name: 'holdfast_concurrency_guard_events_total',
    help: 'Operations that were late, were given up, lost their lease, or overlapped with another process',
    label: 'event',
    read: ({ timedOut, givenUp, leasesLost, overlapped }) => ({
      timed_out: timedOut,
      given_up: givenUp,
      lease_lost: leasesLost,
      overlapped,
    }),
  },
  {
    name: 'holdfast_concurrency_guard_ended_total',
    help: 'Operations that have ended',
    read: ({ ended }) => ended,
  },
  {
    name: 'holdfast_concurrency_guard_operation_seconds_total',
    help: 'The time of all operations that have ended',
    read: ({ operationMs }) => operationMs / 1000,
  },
]

const gauges: readonly ShownMetric<ConcurrencyGuardSnapshot>[] = [
  {
    name: 'holdfast_concurrency_guard_held',
    help: 'Operations under way',
    read: ({ held }) => held,
  },
  {
    name: 'holdfast_concurrency_guard_waiting',
    help: 'Callers that wait in line',
    read: ({ waiting }) => waiting,
  },
  {
    name: 'holdfast_concurrency_guard_unreturned',
    help: 'Leases of operations that are over, of which Redis could not be told yet',
    read: ({ unreturned }) => unreturned,
  },
]

/**
 * Read from a snapshot when Prometheus scrapes; no request pays for them. Every label has a fixed, small set of
 * values; keys never become labels.
 */
export const sharedMetrics = new SharedMetrics<ConcurrencyGuardSnapshot>({
  label: 'app',
  option: 'appName',
  checks,
  metric: 'holdfast_concurrency_guard_held',
  describe(registry, shown) {
    const where = { registry, label: 'app', shown }
    showMetrics(Counter, counters, where)
    showMetrics(Gauge, gauges, where)
  },
})

/** Values of labels are written with `_`. */
function underscored(counts: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name.replaceAll('-', '_'), count]))
}
