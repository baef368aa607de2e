// The report: one page without anything from elsewhere, which says what held and shows what happened.

import { type AnswerClass, CLASSES, KINDS } from './answer-class.ts'
import { clockText, linearScale, logScale } from './chart-scale.ts'
import type { Claims, Verdict } from './claims.ts'
import { escaped } from './escaped.ts'
import { merge, percentile } from './latency-histogram.ts'
import { REPORT_STYLE } from './report-style.ts'
import { type Band, hatches, timeChart } from './time-chart.ts'
import { classesOf, type Second, type Timeline } from './timeline.ts'

/** What stands in it. */
export interface Report {
  readonly claims: Claims
  readonly timeline: Timeline
  readonly users: number
  readonly seconds: number
  readonly seed: number
  /** Of one core, by the process that served, while the load was measured. */
  readonly cpuShare: number
  /** When it was made, for people. */
  readonly madeAt: string
}

const VERDICTS: Readonly<Record<Verdict, string>> = {
  holds: '✓ holds',
  fails: '✗ fails',
  unmeasured: '– not measured',
}
const CLASS_NAMES: Readonly<Record<AnswerClass, string>> = {
  fresh: 'as asked for',
  stale: 'older, and says so',
  refused: 'refused for what it was (4xx)',
  limited: 'beyond a limit (429)',
  unavailable: 'to come back later (503, 504)',
  error: 'error of the service (other 5xx)',
  none: 'no answer',
}
const SHARES = [
  ['p50', 0.5, 1],
  ['p95', 0.95, 5],
  ['p99', 0.99, 4],
] as const
const MAX_POOL_PERCENT = 85

