export type { Clock, MetricsRegistry } from '@holdfast/footing'
export type { CheckLevel, Outcome } from './check-state.ts'
export type { CheckEvent, FeatureEvent, PhaseEvent } from './events.ts'
export type { DegradedFeature } from './features.ts'
export type { CheckResult } from './observation.ts'
export type { ReportPage } from './operator-reports.ts'
export type {
  CheckOptions,
  HealthOptions,
  LivenessWorkerOptions,
  ManagementOptions,
  Severity,
} from './options.ts'
export { default, type Health, health } from './plugin.ts'
export type { CheckContext } from './poller.ts'
export type { CheckSnapshot, HealthSnapshot, Phase } from './registry.ts'
export type { Status } from './verdict.ts'
