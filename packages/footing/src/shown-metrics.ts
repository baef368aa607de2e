// Metrics of prom-client that are known already: at a scrape each is read from the snapshots of all instances. prom-client
// comes in as an argument, so that nobody needs it who has no metrics.

import type { MetricsRegistry } from './metrics-registry.ts'
import type { Labelled } from './shared-metrics.ts'

/** One metric, and what it is in a snapshot: a number, or a number for each value of one more label. */
export type ShownMetric<Snapshot> = {
  readonly name: string
  readonly help: string
} & (
  | { readonly label?: undefined; readonly read: (snapshot: Snapshot) => number }
  | { readonly label: string; readonly read: (snapshot: Snapshot) => Readonly<Record<string, number>> }
)

/** Where they are shown. */
export interface Showing<Snapshot> {
  readonly registry: MetricsRegistry
  /** The label that tells instances apart. */
  readonly label: string
  readonly shown: () => readonly Labelled<Snapshot>[]
}

/** What is used of a counter or a gauge. */
interface Cleared {
  reset(): void
  inc(labels: Readonly<Record<string, string>>, value: number): void
}

/** Registers metrics of one kind: `Kind` is the `Counter` or the `Gauge` of prom-client. */
export function showMetrics<Snapshot>(
  Kind: new (configuration: never) => unknown,
  metrics: readonly ShownMetric<Snapshot>[],
  { registry, label, shown }: Showing<Snapshot>,
): void {
  for (const metric of metrics) {
    const { name, help } = metric
    const configuration = {
      name,
      help,
      labelNames: metric.label === undefined ? [label] : [label, metric.label],
      registers: [registry],
      collect(this: Cleared) {
        this.reset()
        for (const { labels, snapshot } of shown()) {
          if (metric.label === undefined) {
            this.inc(labels, metric.read(snapshot))
            continue
          }
          for (const [value, count] of Object.entries(metric.read(snapshot))) {
            this.inc({ ...labels, [metric.label]: value }, count)
          }
        }
      },
    }
    new Kind(configuration as never)
  }
}
