export type { Clock, MetricsRegistry } from '@holdfast/footing'
export {
  type CheckRun,
  checkDeployment,
  type DeploymentCheck,
  type DeploymentCheckResult,
  type DeploymentReport,
  exitCodeOf,
  type Finding,
  type Found,
  type Verdict,
} from './deployment-check.ts'
export { reportBody, reportJunit, reportText } from './deployment-report.ts'
export * as errors from './errors.ts'
export type { PhaseEvent, StateEvent } from './events.ts'
export {
  type Ending,
  type HealthPort,
  Lifecycle,
  type LifecycleSnapshot,
  type LifecycleState,
  type ServedApplication,
  type Surroundings,
} from './lifecycle.ts'
export type { LifecycleLog, LifecycleOptions } from './options.ts'
export { default, type LifecyclePluginOptions, lifecycle } from './plugin.ts'
export type { ShutdownStage, StageRecord } from './shutdown.ts'
export type { ProcessPort } from './signals.ts'
export { type PhaseOutcome, type PhaseRecord, type StartPhase, startPhases } from './start-up.ts'
export {
  type EndReason,
  type ForkedWorker,
  WorkerFleet,
  type WorkerFleetSettings,
  type WorkerFleetSnapshot,
} from './worker-fleet.ts'
