/** What the packages need of a prom-client `Registry`, so that their types do not need prom-client installed. */
export interface MetricsRegistry {
  registerMetric(metric: never): void
  getSingleMetric(name: string): unknown
}
