/*
 * What a process tells another one about its metrics: the layout when it has changed, and the numbers. Guarantees: the
 * receiver needs nothing but the last layout and the last numbers; a number that JSON cannot hold arrives all the same.
 */

import { Family } from './family.ts'
import { braced, labelText, numberText } from './label-text.ts'
import { OneRead } from './one-read.ts'
import type { MetricLike } from './registry.ts'

/** One metric without its numbers. */
export interface FamilyLayout {
  readonly name: string
  readonly help: string
  readonly type: string
  /** `sum`, `max`, `min`, `average`, `first` or `omit`, as clients of Prometheus call them. */
  readonly aggregator: string
  /** The beginning of each line: `name{a="1"}`. */
  readonly keys: readonly string[]
}

/** Types that grow, and must never fall. */
export const GROWING: readonly string[] = ['counter', 'histogram', 'summary']

/** What is sent. */
export interface WorkerSnapshot {
  /** Left out where it is that of the snapshot before. */
  readonly layout?: readonly FamilyLayout[]
  /** In the order of the layout; what is not finite is text. */
  readonly values: readonly (number | string)[]
}

interface Read {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly aggregator?: string
  readonly values: readonly {
    readonly value: number
    readonly labels?: Readonly<Record<string, string | number>> | undefined
    readonly metricName?: string | undefined
  }[]
}

/** Whether a metric of whoever it is has answered numbers. */
function isWhole(answer: Partial<Read> | undefined): answer is Read {
  return Array.isArray(answer?.values) && answer.values.every((sample) => typeof sample?.value === 'number')
}

/** Makes snapshots of the metrics of a process. */
export class SnapshotWriter {
  #layout = ''
  /** What grows, as it was read last. Our own can always be read. */
  readonly #grown = new WeakMap<MetricLike, Read>()
  readonly #within: <T>(promise: Promise<T>) => Promise<T>
  readonly #unread: (metric: string) => void
  readonly #reads = new OneRead<Read>(async (metric) => (await metric.get()) as Read)

  /** `within` answers what the promise does, or rejects when it takes too long; `unread` is told of what was not read. */
  constructor(within: <T>(promise: Promise<T>) => Promise<T>, unread: (metric: string) => void = () => {}) {
    this.#within = within
    this.#unread = unread
  }

  /**
   * What has changed since the last one. What cannot be read in time is left out, or, if it grows, what it was.
   * `defaultLabels` are those of every series that has them not.
   */
  async next(
    metrics: readonly MetricLike[],
    defaultLabels: Readonly<Record<string, string>> = {},
  ): Promise<WorkerSnapshot> {
    const plain = Object.keys(defaultLabels).length === 0
    const answers = await Promise.allSettled(metrics.map((metric) => this.#within(this.#reads.of(metric))))
    const layout: FamilyLayout[] = []
    const values: (number | string)[] = []
    for (const [at, metric] of metrics.entries()) {
      const answer = answers[at]
      const isRead = answer?.status === 'fulfilled' && isWhole(answer.value)
      if (!isRead) this.#unread(metric.name)
      const read = isRead ? answer.value : this.#grown.get(metric)
      if (read === undefined) continue
      const { name, help, type, aggregator = 'sum', values: samples } = read
      if (GROWING.includes(type) && !(metric instanceof Family)) this.#grown.set(metric, read)
      const keys = samples.map(({ metricName = name, labels }) => {
        const all = plain ? (labels ?? {}) : { ...defaultLabels, ...labels }
        return metricName + braced(labelText(all))
      })
      layout.push({ name, help, type, aggregator, keys })
      for (const { value } of samples) values.push(Number.isFinite(value) ? value : numberText(value))
    }
    const text = JSON.stringify(layout)
    if (text === this.#layout) return { values }
    this.#layout = text
    return { layout, values }
  }
}
