/*
 * Makes metrics from definitions and puts them on a registry. Guarantees: a definition that could not be scraped is
 * refused when it is made; recording never throws, whatever is recorded; what found no room or was no number is counted.
 */
import { OptionChecks } from '@holdfast/footing'
import {
  type CounterDefinition,
  type GaugeDefinition,
  type HistogramDefinition,
  type LabelRules,
  type LabelsOf,
  type ResolvedDefinition,
  resolveBuckets,
  resolveDefinition,
} from './definition.ts'
import { DefinitionError, DuplicateError } from './errors.ts'
import { Family, HISTOGRAM_FORM, VALUE_FORM } from './family.ts'
import { LABEL_OVERFLOW, VALUES_REFUSED } from './metrics.ts'
import type { MetricLike, RegistryLike } from './registry.ts'
import { CounterRow, type Exemplar, GaugeRow, HistogramRow, type Row } from './row.ts'
import { type Overflowed, Series } from './series.ts'

/** The arguments of a recording: with labels first where the metric has any. */
export type Given<Rules extends LabelRules, Rest extends unknown[]> = keyof Rules extends never
  ? Rest
  : [labels: LabelsOf<Rules>, ...rest: Rest]

/** A counter, as `app.metrics.counter()` answers it. */
export interface Counter<Rules extends LabelRules> {
  /** Adds 1, or as much as is given. */
  inc(...given: Given<Rules, [by?: number]>): void
  /** One series, to be kept by whoever counts often: counting in it looks nothing up. */
  child(labels: LabelsOf<Rules>): Pick<CounterRow, 'inc' | 'value'>
}

/** A gauge, as `app.metrics.gauge()` answers it. */
export interface Gauge<Rules extends LabelRules> {
  set(...given: Given<Rules, [value: number]>): void
  inc(...given: Given<Rules, [by?: number]>): void
  dec(...given: Given<Rules, [by?: number]>): void
  /** One series, to be kept. */
  child(labels: LabelsOf<Rules>): Pick<GaugeRow, 'set' | 'inc' | 'dec' | 'value'>
}

/** A histogram, as `app.metrics.histogram()` answers it. */
export interface Histogram<Rules extends LabelRules> {
  observe(...given: Given<Rules, [value: number, exemplar?: Omit<Exemplar, 'value'>]>): void
  /** One series, to be kept. */
  child(labels: LabelsOf<Rules>): Pick<HistogramRow, 'observe' | 'count' | 'sum'>
}

type Labels = Readonly<Record<string, unknown>>

/** All that is made with one registry. */
export class MetricSet {
  readonly registry: RegistryLike
  /** Counts a value of a label that found no room; `told` hears of the first. */
  readonly overflowed: Overflowed
  readonly #refused: (metric: string) => void

  /** `told` hears of every label that has no room, the first time. */
  constructor(registry: RegistryLike, told: Overflowed = () => {}) {
    this.registry = registry
    const heard = new Set<string>()
    const lost: Overflowed = () => {}
    const overflows = this.#counter(LABEL_OVERFLOW, lost)
    const refusals = this.#counter(VALUES_REFUSED, lost)
    this.overflowed = (metric, label) => {
      overflows.inc({ metric, label })
      const key = `${metric} ${label}`
      if (heard.has(key) || heard.size >= MAX_TOLD) return
      heard.add(key)
      told(metric, label)
    }
    this.#refused = (metric) => refusals.inc({ metric })
  }

  /** Raises `HOLDFAST_ERR_METRICS_DEFINITION` and `HOLDFAST_ERR_METRICS_DUPLICATE`. */
  counter<const Rules extends LabelRules = NoLabels>(definition: CounterDefinition<Rules>): Counter<Rules> {
    return this.#counter(definition, this.overflowed)
  }

