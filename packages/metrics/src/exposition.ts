/*
 * The text of a scrape, in both formats, of metrics of this package and of any client. Guarantees: a family is told once
 * and whole; a metric that cannot be read in time, or answers what is no number, is left out and named, and takes no other
 * with it; the event loop gets its turn whenever `pause` says so.
 */
import type { Format } from './accept.ts'
import { Family } from './family.ts'
import { braced, escapeHelp, exemplarText, labelText, numberText } from './label-text.ts'
import type { MetricLike } from './registry.ts'

/** What a metric of a client answers when it is read. */
export interface Answer {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly values: readonly ForeignSample[]
}

interface ForeignSample {
  readonly value: number
  readonly labels?: Readonly<Record<string, string | number>> | undefined
  readonly sharedLabels?: Readonly<Record<string, string | number>> | undefined
  readonly metricName?: string | undefined
  readonly exemplar?: {
    readonly labelSet: unknown
    readonly value: number
    readonly timestamp?: number | undefined
  } | null
}

/** What a scrape is made with. */
export interface ExposeOptions {
  readonly format: Format
  /** Labels of every series that has them not. */
  readonly defaultLabels: Readonly<Record<string, string>>
  /** What a metric answers. */
  readonly read: (metric: MetricLike) => Promise<Answer>
  /** Answers a promise when it is time to let others work. */
  readonly pause: () => Promise<void> | undefined
  /** Answers what the promise does, or rejects when it takes too long. */
  readonly within: <T>(promise: Promise<T>) => Promise<T>
  /** Told the name of a metric that could not be read. */
  readonly unread: (metric: string) => void
}

/** Reads all metrics, at one moment where they can be, and tells them. */
export async function expose(metrics: readonly MetricLike[], options: ExposeOptions): Promise<string> {
  const { format, defaultLabels, read, pause, within, unread } = options
  const openMetrics = format === 'openmetrics'
  const plain = Object.keys(defaultLabels).length === 0
  // All at once, in one turn: several of them may share what they look at.
  const reading = metrics.map((metric) =>
    metric instanceof Family && plain ? upToDate(metric, within) : within(read(metric)),
  )
  for (const one of reading) if (one instanceof Promise) one.catch(() => {})
  let text = ''
  for (const [at, one] of reading.entries()) {
    const before = text
    try {
      const told = one instanceof Promise ? await one : one
      for (const lines of told instanceof Family
        ? linesOfFamily(told, openMetrics)
        : linesOf(told, defaultLabels, openMetrics)) {
        text += lines
        const paused = pause()
        if (paused !== undefined) await paused
      }
    } catch {
      text = before
      unread(metrics[at]?.name ?? '')
    }
  }
  return openMetrics ? `${text}# EOF\n` : text
}

/** The family itself, or, where it has to ask first, a promise of it. */
function upToDate(family: Family, within: ExposeOptions['within']): Family | Promise<Family> {
  const collecting = family.collect()
  return collecting === undefined ? family : within(collecting).then(() => family)
}

function* linesOfFamily(family: Family, openMetrics: boolean): Generator<string, void, void> {
  yield head(family, openMetrics)
  yield* family.lines(openMetrics)
}

/** A synchronous throw is one more metric that cannot be read. */
export async function readMetric(metric: MetricLike): Promise<Answer> {
  const { getForPromString } = metric as { readonly getForPromString?: unknown }
  // The buckets of a histogram share their labels there.
  const answer = typeof getForPromString === 'function' ? getForPromString.call(metric) : metric.get()
  return (await answer) as Answer
}

function head(
  { name, help, type }: Pick<MetricLike, 'name' | 'help' | 'type'>,
  openMetrics: boolean,
): string {
  const family = openMetrics && type === 'counter' ? name.replace(/_total$/, '') : name
  return `# HELP ${family} ${escapeHelp(help, openMetrics)}\n# TYPE ${family} ${type}\n`
}

function* linesOf(
  answer: Answer,
  defaultLabels: Readonly<Record<string, string>>,
  openMetrics: boolean,
): Generator<string, void, void> {
  const { name, type, values } = answer
  const suffix = openMetrics && type === 'counter' && !name.endsWith('_total') ? '_total' : ''
  yield head(answer, openMetrics)
  for (const { metricName = name, labels, sharedLabels, value, exemplar } of values) {
    // One line that is none would make the whole scrape unreadable.
    if (typeof value !== 'number') throw new TypeError(`${name} has a value that is no number`)
    const all = labelText({ ...defaultLabels, ...sharedLabels, ...labels })
    const extra =
      openMetrics && exemplar ? exemplarText(exemplar.labelSet, exemplar.value, exemplar.timestamp) : ''
    yield `${metricName}${suffix}${braced(all)} ${numberText(value)}${extra}\n`
  }
}
