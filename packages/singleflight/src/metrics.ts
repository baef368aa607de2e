import { type Labelled, type MetricsRegistry, SharedMetrics } from '@holdfast/footing'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { ResponseCounters } from './coalesced-route.ts'
import { checks } from './options.ts'
import type { SingleflightSnapshot } from './singleflight.ts'

/** What one instance shows: `run` is `app.singleflight`, `responses` the coalesced routes. */
export interface Shown {
  readonly run: SingleflightSnapshot
  readonly responses: SingleflightSnapshot & Readonly<ResponseCounters>
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
 * Read from snapshots when Prometheus scrapes; no call pays for them. Every label has a fixed, small set of values;
 * keys never become labels.
 */
export const sharedMetrics = new SharedMetrics<Shown>({
  label: 'app',
  option: 'appName',
  checks,
  metric: 'holdfast_singleflight_executions_total',
  describe,
})

function describe(given: MetricsRegistry, shown: () => readonly Labelled<Shown>[]): void {
  // A prom-client registry by another name: the options do not say so, lest their types need prom-client.
  const registers = [given as unknown as Registry]
  const scopes = () =>
    shown().flatMap(({ labels, snapshot: { run, responses } }) => [
      { labels: { ...labels, scope: 'run' }, snapshot: run },
      { labels: { ...labels, scope: 'responses' }, snapshot: responses },
    ])
  for (const { name, help, field } of counters) {
    new Counter({
      name,
      help,
      labelNames: ['app', 'scope'],
      registers,
      collect() {
        this.reset()
        for (const { labels, snapshot } of scopes()) this.inc(labels, snapshot[field])
      },
    })
  }
  for (const { name, help, field, factor } of gauges) {
    new Gauge({
      name,
      help,
      labelNames: ['app', 'scope'],
      registers,
      collect() {
        this.reset()
        for (const { labels, snapshot } of scopes()) this.set(labels, snapshot[field] * factor)
      },
    })
  }
  new Counter({
    name: 'holdfast_singleflight_responses_total',
    help: 'Requests of coalesced routes that did not lead a flight, by how they were answered',
    labelNames: ['app', 'outcome'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) {
        for (const { outcome, field } of outcomes) this.inc({ ...labels, outcome }, snapshot.responses[field])
      }
    },
  })
  new Counter({
    name: 'holdfast_singleflight_fleet_total',
    help: 'Steps of flights across processes, by what this process did',
    labelNames: ['app', 'role'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) {
        for (const { role, field } of roles) this.inc({ ...labels, role }, snapshot.run.fleet[field])
      }
    },
  })
  new Gauge({
    name: 'holdfast_singleflight_fleet_flights',
    help: 'Flights across processes that this process leads or follows now',
    labelNames: ['app', 'role'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) {
        const { leading, following } = snapshot.run.fleet
        this.set({ ...labels, role: 'leading' }, leading)
        this.set({ ...labels, role: 'following' }, following)
      }
    },
  })
}