  /** Raises `HOLDFAST_ERR_METRICS_DEFINITION` and `HOLDFAST_ERR_METRICS_DUPLICATE`. */
  gauge<const Rules extends LabelRules = NoLabels>(definition: GaugeDefinition<Rules>): Gauge<Rules> {
    const resolved = resolveDefinition('gauge', definition, ['aggregate', 'collect'])
    const { aggregate = 'sum', collect } = definition
    const checks = checksOf(resolved.name)
    checks.oneOf('aggregate', aggregate, ['sum', 'max', 'min', 'average', 'newest'])
    checks.callable('collect', collect)
    const refused = () => this.#refused(resolved.name)
    const series = new Series(resolved, (labels) => new GaugeRow(labels, refused), this.overflowed)
    this.#register(resolved, 'gauge', series, {
      form: VALUE_FORM,
      aggregate,
      collect: collect && contained(collect),
    })
    return {
      set: recording(series, (row, value: number) => row.set(value)),
      inc: recording(series, (row, by?: number) => row.inc(by)),
      dec: recording(series, (row, by?: number) => row.dec(by)),
      child: (labels) => series.at(labels),
    }
  }

  /** Raises `HOLDFAST_ERR_METRICS_DEFINITION` and `HOLDFAST_ERR_METRICS_DUPLICATE`. */
  histogram<const Rules extends LabelRules = NoLabels>(
    definition: HistogramDefinition<Rules>,
  ): Histogram<Rules> {
    const resolved = resolveDefinition('histogram', definition, ['buckets'])
    const bounds = resolveBuckets(definition)
    const series = new Series(resolved, this.histogramRow(resolved.name, bounds), this.overflowed)
    series.makeAhead()
    this.#register(resolved, 'histogram', series, { form: HISTOGRAM_FORM })
    return {
      observe: recording(series, (row, value: number, exemplar?: Omit<Exemplar, 'value'>) =>
        row.observe(value, exemplar),
      ),
      child: (labels) => series.at(labels),
    }
  }

  /**
   * A counter of what is counted elsewhere, read at each scrape; what has fallen there stays as it was. Raises
   * `HOLDFAST_ERR_METRICS_DEFINITION` and `HOLDFAST_ERR_METRICS_DUPLICATE`.
   */
  readCounter(definition: CounterDefinition<NoLabels>, read: () => number): void {
    const resolved = resolveDefinition('counter', definition, [])
    const row = new CounterRow({}, () => this.#refused(resolved.name))
    const collect = contained(() => row.inc(Math.max(0, read() - row.value)))
    const rows = [row]
    this.add(
      new Family({
        ...resolved,
        type: 'counter',
        rows: () => rows,
        form: VALUE_FORM,
        collect,
        reset: () => row.reset(),
      }),
    )
  }

  /** Makes rows of a histogram that is put together by hand. */
  histogramRow(metric: string, bounds: Float64Array) {
    const refused = () => this.#refused(metric)
    return (labels: Readonly<Record<string, string>>) => new HistogramRow(labels, bounds, refused)
  }

  /**
   * Puts a metric on the registry that is not made here. Raises `HOLDFAST_ERR_METRICS_DUPLICATE`, and
   * `HOLDFAST_ERR_METRICS_DEFINITION` where its lines could not be told from those of another metric.
   */
  add(family: Family): void {
    if (this.registry.getSingleMetric(family.name) !== undefined) throw new DuplicateError(family.name)
    const alike = alikeIn(this.registry, family)
    if (alike !== undefined)
      checksOf(family.name).refuse('name', `one that a scrape can tell from "${alike}"`, family.name)
    // The registries of clients name their own classes, and take whatever has their members.
    this.registry.registerMetric(family as never)
  }

  #counter<Rules extends LabelRules>(
    definition: CounterDefinition<Rules>,
    overflowed: Overflowed,
  ): Counter<Rules> {
    const resolved = resolveDefinition('counter', definition, [])
    const refused = () => this.#refused(resolved.name)
    const series = new Series(resolved, (labels) => new CounterRow(labels, refused), overflowed)
    series.makeAhead()
    this.#register(resolved, 'counter', series, { form: VALUE_FORM })
    return {
      inc: recording(series, (row, by?: number) => row.inc(by)),
      child: (labels) => series.at(labels),
    }
  }

  #register<R extends Row & { reset(): void }>(
    { name, help, labels }: ResolvedDefinition,
    type: 'counter' | 'gauge' | 'histogram',
    series: Series<R>,
    rest: Pick<ConstructorParameters<typeof Family<R>>[0], 'form' | 'aggregate' | 'collect'>,
  ): void {
    const reset = () => {
      for (const row of series.rows()) row.reset()
    }
    const labelNames = Object.keys(labels)
    this.add(new Family<R>({ name, help, type, labelNames, rows: () => series.rows(), reset, ...rest }))
  }
}

type NoLabels = Readonly<Record<never, never>>

/** A log line for each is enough for so many. */
const MAX_TOLD = 100

/** With labels where there are any, and without where there are none. */
function recording<R extends Row, First, Second>(
  series: Series<R>,
  record: (row: R, first: First, second: Second) => void,
) {
  // Arguments by name: gathering them would cost more than recording.
  return (first?: unknown, second?: unknown, third?: unknown): void => {
    if (typeof first === 'object' && first !== null) {
      record(series.at(first as Labels), second as First, third as Second)
    } else record(series.at(NO_LABELS), first as First, second as Second)
  }
}

const NO_LABELS: Labels = {}

/**
 * The values stay what they were: a gauge that cannot be read takes no scrape with it. One that is being read is not read
 * once more: what hangs would pile up, and what comes late would overwrite what is newer.
 */
function contained(collect: () => unknown): () => Promise<void> | undefined {
  let running: Promise<void> | undefined
  const end = (): void => {
    running = undefined
  }
  return () => {
    if (running !== undefined) return running
    try {
      const answer = collect() as PromiseLike<unknown> | undefined
      if (typeof answer?.then !== 'function') return undefined
      running = Promise.resolve(answer).then(end, end)
      return running
    } catch {
      return undefined
    }
  }
}

/** The lines of a histogram, and of a summary. */
const PARTS = ['bucket', 'sum', 'count']

/**
 * The metric that this one cannot stand beside: `x_total` and `x` have one name in OpenMetrics, and the lines of a
 * histogram `x` are called `x_count`.
 */
function alikeIn(registry: RegistryLike, { name, type }: Family): string | undefined {
  const typeOf = (one: string) => (registry.getSingleMetric(one) as MetricLike | undefined)?.type
  const [, base = '', part] = /^(.+)_(total|bucket|sum|count)$/.exec(name) ?? []
  const ofBase = typeOf(base)
  if (part === 'total' ? ofBase !== undefined : ofBase === 'histogram' || ofBase === 'summary') return base
  const parts = type === 'histogram' ? ['total', ...PARTS] : ['total']
  return parts.map((one) => `${name}_${one}`).find((one) => typeOf(one) !== undefined)
}

function checksOf(name: string): OptionChecks {
  return new OptionChecks(
    (member, expected, received) => new DefinitionError(name, member, expected, received),
  )
}
