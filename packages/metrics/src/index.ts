export type { Clock, MetricsRegistry } from '@holdfast/footing'
export { CONTENT_TYPES, type Format, formatOf } from './accept.ts'
export type { RuntimeClock } from './clock.ts'
export {
  type ClusterMetrics,
  type ClusterSettings,
  ClusterWorker,
  collectCluster,
} from './cluster-process.ts'
export { type CollectorSettings, collectorServer } from './collector-listener.ts'
export type {
  Aggregate,
  CounterDefinition,
  Definition,
  GaugeDefinition,
  HistogramDefinition,
  LabelRule,
  LabelRules,
  LabelsOf,
  OpenLabel,
} from './definition.ts'
export { ERROR_TYPES, type ErrorType } from './errors-seen.ts'
export { HttpRequests, type RouteRecorder } from './http-requests.ts'
export { type Counter, type Gauge, type Histogram, MetricSet } from './metric-set.ts'
export { type OperationSummary, OperationTimes } from './operation-times.ts'
export type { MetricsOptions } from './options.ts'
export { type Metrics, type MetricsSnapshot, metrics, metrics as default } from './plugin.ts'
export { type MetricLike, OwnRegistry, type RegistryLike } from './registry.ts'
export type { Exemplar } from './row.ts'
