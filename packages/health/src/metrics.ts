import type { MetricsRegistry } from '@holdfast/footing'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { CheckLevel } from './check-state.ts'
import type { HealthRegistry, Phase } from './registry.ts'
import type { Status } from './verdict.ts'

const valueOfLevel: Record<CheckLevel, number> = {
  healthy: 1,
  degraded: 0.5,
  unhealthy: 0,
  unknown: 0,
  starting: 0,
}
const valueOfStatus: Record<Status, number> = { ok: 1, degraded: 0.5, error: 0 }
const phases: readonly Phase[] = ['starting', 'serving', 'draining']

/**
 * Registers the metrics of one health registry. They are read when Prometheus scrapes: checks and probes pay nothing.
 * Label values are the registered checks and the features degraded at present, both bounded by options.
 */
export function registerMetrics(health: HealthRegistry, given: MetricsRegistry): void {
  const registers = [given as unknown as Registry]
  new Gauge({
    name: 'health_check_status',
    help: 'Level of a check: 1 healthy, 0.5 degraded, 0 unhealthy, unknown or starting',
    labelNames: ['check'],
    registers,
    collect() {
      this.reset()
      for (const { name, level } of health.read()) this.set({ check: name }, valueOfLevel[level])
    },
  })
  new Gauge({
    name: 'health_check_response_seconds',
    help: 'Duration of the last execution of a check',
    labelNames: ['check'],
    registers,
    collect() {
      this.reset()
      for (const { name, responseMs } of health.read()) {
        if (responseMs !== undefined) this.set({ check: name }, responseMs / 1000)
      }
    },
  })
  new Counter({
    name: 'health_check_executions_total',
    help: 'Executions of a check that answered, failed or timed out',
    labelNames: ['check'],
    registers,
    collect() {
      this.reset()
      for (const { name, executions } of health.read()) this.inc({ check: name }, executions)
    },
  })
  new Counter({
    name: 'health_check_changes_total',
    help: 'Changes of the level of a check',
    labelNames: ['check'],
    registers,
    collect() {
      this.reset()
      for (const { name, changes } of health.read()) this.inc({ check: name }, changes)
    },
  })
  new Gauge({
    name: 'health_ready',
    help: 'Readiness: 1 ok, 0.5 degraded, 0 answered 503',
    registers,
    collect() {
      this.set(valueOfStatus[health.statusOf('ready', health.read('ready'))])
    },
  })
  new Gauge({
    name: 'health_phase',
    help: 'Phase of the instance: 1 for the present one',
    labelNames: ['phase'],
    registers,
    collect() {
      for (const phase of phases) this.set({ phase }, phase === health.phase ? 1 : 0)
    },
  })
  new Gauge({
    name: 'feature_degraded',
    help: 'Features that are degraded at present',
    labelNames: ['feature'],
    registers,
    collect() {
      this.reset()
      for (const { name } of health.readFeatures()) this.set({ feature: name }, 1)
    },
  })
}