export function reportPage(report: Report): string {
  const { claims, timeline, users, seconds, seed, cpuShare, madeAt } = report
  const beganMs = timeline.seconds[0]?.atMs ?? 0
  const at = (atMs: number) => Math.max(0, (atMs - beganMs) / 1000)
  const lengthSeconds = at(timeline.seconds.at(-1)?.atMs ?? beganMs)
  const bands: Band[] = timeline.episodes.map(({ label, kind, fromMs, toMs }) => ({
    label,
    kind,
    from: at(fromMs),
    to: at(toMs),
  }))
  const load = timeline.episodes.find(({ kind }) => kind === 'load')
  const loaded = load === undefined ? timeline.within() : timeline.within(load.fromMs, load.toMs)
  const good = claims.exitCode === 0
  const facts = [
    ['users at once', users.toLocaleString('en')],
    ['requests in all', timeline.within().requests.toLocaleString('en')],
    ['requests a second, measured', (loaded.requests / Math.max(1, loaded.seconds)).toFixed(0)],
    [
      'p50 / p99, measured',
      `${msText(loaded.percentileMs(undefined, 0.5))} / ${msText(loaded.percentileMs(undefined, 0.99))}`,
    ],
    ['of one core, web process', `${(cpuShare * 100).toFixed(0)} %`],
  ]
  const over = { lengthSeconds, bands }
  const rates = timeline.seconds.map(classesOf)
  const latencies = timeline.seconds.map((second) => latenciesOf(second))
  const inAll = timeline.within()
  const charts = [
    timeChart({
      ...over,
      id: 'answers',
      title: 'Answers by what they were',
      description: `Requests in each second, stacked by the class of their answer. In all: ${CLASSES.map((name) => `${inAll.count(undefined, name)} ${CLASS_NAMES[name]}`).join('; ')}.`,
      unit: 'requests a second',
      form: 'areas',
      scale: linearScale(
        Math.max(...rates.map((counts) => CLASSES.reduce((sum, name) => sum + counts[name], 0))),
      ),
      series: CLASSES.map((name, index) => ({
        name: CLASS_NAMES[name],
        colour: index + 1,
        points: rates.map(
          (counts, second) => [at(timeline.seconds[second]?.atMs ?? 0), counts[name]] as const,
        ),
      })),
    }),
    timeChart({
      ...over,
      id: 'latency',
      title: 'How long answers took',
      description: `Percentiles of all answers in each second, on a logarithmic scale. While the load was measured: p50 ${msText(loaded.percentileMs(undefined, 0.5))}, p99 ${msText(loaded.percentileMs(undefined, 0.99))}.`,
      unit: 'ms, logarithmic',
      form: 'lines',
      scale: logScale(
        Math.min(...latencies.map((each) => each[0] ?? Number.NaN).filter((value) => !Number.isNaN(value))),
        Math.max(...latencies.map((each) => each[2] ?? Number.NaN).filter((value) => !Number.isNaN(value))),
      ),
      series: SHARES.map(([name, , colour], index) => ({
        name,
        colour,
        points: latencies.map(
          (each, second) => [at(timeline.seconds[second]?.atMs ?? 0), each[index] ?? Number.NaN] as const,
        ),
      })),
    }),
    timeChart({
      ...over,
      id: 'pool',
      title: 'Connections of PostgreSQL in use',
      description: `Of the pool of the process that serves, in percent of its size; above 100 with the connections for bursts. At most ${Math.max(0, ...timeline.samples.map(({ poolPercent }) => poolPercent)).toFixed(0)} %.`,
      unit: '% of the pool',
      form: 'lines',
      scale: linearScale(Math.max(100, ...timeline.samples.map(({ poolPercent }) => poolPercent))),
      limit: { value: MAX_POOL_PERCENT, label: `${MAX_POOL_PERCENT} %: pressure` },
      series: [
        {
          name: 'in use',
          colour: 5,
          points: timeline.samples.map(({ atMs, poolPercent }) => [at(atMs), poolPercent] as const),
        },
      ],
    }),
    timeChart({
      ...over,
      id: 'memory',
      title: 'Memory of the process that serves',
      description:
        'Memory that the process holds, and its heap in use. When the process is replaced, its successor begins anew.',
      unit: 'MiB',
      form: 'lines',
      scale: linearScale(Math.max(1, ...timeline.samples.map(({ rssBytes }) => rssBytes / 1_048_576))),
      series: [
        {
          name: 'held (RSS)',
          colour: 1,
          points: timeline.samples.map(({ atMs, rssBytes }) => [at(atMs), rssBytes / 1_048_576] as const),
        },
        {
          name: 'heap in use',
          colour: 5,
          points: timeline.samples.map(({ atMs, heapBytes }) => [at(atMs), heapBytes / 1_048_576] as const),
        },
      ],
    }),
    timeChart({
      ...over,
      id: 'users',
      title: 'Users who are connected',
      description: `Open keep-alive connections of users, at most ${Math.max(0, ...timeline.seconds.map(({ connected }) => connected))}.`,
      unit: 'connections',
      form: 'lines',
      scale: linearScale(Math.max(1, ...timeline.seconds.map(({ connected }) => connected))),
      series: [
        {
          name: 'connected',
          colour: 1,
          points: timeline.seconds.map(({ atMs, connected }) => [at(atMs), connected] as const),
        },
      ],
    }),
  ]
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Holdfast: ${escaped(claims.summary)}</title>
<style>${REPORT_STYLE}</style>
</head>
<body>
<main>
${hatches()}
<h1>What holds when everything breaks</h1>
<p class="verdict ${good ? 'good' : 'bad'}">${good ? '✓' : '✗'} ${escaped(claims.summary)}</p>
<p class="soft">${escaped(madeAt)} · ${users.toLocaleString('en')} users, ${seconds} s measured, seed ${seed} · one web process and three workers, PostgreSQL behind PgBouncer, Redis</p>
<dl class="facts">${facts.map(([name = '', value = '']) => `<div><dt>${escaped(name)}</dt><dd>${escaped(value)}</dd></div>`).join('')}</dl>
<h2 id="done">What was done, and when</h2>
<p class="soft">The numbers are those in the charts.</p>
<ol class="bands">${bands.map(({ label, from, to }) => `<li>${escaped(label)} <span class="soft">${clockText(from)}–${clockText(to)}</span></li>`).join('')}</ol>
${CHART_TITLES.map((title, index) => `<h2>${escaped(title)}</h2>\n<figure>${charts[index] ?? ''}</figure>`).join('\n')}
<h2 id="claims">Claims</h2>
${table(claims)}
</main>
</body>
</html>
`
}

const CHART_TITLES = [
  'Answers by what they were',
  'How long answers took',
  'Connections of PostgreSQL in use',
  'Memory of the process that serves',
  'Users who are connected',
] as const

function table({ list }: Claims): string {
  let group = ''
  const rows = list.flatMap((claim) => {
    const isNew = claim.group !== group
    group = claim.group
    const head = isNew ? [`<tr><th colspan="3" scope="rowgroup">${escaped(claim.group)}</th></tr>`] : []
    return [
      ...head,
      `<tr><td class="${claim.verdict}">${VERDICTS[claim.verdict]}</td><td>${escaped(claim.claim)}</td><td>${escaped(claim.measured)}</td></tr>`,
    ]
  })
  return `<table><thead><tr><th scope="col">verdict</th><th scope="col">claim</th><th scope="col">measured</th></tr></thead><tbody>${rows.join('\n')}</tbody></table>`
}

/** By the shares above. */
function latenciesOf(second: Second): readonly number[] {
  const all = merge(KINDS.map((kind) => second.kinds[kind]?.latencies ?? []))
  return SHARES.map(([, share]) => percentile(all, share))
}

function msText(value: number): string {
  return Number.isNaN(value) ? 'none' : `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`
}
