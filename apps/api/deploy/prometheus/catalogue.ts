// What rules and panels are made of: a metric, or a label, that the service does not have does not compile.

import { METRICS } from './service-metrics.ts'

/** By name. `up` is Prometheus' own. */
export const CATALOGUE = { up: { type: 'gauge', labels: [] }, ...METRICS } as const

/** One of them. */
export type MetricName = keyof typeof CATALOGUE

/** What Prometheus adds to every series. */
type Target = 'job' | 'instance'

/** The labels that a metric has. */
export type LabelOf<Name extends MetricName> = (typeof CATALOGUE)[Name]['labels'][number] | Target

/** What a label must be: `="GET"`, `!="GET"`, `=~"5.."`, `!~"/health.*"`. */
type Matcher = `=${string}` | `!${string}`

/** `name{label="value"}`: a metric of the catalogue, by labels that it has. */
export function series<Name extends MetricName>(
  name: Name,
  matchers?: Partial<Record<LabelOf<Name>, Matcher>>,
): string {
  return name + matching(matchers)
}

/** How much a counter grows in a second, over a time. */
export function rate(counter: string, over = '5m'): string {
  return `rate(${counter}[${over}])`
}

/** A sum, by labels where there are any. */
export function sum(expression: string, ...by: readonly string[]): string {
  return by.length === 0 ? `sum(${expression})` : `sum by (${by.join(', ')}) (${expression})`
}

type Histogram = {
  [Name in MetricName]: (typeof CATALOGUE)[Name]['type'] extends 'histogram' ? Name : never
}[MetricName]

/** A quantile of a histogram over all series, or by labels. */
export function quantile(
  share: number,
  name: Histogram,
  matchers: Readonly<Record<string, Matcher>> = {},
  by: readonly string[] = [],
): string {
  return `histogram_quantile(${share}, ${sum(rate(`${name}_bucket${matching(matchers)}`), ...by, 'le')})`
}

function matching(matchers: object = {}): string {
  const all = Object.entries(matchers).map(([label, matcher]) => `${label}${matcher}`)
  return all.length === 0 ? '' : `{${all.join(',')}}`
}

/** Requests of people and programs: probes are many, quick and never fail. */
export const NO_PROBES = { route: '!~"/health.*|/livez.*|/readyz.*|/startupz.*|/live|/ready"' } as const

/** Of the service alone. */
export const JOB = { job: '="holdfast-api"' } as const
