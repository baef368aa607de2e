/** What a person reads of a run, and what is written to `results/`. Pure. */
import { type Goal, type JudgedGoal, judge, limitText } from './goals.ts'
import type { Origin } from './machine.ts'
import type { Row } from './row.ts'
import type { RunOptions } from './run.ts'
import { ratioOf, type Slice, type Spread, spreadOf } from './statistics.ts'

/** The file `results/<row>.json`. */
export interface RowResult {
  readonly row: string
  readonly title: string
  readonly origin: Origin
  /** A quick run proves that the row works; its figures prove nothing. */
  readonly quick: boolean
  readonly pinning: RunOptions['pinning']
  readonly rounds: number
  readonly turns: number
  readonly sliceMs: number
  readonly connections: number | null
  readonly variants: readonly VariantResult[]
  readonly goals: readonly JudgedGoal[]
  /** Every slice as it was measured. */
  readonly slices: readonly Slice[]
}

export interface VariantResult {
  readonly name: string
  readonly figures: Readonly<Record<string, Spread>>
  readonly against: string | null
  readonly ratios: Readonly<Record<string, Spread>>
}

/** Figures that a ratio makes sense of. */
const RATIO_FIGURES = new Set([
  'cpuMicroseconds',
  'requestsPerSecond',
  'p50Ms',
  'p99Ms',
  'nanoseconds',
  'cpuNanoseconds',
  'databasePerSecond',
  'steadyP99Ms',
])

const COLUMNS: Readonly<Record<string, { title: string; digits: number }>> = {
  steadyP99Ms: { title: 'steady p99 ms', digits: 2 },
  steadyP50Ms: { title: 'steady p50 ms', digits: 2 },
  floodPerSecond: { title: 'flood/s', digits: 0 },
  refusedPercent: { title: 'refused %', digits: 1 },
  redisCallsPercent: { title: 'Redis calls, % of flood', digits: 2 },
  cpuMicroseconds: { title: 'CPU us', digits: 2 },
  userMicroseconds: { title: 'user us', digits: 2 },
  requestsPerSecond: { title: 'req/s', digits: 0 },
  p50Ms: { title: 'p50 ms', digits: 2 },
  p99Ms: { title: 'p99 ms', digits: 2 },
  busy: { title: 'busy', digits: 2 },
  cpuOfReference: { title: 'CPU, times the other', digits: 3 },
  cpuInAll: { title: 'in all', digits: 3 },
  nanoseconds: { title: 'ns', digits: 0 },
  cpuNanoseconds: { title: 'CPU ns', digits: 0 },
  executions: { title: 'executions', digits: 2 },
  statements: { title: 'statements', digits: 2 },
  startMs: { title: 'start ms', digits: 0 },
  statementsPerMinute: { title: 'statements/min', digits: 0 },
  cpuMsPerMinute: { title: 'CPU ms/min', digits: 0 },
  redisCpuNanoseconds: { title: 'Redis CPU ns', digits: 0 },
  scriptNanoseconds: { title: 'of that in scripts', digits: 0 },
  databasePerSecond: { title: 'from DB/s', digits: 0 },
  usefulPerSecond: { title: 'within 250 ms/s', digits: 0 },
  criticalP99Ms: { title: 'critical p99', digits: 0 },
  normalP99Ms: { title: 'normal p99', digits: 0 },
  publicP99Ms: { title: 'public p99', digits: 0 },
  elsewhereP99Ms: { title: 'not from DB p99', digits: 0 },
  criticalErrorPercent: { title: 'critical 5xx %', digits: 1 },
  normalErrorPercent: { title: 'normal 5xx %', digits: 1 },
  hung: { title: 'hung', digits: 0 },
  duringP99Ms: { title: 'frozen p99', digits: 0 },
  readErrorPercent: { title: 'read 5xx %', digits: 1 },
  publicErrorPercent: { title: 'public 5xx %', digits: 1 },
  errorsAfter: { title: '5xx after', digits: 0 },
  recoveredMs: { title: 'well after ms', digits: 0 },
  greatestQueue: { title: 'queue', digits: 0 },
  lostWrites: { title: 'lost writes', digits: 0 },
  writtenTwice: { title: 'written twice', digits: 0 },
  unclear: { title: 'unclear', digits: 0 },
  unansweredPercent: { title: 'not answered %', digits: 2 },
  serverBusy: { title: 'server busy', digits: 2 },
  lateMs: { title: 'load late ms', digits: 0 },
  followerP50Ms: { title: 'follower p50 ms', digits: 2 },
  followerP99Ms: { title: 'follower p99 ms', digits: 2 },
}

