import { type Labelled, type MetricsRegistry, SharedMetrics } from '@holdfast/footing'
import { Gauge, type Registry } from 'prom-client'
import { checks } from './options.ts'
import type { LifecycleSnapshot, LifecycleState } from './snapshot.ts'

const states: readonly LifecycleState[] = ['starting', 'serving', 'cordoned', 'draining', 'closing', 'ended']

/** Read from a snapshot when Prometheus scrapes. The labels are the states and phases there are, and `appName`. */
export const sharedMetrics = new SharedMetrics<LifecycleSnapshot>({
  label: 'app',
  option: 'appName',
  checks,
  metric: 'lifecycle_state',
  describe,
})

function describe(given: MetricsRegistry, shown: () => readonly Labelled<LifecycleSnapshot>[]): void {
  // A prom-client registry by another name: the options do not say so, lest their types need prom-client.
  const registers = [given as unknown as Registry]
  new Gauge({
    name: 'lifecycle_state',
    help: 'State of the instance: 1 for the present one',
    labelNames: ['app', 'state'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) {
        for (const state of states) this.set({ ...labels, state }, state === snapshot.state ? 1 : 0)
      }
    },
  })
  new Gauge({
    name: 'lifecycle_startup_phase_seconds',
    help: 'How long each phase of the start took',
    labelNames: ['app', 'phase'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) {
        for (const { phase, durationMs } of snapshot.phases) {
          this.set({ ...labels, phase }, durationMs / 1000)
        }
      }
    },
  })
  new Gauge({
    name: 'lifecycle_startup_phases_late',
    help: 'Phases of the start that were not over in their time',
    labelNames: ['app'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) {
        this.set(labels, snapshot.phases.filter(({ outcome }) => outcome === 'late').length)
      }
    },
  })
  new Gauge({
    name: 'lifecycle_startup_seconds',
    help: 'From the start of the process until it was ready; absent before',
    labelNames: ['app'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) {
        if (snapshot.startedInMs !== undefined) this.set(labels, snapshot.startedInMs / 1000)
      }
    },
  })
  new Gauge({
    name: 'lifecycle_shutdown_stage_seconds',
    help: 'How long each stage of the way down has taken so far; absent before',
    labelNames: ['app', 'stage'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) {
        for (const { stage, durationMs } of snapshot.stages) {
          this.set({ ...labels, stage }, durationMs / 1000)
        }
      }
    },
  })
  new Gauge({
    name: 'lifecycle_connections',
    help: 'Connections of HTTP/1 clients',
    labelNames: ['app'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) this.set(labels, snapshot.connections)
    },
  })
  new Gauge({
    name: 'lifecycle_requests_in_flight',
    help: 'Connections on which somebody waits for an answer',
    labelNames: ['app'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) this.set(labels, snapshot.inFlight)
    },
  })
}
