import type { MetricsRegistry } from './metrics-registry.ts'
import type { OptionChecks } from './option-checks.ts'

/** What one instance shows at a scrape, with the label that tells it from the others. */
export interface Labelled<Snapshot> {
  /** Empty for the one instance of a registry that was given no name. */
  readonly labels: Readonly<Record<string, string>>
  readonly snapshot: Snapshot
}

/** What a package says once about its metrics. */
export interface SharedMetricsSettings<Snapshot> {
  /** The label that tells instances apart. */
  readonly label: string
  /** The option that names an instance: the value of the label. */
  readonly option: string
  /** Refuses a second instance of one name, as an option of the package. */
  readonly checks: OptionChecks
  /** The name of one of the metrics: where it is gone, the registry was cleared and is told again. */
  readonly metric: string
  /**
   * Registers every metric; `shown` is for the scrape, and answers all instances. It is cheap to call for each
   * metric: the snapshots are taken once in a scrape.
   */
  readonly describe: (registry: MetricsRegistry, shown: () => readonly Labelled<Snapshot>[]) => void
}

/**
 * The metrics of one package on any number of registries. A registry takes every name only once, but scopes beside
 * each other, or two applications of a process, may share one: the first instance registers the metrics, the others
 * add their rows. Instances never add up: two with one name are refused, because nobody could tell their rows apart,
 * and a sum would fall when one of them closes, which Prometheus takes for a restart.
 */
export class SharedMetrics<Snapshot> {
  readonly #settings: SharedMetricsSettings<Snapshot>
  readonly #instances = new WeakMap<MetricsRegistry, Map<string | undefined, () => Snapshot>>()

  constructor(settings: SharedMetricsSettings<Snapshot>) {
    this.#settings = settings
  }

  /**
   * Shows an instance until the function it returns is called. `name` becomes the label; one instance of a registry
   * may have none. Throws the error of `checks` when another one has the name.
   */
  share(registry: MetricsRegistry, name: string | undefined, read: () => Snapshot): () => void {
    const { option, checks, metric, describe } = this.#settings
    const instances = this.#instances.get(registry) ?? new Map<string | undefined, () => Snapshot>()
    if (instances.has(name)) checks.refuse(option, 'another one than that of who shares its registry', name)
    if (registry.getSingleMetric(metric) === undefined) {
      describe(
        registry,
        sharedWithinAScrape(() => this.#read(instances)),
      )
    }
    this.#instances.set(registry, instances)
    const own = () => read()
    instances.set(name, own)
    return () => {
      // A late call must not take out whoever has the name now.
      if (instances.get(name) === own) instances.delete(name)
    }
  }

  #read(instances: ReadonlyMap<string | undefined, () => Snapshot>): readonly Labelled<Snapshot>[] {
    return [...instances].map(([name, read]) => ({
      labels: name === undefined ? {} : { [this.#settings.label]: name },
      snapshot: read(),
    }))
  }
}

/** One scrape collects all metrics in one go: the snapshots are taken once for it. */
function sharedWithinAScrape<T>(take: () => T): () => T {
  let taken: { readonly value: T } | undefined
  return () => {
    if (taken === undefined) {
      taken = { value: take() }
      queueMicrotask(() => {
        taken = undefined
      })
    }
    return taken.value
  }
}
