import { type Labelled, type MetricsRegistry, SharedMetrics } from '@holdfast/footing'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { ConcurrencyGuardSnapshot } from './concurrency-guard.ts'
import { checks } from './options.ts'

/** Counters with one more label. */
const labelled = [
  {
    name: 'holdfast_concurrency_guard_operations_total',
    help: 'Operations that began, by who granted them',
    label: 'grant',
    values: ({ begun }: ConcurrencyGuardSnapshot) => begun,
  },
  {
    name: 'holdfast_concurrency_guard_refused_total',
    help: 'Operations that did not begin, by the reason',
    label: 'reason',
    values: ({ refused }: ConcurrencyGuardSnapshot) => refused,
  },
  {
    name: 'holdfast_concurrency_guard_events_total',
    help: 'Operations that were late, were given up, lost their lease, or overlapped with another process',
    label: 'event',
    values: ({ timedOut, givenUp, leasesLost, overlapped }: ConcurrencyGuardSnapshot) => ({
      timed_out: timedOut,
      given_up: givenUp,
      lease_lost: leasesLost,
      overlapped,
    }),
  },
] as const

const counters = [
  {
    name: 'holdfast_concurrency_guard_ended_total',
    help: 'Operations that have ended',
    read: ({ ended }: ConcurrencyGuardSnapshot) => ended,
  },
  {
    name: 'holdfast_concurrency_guard_operation_seconds_total',
    help: 'The time of all operations that have ended',
    read: ({ operationMs }: ConcurrencyGuardSnapshot) => operationMs / 1000,
  },
] as const

const gauges = [
  {
    name: 'holdfast_concurrency_guard_held',
    help: 'Operations under way',
    read: ({ held }: ConcurrencyGuardSnapshot) => held,
  },
  {
    name: 'holdfast_concurrency_guard_waiting',
    help: 'Callers that wait in line',
    read: ({ waiting }: ConcurrencyGuardSnapshot) => waiting,
  },
  {
    name: 'holdfast_concurrency_guard_unreturned',
    help: 'Leases of operations that are over, of which Redis could not be told yet',
    read: ({ unreturned }: ConcurrencyGuardSnapshot) => unreturned,
  },
] as const

/**
 * Read from a snapshot when Prometheus scrapes; no request pays for them. Every label has a fixed, small set of
 * values; keys never become labels.
 */
export const sharedMetrics = new SharedMetrics<ConcurrencyGuardSnapshot>({
  label: 'app',
  option: 'appName',
  checks,
  metric: 'holdfast_concurrency_guard_held',
  describe,
})

function describe(given: MetricsRegistry, shown: () => readonly Labelled<ConcurrencyGuardSnapshot>[]): void {
  // A prom-client registry by another name: the options do not say so, lest their types need prom-client.
  const registers = [given as unknown as Registry]
  for (const { name, help, label, values } of labelled) {
    new Counter<string>({
      name,
      help,
      labelNames: ['app', label],
      registers,
      collect() {
        this.reset()
        for (const { labels, snapshot } of shown()) {
          for (const [value, count] of Object.entries(values(snapshot))) {
            this.inc({ ...labels, [label]: value.replaceAll('-', '_') }, count)
          }
        }
      },
    })
  }
  for (const { name, help, read } of counters) {
    new Counter({
      name,
      help,
      labelNames: ['app'],
      registers,
      collect() {
        this.reset()
        for (const { labels, snapshot } of shown()) this.inc(labels, read(snapshot))
      },
    })
  }
  for (const { name, help, read } of gauges) {
    new Gauge({
      name,
      help,
      labelNames: ['app'],
      registers,
      collect() {
        this.reset()
        for (const { labels, snapshot } of shown()) this.set(labels, read(snapshot))
      },
    })
  }
}
