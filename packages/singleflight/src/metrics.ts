import type { MetricsRegistry } from '@holdfast/footing'
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
  { name: 'holdfast_singleflight_executions_total', help: 'Works started', field: 'executions' },
  {
    name: 'holdfast_singleflight_joined_total',
    help: 'Calls that joined a flight instead of starting one',
    field: 'joined',
  },
  { name: 'holdfast_singleflight_failed_total', help: 'Works that failed', field: 'failed' },
  {
    name: 'holdfast_singleflight_abandoned_total',
    help: 'Flights whose last waiter left',
    field: 'abandoned',
  },
  {
    name: 'holdfast_singleflight_forgotten_total',
    help: 'Flights that lost their key to forget()',
    field: 'forgotten',
  },
  {
    name: 'holdfast_singleflight_timed_out_total',
    help: 'Flights not back at hardTimeoutMs',
    field: 'timedOut',
  },
  { name: 'holdfast_singleflight_given_up_total', help: 'Flights given up at maxFlightMs', field: 'givenUp' },
  {
    name: 'holdfast_singleflight_rejected_full_total',
    help: 'Calls refused by maxFlights or maxWaiters',
    field: 'rejectedFull',
  },
  {
    name: 'holdfast_singleflight_answered_from_error_total',
    help: 'Calls answered from a remembered error',
    field: 'answeredFromError',
  },
] as const

/** The state at the moment of the scrape. Label `scope`: `run` or `responses`. */
const gauges = [
  {
    name: 'holdfast_singleflight_in_flight',
    help: 'Works that have not settled yet',
    field: 'inFlight',
    factor: 1,
  },
  { name: 'holdfast_singleflight_waiters', help: 'Calls that wait now', field: 'waiters', factor: 1 },
  {
    name: 'holdfast_singleflight_oldest_flight_seconds',
    help: 'Age of the oldest work that has not settled',
    field: 'oldestFlightMs',
    factor: 0.001,
  },
] as const

/** How requests of coalesced routes were answered. Label `outcome`. */
const outcomes = [
  { outcome: 'replayed', field: 'replayed' },
  { outcome: 'ran_alone', field: 'ranAlone' },
  { outcome: 'bypassed', field: 'bypassed' },
  { outcome: 'taken_over', field: 'takenOver' },
] as const

/** What flights across processes came to. Label `role`. */
const roles = [
  { role: 'led', field: 'led' },
  { role: 'took_over', field: 'tookOver' },
  { role: 'followed', field: 'followed' },
  { role: 'hit', field: 'hit' },
  { role: 'failed_elsewhere', field: 'failedElsewhere' },
  { role: 'stale', field: 'stale' },
  { role: 'alone', field: 'alone' },
  { role: 'degraded', field: 'degraded' },
  { role: 'lost', field: 'lost' },
  { role: 'fenced', field: 'fenced' },
  { role: 'unpublished', field: 'unpublished' },
] as const

/**
 * Registers the metrics. The numbers are read from snapshots when Prometheus scrapes; no call pays for them.
 * Every label has a fixed, small set of values; keys never become labels.
 */
export function registerMetrics(given: MetricsRegistry, sources: MetricSources): void {
  // A prom-client registry by another name: the options do not say so, lest their types need prom-client.
  const registry = given as unknown as Registry
  const snapshots = () => [
    { scope: 'run', snapshot: sources.run() },
    { scope: 'responses', snapshot: sources.responses() },
  ]
  for (const { name, help, field } of counters) {
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
  for (const { name, help, field, factor } of gauges) {
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
      for (const { outcome, field } of outcomes) this.inc({ outcome }, snapshot[field])
    },
  })
  new Counter({
    name: 'holdfast_singleflight_fleet_total',
    help: 'Steps of flights across processes, by what this process did',
    labelNames: ['role'],
    registers: [registry],
    collect() {
      this.reset()
      const { fleet } = sources.run()
      for (const { role, field } of roles) this.inc({ role }, fleet[field])
    },
  })
  new Gauge({
    name: 'holdfast_singleflight_fleet_flights',
    help: 'Flights across processes that this process leads or follows now',
    labelNames: ['role'],
    registers: [registry],
    collect() {
      const { fleet } = sources.run()
      for (const role of ['leading', 'following'] as const) this.set({ role }, fleet[role])
    },
  })
}
