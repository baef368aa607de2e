/*
 * Scrapes of one registry. Guarantees: a scrape lets go of the event loop after `SLICE_MS` of work; a metric that does
 * not answer within `timeoutMs` is left out.
 */
import { afterTurn, type Clock } from '@holdfast/footing'
import type { Format } from './accept.ts'
import { type Answer, expose, readMetric } from './exposition.ts'
import { OneRead } from './one-read.ts'
import type { MetricLike, RegistryLike } from './registry.ts'

/** What they are made with. */
export interface ScrapeSettings {
  readonly registry: RegistryLike
  /** A metric of a client may take so long, in ms. */
  readonly timeoutMs: number
  readonly clock: Clock
  /** Told the name of a metric that could not be read. */
  readonly unread: (metric: string) => void
}

/** Longest work of one turn. */
const SLICE_MS = 5
/** The clock is looked at after so many series. */
const LOOK_AFTER = 32

/** Reads the metrics of a registry. */
export class Scrapes {
  readonly #settings: ScrapeSettings
  readonly #reads = new OneRead<Answer>(readMetric)

  constructor(settings: ScrapeSettings) {
    this.#settings = settings
  }

  /** The text of all metrics. */
  async read(format: Format): Promise<string> {
    const { registry, clock, timeoutMs, unread } = this.#settings
    let beganMs = clock.nowMs()
    let series = 0
    return expose(registry.getMetricsAsArray() as readonly MetricLike[], {
      format,
      defaultLabels: defaultLabelsOf(registry),
      read: (metric) => this.#reads.of(metric),
      unread,
      within: (promise) => within(promise, timeoutMs, clock),
      pause: () => {
        series += 1
        if (series % LOOK_AFTER !== 0 || clock.nowMs() - beganMs < SLICE_MS) return undefined
        return new Promise((resolve) =>
          afterTurn(() => {
            beganMs = clock.nowMs()
            resolve()
          }),
        )
      },
    })
  }
}

/** Those that prom-client was told with `setDefaultLabels`. */
export function defaultLabelsOf(registry: RegistryLike): Readonly<Record<string, string>> {
  const { _defaultLabels: labels } = registry as { readonly _defaultLabels?: unknown }
  return typeof labels === 'object' && labels !== null ? (labels as Record<string, string>) : {}
}

/** What the promise answers, or a rejection after so long. */
export function within<T>(
  promise: Promise<T>,
  timeoutMs: number,
  clock: Pick<Clock, 'schedule'>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.schedule(timeoutMs, () => reject(new Error('it took too long')))
    promise.then(resolve, reject).finally(cancel)
  })
}
