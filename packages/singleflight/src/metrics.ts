import { Counter, Gauge, type Registry } from 'prom-client'
import type { ResponseCounters } from './coalesced-route.ts'
import type { SingleflightSnapshot } from './singleflight.ts'

/** Where the numbers come from: `run` is `app.singleflight`, `responses` the coalesced routes. */
export interface MetricSources {
  readonly run: () => SingleflightSnapshot
  readonly responses: () => SingleflightSnapshot & Readonly<ResponseCounters>
}

/** Counted over the life of the process. Label `scope`: `run` or `responses`. */
const counters = [
  ['holdfast_singleflight_executions_total', 'Works started', 'executions'],
  ['holdfast_singleflight_joined_total', 'Calls that joined a flight instead of starting one', 'joined'],
  ['holdfast_singleflight_failed_total', 'Works that failed', 'failed'],
  ['holdfast_singleflight_abandoned_total', 'Flights whose last waiter left', 'abandoned'],
  ['holdfast_singleflight_forgotten_total', 'Flights that lost their key to forget()', 'forgotten'],
  ['holdfast_singleflight_timed_out_total', 'Flights not back at hardTimeoutMs', 'timedOut'],
  ['holdfast_singleflight_given_up_total', 'Flights given up at maxFlightMs', 'givenUp'],
  ['holdfast_singleflight_rejected_full_total', 'Calls refused by maxFlights or maxWaiters', 'rejectedFull'],
  [
    'holdfast_singleflight_answered_from_error_total',
    'Calls answered from a remembered error',
    'answeredFromError',
  ],
] as const

/** The state at the moment of the scrape. Label `scope`: `run` or `responses`. */
const gauges = [
  ['holdfast_singleflight_in_flight', 'Works that have not settled yet', 'inFlight', 1],
  ['holdfast_singleflight_waiters', 'Calls that wait now', 'waiters', 1],
  [
    'holdfast_singleflight_oldest_flight_seconds',
    'Age of the oldest work that has not settled',
    'oldestFlightMs',
    0.001,
  ],
] as const

/** How requests of coalesced routes were answered. Label `outcome`. */
const outcomes = [
  ['replayed', 'replayed'],
  ['ran_alone', 'ranAlone'],
  ['bypassed', 'bypassed'],
  ['taken_over', 'takenOver'],
] as const

/**
 * Registers the metrics. The numbers are read from snapshots when Prometheus scrapes; no call pays for them.
 * Every label has a fixed, small set of values; keys never become labels.
 */
export function registerMetrics(registry: Registry, sources: MetricSources): void {
  const snapshots = () => [
    { scope: 'run', snapshot: sources.run() },
    { scope: 'responses', snapshot: sources.responses() },
  ]
  for (const [name, help, field] of counters) {
    new Counter({
      name,
      help,
      labelNames: ['scope'],
      registers: [registry],
      collect() {
        this.reset()
        for (const { scope, snapshot } of snapshots()) this.inc({ scope }, snapshot[field])
      },
    })
  }
  for (const [name, help, field, factor] of gauges) {
    new Gauge({
      name,
      help,
      labelNames: ['scope'],
      registers: [registry],
      collect() {
        for (const { scope, snapshot } of snapshots()) this.set({ scope }, snapshot[field] * factor)
      },
    })
  }
  new Counter({
    name: 'holdfast_singleflight_responses_total',
    help: 'Requests of coalesced routes that did not lead a flight, by how they were answered',
    labelNames: ['outcome'],
    registers: [registry],
    collect() {
      this.reset()
      const snapshot = sources.responses()
      for (const [outcome, field] of outcomes) this.inc({ outcome }, snapshot[field])
    },
  })
}
