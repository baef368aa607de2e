import { type Labelled, type MetricsRegistry, SharedMetrics } from '@holdfast/footing'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { CheckLevel } from './check-state.ts'
import type { DegradedFeature } from './features.ts'
import { checks } from './options.ts'
import type { CheckSnapshot, HealthRegistry, Phase } from './registry.ts'
import type { Status } from './verdict.ts'

const valueOfLevel: Record<CheckLevel, number> = {
  healthy: 1,
  degraded: 0.5,
  unhealthy: 0,
  unknown: 0,
  starting: 0,
}
const valueOfStatus: Record<Status, number> = { ok: 1, degraded: 0.5, error: 0 }
const phases: readonly Phase[] = ['starting', 'serving', 'cordoned', 'draining']

/** What one instance shows. */
export interface Shown {
  readonly checks: readonly CheckSnapshot[]
  readonly features: readonly DegradedFeature[]
  readonly ready: Status
  readonly phase: Phase
}

/**
 * Read when Prometheus scrapes: checks and probes pay nothing. Label values are the registered checks and the
 * features degraded at present, both bounded by options, and `appName`.
 */
export const sharedMetrics = new SharedMetrics<Shown>({
  label: 'app',
  option: 'appName',
  checks,
  metric: 'health_check_status',
  describe,
})

/** Reads one health registry. */
export function shownOf(health: HealthRegistry): Shown {
  return {
    checks: health.read(),
    features: health.readFeatures(),
    ready: health.statusOf('ready', health.read('ready')),
    phase: health.phase,
  }
}

function describe(given: MetricsRegistry, shown: () => readonly Labelled<Shown>[]): void {
  // A prom-client registry by another name: the options do not say so, lest their types need prom-client.
  const registers = [given as unknown as Registry]
  const rows = () =>
    shown().flatMap(({ labels, snapshot }) =>
      snapshot.checks.map((check) => ({ labels: { ...labels, check: check.name }, check })),
    )
  new Gauge({
    name: 'health_check_status',
    help: 'Level of a check: 1 healthy, 0.5 degraded, 0 unhealthy, unknown or starting',
    labelNames: ['app', 'check'],
    registers,
    collect() {
      this.reset()
      for (const { labels, check } of rows()) this.set(labels, valueOfLevel[check.level])
    },
  })
  new Gauge({
    name: 'health_check_response_seconds',
    help: 'Duration of the last execution of a check',
    labelNames: ['app', 'check'],
    registers,
    collect() {
      this.reset()
      for (const { labels, check } of rows()) {
        if (check.responseMs !== undefined) this.set(labels, check.responseMs / 1000)
      }
    },
  })
  new Counter({
    name: 'health_check_executions_total',
    help: 'Executions of a check that answered, failed or timed out',
    labelNames: ['app', 'check'],
    registers,
    collect() {
      this.reset()
      for (const { labels, check } of rows()) this.inc(labels, check.executions)
    },
  })
  new Counter({
    name: 'health_check_changes_total',
    help: 'Changes of the level of a check',
    labelNames: ['app', 'check'],
    registers,
    collect() {
      this.reset()
      for (const { labels, check } of rows()) this.inc(labels, check.changes)
    },
  })
  new Gauge({
    name: 'health_ready',
    help: 'Readiness: 1 ok, 0.5 degraded, 0 answered 503',
    labelNames: ['app'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) this.set(labels, valueOfStatus[snapshot.ready])
    },
  })
  new Gauge({
    name: 'health_phase',
    help: 'Phase of the instance: 1 for the present one',
    labelNames: ['app', 'phase'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) {
        for (const phase of phases) this.set({ ...labels, phase }, phase === snapshot.phase ? 1 : 0)
      }
    },
  })
  new Gauge({
    name: 'feature_degraded',
    help: 'Features that are degraded at present',
    labelNames: ['app', 'feature'],
    registers,
    collect() {
      this.reset()
      for (const { labels, snapshot } of shown()) {
        for (const { name } of snapshot.features) this.set({ ...labels, feature: name }, 1)
      }
    },
  })
}