/** Sums the slices of a row up. */
export function resultOf(
  row: Row,
  slices: readonly Slice[],
  origin: Origin,
  options: RunOptions & { readonly quick: boolean },
): RowResult {
  return {
    row: row.name,
    title: row.title,
    origin,
    quick: options.quick,
    pinning: options.pinning,
    rounds: options.rounds,
    turns: options.turns,
    sliceMs: options.sliceMs,
    connections: row.kind === 'server' ? row.connections : null,
    variants: row.variants.map((variant) => variantResult(variant, slices)),
    goals: row.goals.map((goal) => judge(goal, slices)),
    slices,
  }
}

function variantResult(
  variant: { readonly name: string; readonly against?: string },
  slices: readonly Slice[],
): VariantResult {
  const names = Object.keys(slices.find((slice) => slice.variant === variant.name)?.figures ?? {})
  const { name, against } = variant
  return {
    name,
    figures: Object.fromEntries(names.map((figure) => [figure, spreadOf(slices, name, figure)])),
    against: against ?? null,
    ratios:
      against === undefined
        ? {}
        : Object.fromEntries(
            names
              .filter((figure) => RATIO_FIGURES.has(figure))
              .map((figure) => [figure, ratioOf(slices, name, against, figure)]),
          ),
  }
}

/** The table of one row, then its goals. */
export function resultText(result: RowResult): string {
  const figures = Object.keys(COLUMNS).filter((figure) =>
    result.variants.some((variant) => figure in variant.figures),
  )
  const primary = figures[0] ?? ''
  const head = ['variant', ...figures.map(columnTitle), `${columnTitle(primary)} ratio (rounds)`]
  const lines = result.variants.map((variant) => {
    const ratio = variant.ratios[primary]
    return [
      variant.name,
      ...figures.map((figure) => variant.figures[figure]?.median.toFixed(COLUMNS[figure]?.digits) ?? ''),
      ratio === undefined ? '' : `${spreadText(ratio)} of ${variant.against}`,
    ]
  })
  const goals = result.goals.map((goal) => {
    const reason = goal.reason === undefined ? '' : ` (${goal.reason})`
    const measured = `${spreadText(goal.value)}, ${limitText(goal)}`
    return `  ${goal.verdict.padEnd(10)} ${measured} (${subjectText(goal)}): ${goal.claim}${reason}`
  })
  return [
    `${result.row}: ${result.title}`,
    ...(result.quick ? ['  A quick run: it shows that the row works, not how fast anything is.'] : []),
    ...(result.pinning.pinned ? [] : [`  Unpinned: ${result.pinning.reason}.`]),
    ...alignedTable([head, ...lines]),
    ...goals,
    '',
  ].join('\n')
}

/** All rows and what they promise, as the Markdown table of the README, laid out as Biome formats it. */
export function goalsTable(rows: readonly Row[]): string {
  const cells = rows.flatMap((row) =>
    row.goals.map((goal) => [`\`${row.name}\``, goal.claim, subjectText(goal), limitText(goal)]),
  )
  const head = ['row', 'claim', 'measured as', 'goal']
  const widths = columnWidths([head, ...cells])
  const rule = widths.map((width) => '-'.repeat(width))
  return [head, rule, ...cells]
    .map((line) => `| ${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`)
    .join('\n')
}

/** What a goal is about: `ns: ours / Map`. */
function subjectText(goal: Goal): string {
  const ratio = goal.against === undefined ? goal.of : `${goal.of} / ${goal.against}`
  return `${columnTitle(goal.figure)}: ${ratio}`
}

function columnTitle(figure: string): string {
  return COLUMNS[figure]?.title ?? figure
}

function spreadText(value: Spread): string {
  return `${value.median.toFixed(2)} (${value.min.toFixed(2)}..${value.max.toFixed(2)})`
}

function alignedTable(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = columnWidths(rows)
  return rows.map((row) => {
    const cells = row.map((cell, column) => {
      const width = widths[column] ?? 0
      return column === 0 || column === row.length - 1 ? cell.padEnd(width) : cell.padStart(width)
    })
    return `  ${cells.join('  ')}`.trimEnd()
  })
}

function columnWidths(rows: readonly (readonly string[])[]): readonly number[] {
  return (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
}
