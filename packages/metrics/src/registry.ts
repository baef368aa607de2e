import type { MetricsRegistry } from '@holdfast/footing'

/** A metric of any client, as far as it is looked at. */
export interface MetricLike {
  readonly name: string
  readonly help: string
  readonly type: string
  get(): unknown
  reset?(): void
}

/** What is needed of a registry: prom-client's has it, its successor's has it, and `OwnRegistry`. */
export interface RegistryLike extends MetricsRegistry {
  getMetricsAsArray(): readonly unknown[]
}

/** A registry for whoever has no prom-client. Metrics of prom-client can be put on it as well. */
export class OwnRegistry implements RegistryLike {
  readonly #metrics = new Map<string, MetricLike>()
  /** Clients look at it when a metric wants exemplars. */
  readonly contentType = 'text/plain; version=0.0.4; charset=utf-8'

  /** Throws when there is another one of that name. */
  registerMetric(metric: MetricLike): void {
    const known = this.#metrics.get(metric.name)
    if (known !== undefined && known !== metric)
      throw new Error(`there is a metric named ${metric.name} already`)
    this.#metrics.set(metric.name, metric)
  }

  getSingleMetric(name: string): MetricLike | undefined {
    return this.#metrics.get(name)
  }

  getMetricsAsArray(): readonly MetricLike[] {
    return [...this.#metrics.values()]
  }
}
