import type { MetricsRegistry } from '@holdfast/footing'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { BreakerSnapshot } from './circuit-breaker.ts'

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
 * Registers the metrics. They are read from snapshots when Prometheus scrapes; no call pays for them. The names of
 * breakers are as many as `maxBreakers`; all other labels have a fixed set of values, and those that have never
 * happened are left out.
 */
export function registerMetrics(given: MetricsRegistry, breakers: () => readonly BreakerSnapshot[]): void {
  // A prom-client registry by another name: the options do not say so, lest their types need prom-client.
  const registry = given as unknown as Registry
  const snapshots = sharedWithinAScrape(breakers)
  new Gauge({
    name: 'circuit_breaker_state',
    help: '0 closed, 1 open (also held and isolated), 0.5 half-open',
    labelNames: ['breaker'],
    registers: [registry],
    collect() {
      for (const { name, state } of snapshots()) this.set({ breaker: name }, stateValues[state])
    },
  })
  for (const { name, help, label, values } of counters) {
    new Counter<string>({
      name,
      help,
      labelNames: ['breaker', label],
      registers: [registry],
      collect() {
        this.reset()
        for (const snapshot of snapshots()) {
          for (const [value, count] of Object.entries(values(snapshot))) {
            if (count > 0) this.inc({ breaker: snapshot.name, [label]: value }, count)
          }
        }
      },
    })
  }
}

/** One scrape collects all metrics in one go: the snapshots are taken once for it. */
function sharedWithinAScrape<T>(take: () => T): () => T {
  let taken: { readonly value: T } | undefined
  return () => {
    if (taken === undefined) {
      taken = { value: take() }
      queueMicrotask(() => {
        taken = undefined
      })
    }
    return taken.value
  }
}
