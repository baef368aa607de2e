/*
 * The metrics of several processes as those of one. Guarantees: a counter never falls, because what a process had
 * counted is kept when it ends; nobody is asked while they are told, so that a process that hangs holds nothing up; what
 * a process was at (its gauges) ends with it.
 */
import type { Format } from './accept.ts'
import type { Aggregate } from './definition.ts'
import { AGGREGATORS } from './family.ts'
import { escapeHelp, numberText } from './label-text.ts'
import { WORKERS } from './metrics.ts'
import { type FamilyLayout, GROWING, type WorkerSnapshot } from './worker-snapshot.ts'

/** How the totals are made. */
export interface TotalsSettings {
  /** A process that has sent nothing for so long counts as stale, in ms. */
  readonly staleAfterMs: number
  /** Most series that are kept of processes that have ended. */
  readonly maxRetired: number
  /** How gauges become one that do not say so themselves, by name. */
  readonly aggregates: Readonly<Record<string, Aggregate>>
}

interface Member {
  readonly since: number
  layout: readonly FamilyLayout[]
  values: readonly number[]
  heardMs: number
}

/** A sum with what rounding would have lost of it: in whichever order it is made, it is the same number. */
interface Amount {
  value: number
  rest: number
  /** How many it is made of. */
  of: number
}

interface Total {
  readonly layout: Omit<FamilyLayout, 'keys'>
  readonly values: Map<string, Amount>
}

/** The processes and what they have counted. */
export class WorkerTotals {
  readonly #settings: TotalsSettings
  readonly #members = new Map<number, Member>()
  /** The process that adds up, where it has metrics itself. */
  #primary: Member | undefined
  readonly #retired = new Map<string, Total>()
  #retiredSeries = 0
  #dropped = 0
  #joined = 0

  constructor(settings: TotalsSettings) {
    this.#settings = settings
  }

  /** Series of ended processes that were left out, because there were `maxRetired`. */
  get dropped(): number {
    return this.#dropped
  }

