/*
 * A metric as a registry takes it: an object with `name`, `help`, `type`, `aggregator`, `get()` and `reset()`, which is
 * all that prom-client, its successor and their cluster registries ask for. Nothing of it is on the path of a request:
 * rows are read when somebody looks.
 */
import type { Aggregate } from './definition.ts'
import { boundText, braced, exemplarText, numberText } from './label-text.ts'
import type { CounterRow, GaugeRow, HistogramRow, Row } from './row.ts'

/** The kinds of metrics. */
export type MetricType = 'counter' | 'gauge' | 'histogram'

/** One number of a series, as prom-client's `get()` answers it. */
export interface Sample {
  readonly value: number
  readonly labels: Readonly<Record<string, string | number>>
  readonly metricName?: string
}

/** What `get()` answers. */
export interface Collected {
  readonly name: string
  readonly help: string
  readonly type: MetricType
  readonly aggregator: string
  readonly values: readonly Sample[]
}

/** What a family is made of. */
export interface FamilyParts<R extends Row> {
  readonly name: string
  readonly help: string
  readonly type: MetricType
  readonly aggregate?: Aggregate
  readonly rows: () => Iterable<R>
  readonly form: Form<R>
  /** The names of its labels, as clients of Prometheus have them. */
  readonly labelNames?: readonly string[]
  /** Called before the rows are read. */
  readonly collect?: (() => Promise<void> | undefined) | undefined
  readonly reset: () => void
}

/** How the rows of a kind are told. */
export interface Form<R extends Row> {
  samples(name: string, row: R): readonly Sample[]
  /** Whole lines, each with its end. Exemplars only where the format has them. */
  lines(name: string, row: R, exemplars: boolean): string
}

/** As clients of Prometheus call them. */
export const AGGREGATORS: Readonly<Record<Aggregate, string>> = {
  sum: 'sum',
  max: 'max',
  min: 'min',
  average: 'average',
  newest: 'first',
}

/** One metric with all its series. */
export class Family<R extends Row = Row> {
  readonly name: string
  readonly help: string
  readonly type: MetricType
  readonly aggregator: string
  readonly labelNames: readonly string[]
  readonly #parts: FamilyParts<R>

  constructor(parts: FamilyParts<R>) {
    this.name = parts.name
    this.help = parts.help
    this.type = parts.type
    this.aggregator = AGGREGATORS[parts.aggregate ?? 'sum']
    this.labelNames = parts.labelNames ?? []
    this.#parts = parts
  }

  /** Brings the rows up to date: before they are read. Answers a promise where that takes a while. */
  collect(): Promise<void> | undefined {
    return this.#parts.collect?.()
  }

  /** For a registry of prom-client, and whoever reads it. */
  async get(): Promise<Collected> {
    await this.collect()
    const { name, help, type, aggregator } = this
    const { rows, form } = this.#parts
    const values: Sample[] = []
    for (const row of rows()) values.push(...form.samples(name, row))
    return { name, help, type, aggregator, values }
  }

  /** The lines of each series, one after the other. */
  *lines(exemplars: boolean): Generator<string, void, void> {
    const { rows, form } = this.#parts
    for (const row of rows()) yield form.lines(this.name, row, exemplars)
  }

  /** Everything begins at 0 again; whoever holds a series goes on with it. */
  reset(): void {
    this.#parts.reset()
  }
}

/** A number for each series. */
export const VALUE_FORM: Form<CounterRow | GaugeRow> = {
  samples: (_name, { value, labels }) => [{ value, labels }],
  lines: (name, { text, value }) => `${name}${braced(text)} ${numberText(value)}\n`,
}

/** How many observations each series of a histogram has. */
export const COUNT_FORM: Form<HistogramRow> = {
  samples: (_name, { count, labels }) => [{ value: count, labels }],
  lines: (name, { text, count }) => `${name}${braced(text)} ${count}\n`,
}

/** Buckets, sum and count. */
export const HISTOGRAM_FORM: Form<HistogramRow> = {
  samples(name, { labels, bounds, counts, sum }) {
    const samples: Sample[] = []
    let count = 0
    for (const [at, own] of counts.entries()) {
      count += own
      const le = leText(bounds, at)
      samples.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: count })
    }
    samples.push({ metricName: `${name}_sum`, labels, value: sum })
    samples.push({ metricName: `${name}_count`, labels, value: count })
    return samples
  },
  lines(name, { text, bounds, counts, sum, exemplars }, withExemplars) {
    const ends = endsOf(bounds)
    const head = `${name}_bucket{${text}${text === '' ? '' : ','}`
    let lines = ''
    let count = 0
    for (let at = 0; at < counts.length; at += 1) {
      count += counts[at] ?? 0
      lines += head + ends[at] + count
      const exemplar = withExemplars ? exemplars?.[at] : undefined
      if (exemplar !== undefined)
        lines += exemplarText(exemplar.labels, exemplar.value, exemplar.wallMs / 1000)
      lines += '\n'
    }
    const all = braced(text)
    return `${lines}${name}_sum${all} ${numberText(sum)}\n${name}_count${all} ${count}\n`
  },
}

/** `le="0.005"} ` for each bucket: the same for every series with these bounds. */
const ENDS = new WeakMap<Float64Array, readonly string[]>()

function endsOf(bounds: Float64Array): readonly string[] {
  const known = ENDS.get(bounds)
  if (known !== undefined) return known
  const ends = Array.from({ length: bounds.length + 1 }, (_, at) => `le="${leText(bounds, at)}"} `)
  ENDS.set(bounds, ends)
  return ends
}

function leText(bounds: Float64Array, at: number): string {
  return boundText(bounds[at] ?? Number.POSITIVE_INFINITY)
}
