import { OptionChecks } from '@holdfast/footing'
import { DefinitionError } from './errors.ts'

/** A label that takes whatever comes: the first `max` different values, and `other` for those after them. */
export interface OpenLabel {
  /** At most so many values of strangers; 1 to 1000. */
  readonly max: number
  /** Values that have their place whoever comes first, besides `max`. Default: none. */
  readonly reserved?: readonly string[]
}

/** What a label may be: one of a few words, or an `OpenLabel`. */
export type LabelRule = readonly string[] | OpenLabel

/** The labels of a metric by name. */
export type LabelRules = Readonly<Record<string, LabelRule>>

/** The values of one series, as a caller names them. What an open label has no value for is `none`. */
export type LabelsOf<Rules extends LabelRules> = {
  readonly [Label in keyof Rules]: Rules[Label] extends readonly (infer Word)[] ? Word : string | undefined
}

/** How the values of several processes become one. `newest` is that of the process that has started last. */
export type Aggregate = 'sum' | 'max' | 'min' | 'average' | 'newest'

/** What every metric says about itself. */
export interface Definition<Rules extends LabelRules> {
  /** Letters, digits and `_`, with its unit at the end; that of a counter ends with `_total`, and no other does. */
  readonly name: string
  /** One sentence. */
  readonly help: string
  /** Default: none. */
  readonly labels?: Rules
  /** At most so many series; those after them are one, with `other` in every label. Default 2000. */
  readonly maxSeries?: number
}

/** A counter: it only grows. */
export type CounterDefinition<Rules extends LabelRules> = Definition<Rules>

/** A gauge: it goes up and down. */
export interface GaugeDefinition<Rules extends LabelRules> extends Definition<Rules> {
  /** Of several processes. Default `sum`. */
  readonly aggregate?: Aggregate
  /**
   * Called before each scrape, to set what is only known then; may answer a promise. A throw, or a rejection, leaves the
   * values as they are; a promise that takes longer than `collectTimeoutMs` has the gauge left out of that scrape, and it
   * is called again when that has ended.
   */
  readonly collect?: () => void
}

/** A histogram: how many observations were at most so large. */
export interface HistogramDefinition<Rules extends LabelRules> extends Definition<Rules> {
  /** Upper bounds, ascending; 1 to 40. Default: 0.005 to 10, for seconds. */
  readonly buckets?: readonly number[]
}

/** A definition with every default, and a name for each label. */
export interface ResolvedDefinition {
  readonly name: string
  readonly help: string
  readonly labels: LabelRules
  readonly maxSeries: number
}

/** The bounds of a duration in seconds, as the semantic conventions of OpenTelemetry have them. */
export const SECONDS: readonly number[] = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
]

const MAX_SERIES = 2000
const MAX_LABELS = 8
const MAX_WORDS = 200
const MAX_OPEN = 1000
const MAX_BUCKETS = 40
const NAME = /^[a-z][a-z0-9_]{0,119}$/
const LABEL = /^[a-z][a-z0-9_]{0,62}$/
/** `le` is what buckets are told apart by, `quantile` what summaries are. */
const TAKEN = ['le', 'quantile']
const MEMBERS = ['name', 'help', 'labels', 'maxSeries']

/** Raises `HOLDFAST_ERR_METRICS_DEFINITION`. `own` are the members of the kind besides those of every metric. */
export function resolveDefinition(
  kind: 'counter' | 'gauge' | 'histogram',
  given: Definition<LabelRules>,
  own: readonly string[],
): ResolvedDefinition {
  const checks = checksOf(given)
  checks.object('definition', given)
  checks.onlyKnown('', given, [...MEMBERS, ...own])
  const { name, help, labels = {}, maxSeries = MAX_SERIES } = given
  if (typeof name !== 'string' || !NAME.test(name)) {
    checks.refuse('name', 'small letters, digits and "_", beginning with a letter', name)
  }
  if ((kind === 'counter') !== name.endsWith('_total')) {
    const expected =
      kind === 'counter' ? 'a name that ends with _total' : 'a name that does not end with _total'
    checks.refuse('name', `${expected}, as it is a ${kind}`, name)
  }
  checks.text('help', help, 500)
  const entries = Object.entries(checks.object('labels', labels))
  if (entries.length > MAX_LABELS) checks.refuse('labels', `at most ${MAX_LABELS}`, entries.length)
  for (const [label, rule] of entries) checkLabel(label, rule, checks)
  // Series are numbered: past that, two of them would have one number.
  if (entries.reduce((product, [, rule]) => product * placesOf(rule), 1) > Number.MAX_SAFE_INTEGER)
    checks.refuse(
      'labels',
      'fewer, or with fewer values: together they have more than 2^53',
      Object.keys(labels),
    )
  return { name, help, labels, maxSeries: checks.count('maxSeries', maxSeries, 1, 100_000) }
}

/** Raises `HOLDFAST_ERR_METRICS_DEFINITION`. */
export function resolveBuckets({
  buckets = SECONDS,
  ...rest
}: HistogramDefinition<LabelRules>): Float64Array {
  const checks = checksOf(rest)
  const ascending =
    Array.isArray(buckets) &&
    buckets.length > 0 &&
    buckets.length <= MAX_BUCKETS &&
    buckets.every((bound, at) => Number.isFinite(bound) && (at === 0 || bound > (buckets[at - 1] ?? bound)))
  if (!ascending)
    checks.refuse('buckets', `1 to ${MAX_BUCKETS} numbers, each larger than the one before`, buckets)
  return Float64Array.from(buckets)
}

function checkLabel(label: string, rule: LabelRule, checks: OptionChecks): void {
  const member = `labels.${label}`
  if (!LABEL.test(label) || TAKEN.includes(label)) {
    checks.refuse(member, `named with small letters, digits and "_", and not ${TAKEN.join(' or ')}`, label)
  }
  const words = Array.isArray(rule) ? rule : undefined
  if (words === undefined) {
    const open = checks.object(member, rule) as OpenLabel
    checks.onlyKnown(`${member}.`, open, ['max', 'reserved'])
    checks.count(`${member}.max`, open.max, 1, MAX_OPEN)
  }
  const listed: readonly unknown[] = words ?? (rule as OpenLabel).reserved ?? []
  const fits =
    listed.length <= (words === undefined ? MAX_OPEN : MAX_WORDS) && new Set(listed).size === listed.length
  if (!fits || (words !== undefined && listed.length === 0) || !listed.every(isValue)) {
    checks.refuse(member, `1 to ${MAX_WORDS} different texts of at most ${MAX_VALUE} characters`, rule)
  }
}

/** As many values as a label can have, `other` and `none` included. */
function placesOf(rule: LabelRule): number {
  return 'max' in rule ? (rule.reserved ?? []).length + rule.max + 2 : rule.length + 2
}

/** The longest value of a label, in characters. */
export const MAX_VALUE = 128

/** Whether it can be the value of a label. Halves of characters would all be one in UTF-8. */
export function isValue(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_VALUE && value.isWellFormed()
}

function checksOf(given: { readonly name?: unknown }): OptionChecks {
  const name = String(Object(given).name).slice(0, MAX_VALUE)
  return new OptionChecks(
    (member, expected, received) => new DefinitionError(name, member, expected, received),
  )
}