  /** A snapshot has come. One whose layout nobody knows is left out: the next layout comes with its numbers. */
  hear(worker: number, snapshot: WorkerSnapshot, nowMs: number): void {
    const known = this.#members.get(worker)
    if (known === undefined && snapshot.layout === undefined) return
    this.#joined += known === undefined ? 1 : 0
    const member = known ?? { since: this.#joined, layout: [], values: [], heardMs: nowMs }
    note(member, snapshot)
    member.heardMs = nowMs
    this.#members.set(worker, member)
  }

  /** What the process that adds up has counted itself; it never ends, and is none of those that are live or stale. */
  hearPrimary(snapshot: WorkerSnapshot): void {
    this.#primary ??= { since: 0, layout: [], values: [], heardMs: 0 }
    note(this.#primary, snapshot)
  }

  /** A process has ended. */
  retire(worker: number): void {
    const member = this.#members.get(worker)
    if (member === undefined) return
    this.#members.delete(worker)
    for (const { family, key, value } of seriesOf(member)) {
      if (!GROWING.includes(family.type) || family.aggregator === 'omit' || !isSum(family, key)) continue
      const kept: Total = this.#retired.get(family.name) ?? { layout: headOf(family), values: new Map() }
      this.#retired.set(family.name, kept)
      const before = kept.values.get(key)
      if (before === undefined && this.#retiredSeries >= this.#settings.maxRetired) {
        this.#dropped += 1
        continue
      }
      this.#retiredSeries += before === undefined ? 1 : 0
      if (before === undefined) kept.values.set(key, { value, rest: 0, of: 1 })
      else addUp(before, value)
    }
  }

  /** The text of all of them together. */
  text(format: Format, nowMs: number): string {
    const openMetrics = format === 'openmetrics'
    const totals = new Map<string, Total>()
    for (const [name, { layout, values }] of this.#retired) {
      totals.set(name, {
        layout,
        values: new Map([...values].map(([key, amount]) => [key, { ...amount }])),
      })
    }
    // The one that has started last comes last: of what has one value only, it is that.
    const members = [...this.#members.values()].sort((a, b) => a.since - b.since)
    for (const member of this.#primary === undefined ? members : [this.#primary, ...members]) {
      for (const { family, key, value } of seriesOf(member)) {
        const aggregator = this.#aggregatorOf(family)
        if (aggregator === 'omit' || !isSum(family, key)) continue
        let total = totals.get(family.name)
        if (total === undefined) {
          total = { layout: headOf(family), values: new Map() }
          totals.set(family.name, total)
        }
        const before = total.values.get(key)
        if (before === undefined) total.values.set(key, { value, rest: 0, of: 1 })
        else add(before, value, aggregator)
      }
    }
    let text = ''
    for (const total of totals.values()) text += linesOf(total, openMetrics)
    return `${text}${this.#own(nowMs)}${openMetrics ? '# EOF\n' : ''}`
  }

  #aggregatorOf({ name, type, aggregator }: FamilyLayout): string {
    if (GROWING.includes(type)) return aggregator === 'omit' ? 'omit' : 'sum'
    const said = this.#settings.aggregates[name]
    return said === undefined ? aggregator : AGGREGATORS[said]
  }

  #own(nowMs: number): string {
    const all = [...this.#members.values()]
    const stale = all.filter(({ heardMs }) => nowMs - heardMs > this.#settings.staleAfterMs).length
    return [
      `# HELP ${WORKERS.name} ${WORKERS.help}`,
      `# TYPE ${WORKERS.name} gauge`,
      `${WORKERS.name}{state="live"} ${all.length - stale}`,
      `${WORKERS.name}{state="stale"} ${stale}`,
      '',
    ].join('\n')
  }
}

function note(member: Member, { layout, values }: WorkerSnapshot): void {
  member.layout = layout ?? member.layout
  member.values = values.map(numberOf)
}

function* seriesOf({ layout, values }: Member) {
  let at = 0
  for (const family of layout) {
    for (const key of family.keys) {
      yield { family, key, value: values[at] ?? Number.NaN }
      at += 1
    }
  }
}

/** The quantiles of several processes are those of none together. */
function isSum({ type, name }: Pick<FamilyLayout, 'type' | 'name'>, key: string): boolean {
  return type !== 'summary' || !key.startsWith(`${name}{`)
}

function headOf({ name, help, type, aggregator }: FamilyLayout): Omit<FamilyLayout, 'keys'> {
  return { name, help, type, aggregator }
}

function add(total: Amount, value: number, aggregator: string): void {
  if (aggregator === 'max') total.value = Math.max(total.value, value)
  else if (aggregator === 'min') total.value = Math.min(total.value, value)
  else if (aggregator === 'first') total.value = value
  else if (aggregator === 'average') {
    total.of += 1
    total.value += (value - total.value) / total.of
  } else addUp(total, value)
}

/** Knuth's sum of two. Rounded, a sum would fall by its last digit when a process ends: to a collector, a restart. */
function addUp(total: Amount, value: number): void {
  const sum = total.value + value
  const added = sum - total.value
  const lost = total.value - (sum - added) + (value - added)
  if (Number.isFinite(lost)) total.rest += lost
  total.value = sum
}

function linesOf({ layout: { name, help, type }, values }: Total, openMetrics: boolean): string {
  const isCounter = openMetrics && type === 'counter'
  const family = isCounter ? name.replace(/_total$/, '') : name
  const rename = isCounter && !name.endsWith('_total')
  let lines = `# HELP ${family} ${escapeHelp(help, openMetrics)}\n# TYPE ${family} ${type}\n`
  for (const [key, { value, rest }] of values) {
    lines += `${rename ? `${name}_total${key.slice(name.length)}` : key} ${numberText(value + rest)}\n`
  }
  return lines
}

function numberOf(value: number | string): number {
  if (value === '+Inf') return Number.POSITIVE_INFINITY
  return value === '-Inf' ? Number.NEGATIVE_INFINITY : Number(value)
}
