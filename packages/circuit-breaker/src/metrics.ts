import { type Labelled, type MetricsRegistry, SharedMetrics } from '@holdfast/footing'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { BreakerSnapshot } from './breaker-snapshot.ts'
import { checks } from './options.ts'

const stateValues = { closed: 0, open: 1, 'half-open': 0.5 } as const

/** The counters by the name of their second label; one without has none. */
const counters = [
  {
    name: 'holdfast_circuit_breaker_calls_total',
    help: 'Executed calls, by what they said about the dependency',
    label: 'outcome',
    values: ({ counts }: BreakerSnapshot) => ({
      success: counts.succeeded,
      failure: counts.failed,
      ignored: counts.ignored,
    }),
  },
  {
    name: 'holdfast_circuit_breaker_refused_total',
    help: 'Calls that were refused, by the reason',
    label: 'reason',
    values: ({ counts }: BreakerSnapshot) => counts.refused,
  },
  {
    name: 'holdfast_circuit_breaker_transitions_total',
    help: 'Changes of state, by the new one',
    label: 'to',
    values: ({ counts }: BreakerSnapshot) => counts.transitions,
  },
  {
    name: 'holdfast_circuit_breaker_events_total',
    help: 'Slow calls, time-outs, fallbacks, stale results, lost probes and calls that only a shadow let through',
    label: 'event',
    values: ({ counts }: BreakerSnapshot) => ({
      slow: counts.slow,
      timed_out: counts.timedOut,
      fell_back: counts.fellBack,
      stale: counts.stale,
      probe_lost: counts.probesLost,
      unjudged: counts.unjudged,
    }),
  },
] as const

/**
 * Read from snapshots when Prometheus scrapes; no call pays for them. The names of breakers are as many as
 * `maxBreakers`; all other labels have a fixed set of values, and those that have never happened are left out.
 */
export const sharedMetrics = new SharedMetrics<readonly BreakerSnapshot[]>({
  label: 'app',
  option: 'appName',
  checks,
  metric: 'circuit_breaker_state',
  describe,
})

function describe(
  given: MetricsRegistry,
  shown: () => readonly Labelled<readonly BreakerSnapshot[]>[],
): void {
  // A prom-client registry by another name: the options do not say so, lest their types need prom-client.
  const registry = given as unknown as Registry
  const rows = () =>
    shown().flatMap(({ labels, snapshot }) => snapshot.map((breaker) => ({ labels, breaker })))
  new Gauge({
    name: 'circuit_breaker_state',
    help: '0 closed, 1 open (also held and isolated), 0.5 half-open',
    labelNames: ['app', 'breaker'],
    registers: [registry],
    collect() {
      this.reset()
      for (const { labels, breaker } of rows()) {
        this.set({ ...labels, breaker: breaker.name }, stateValues[breaker.state])
      }
    },
  })
  for (const { name, help, label, values } of counters) {
    new Counter<string>({
      name,
      help,
      labelNames: ['app', 'breaker', label],
      registers: [registry],
      collect() {
        this.reset()
        for (const { labels, breaker } of rows()) {
          for (const [value, count] of Object.entries(values(breaker))) {
            if (count > 0) this.inc({ ...labels, breaker: breaker.name, [label]: value }, count)
          }
        }
      },
    })
  }
}
