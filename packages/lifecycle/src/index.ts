export type { Clock, MetricsRegistry } from '@holdfast/footing'
export type { HealthPort, ServedApplication, Surroundings } from './attached-application.ts'
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
export type { Ending } from './ending.ts'
export * as errors from './errors.ts'
export type { PhaseEvent, StateEvent } from './events.ts'
export { Lifecycle } from './lifecycle.ts'
export type { LifecycleLog, LifecycleOptions } from './options.ts'
export { default, type LifecyclePluginOptions, lifecycle } from './plugin.ts'
export type { ShutdownStage, StageRecord } from './shutdown.ts'
export type { ProcessPort } from './signals.ts'
export type { LifecycleSnapshot, LifecycleState } from './snapshot.ts'
export { type PhaseOutcome, type PhaseRecord, type StartPhase, startPhases } from './start-up.ts'
export {
  type EndReason,
  type ForkedWorker,
  LOSS_REASONS,
  type LossReason,
  WorkerFleet,
  type WorkerFleetSettings,
  type WorkerFleetSnapshot,
} from './worker-fleet.ts'
export type { Watched } from './worker-watch.ts'
