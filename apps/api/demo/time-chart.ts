// A chart over time as SVG: lines or stacked areas, with what was done to the service as numbered bands. Colours come from
// the page, which knows light and dark; lines differ by their dashes too, areas by their order and hatching (see `hatches`, once in a page).

import { clockText, lanesOf, type Scale, timeTicks } from './chart-scale.ts'
import { escaped } from './escaped.ts'

/** One line or area. */
export interface Series {
  readonly name: string
  /** Names a colour of the page: `--series-<colour>`. */
  readonly colour: number
  /** Seconds from the beginning, and a value; a gap where it is NaN. In the order of time. */
  readonly points: readonly (readonly [seconds: number, value: number])[]
}

export interface Band {
  readonly from: number
  readonly to: number
  readonly label: string
  readonly kind: 'pace' | 'load' | 'fault'
}

export interface TimeChart {
  /** Unique in the page; letters and hyphens. */
  readonly id: string
  readonly title: string
  /** What is to be seen, for whoever does not see it. */
  readonly description: string
  readonly unit: string
  readonly lengthSeconds: number
  readonly scale: Scale
  readonly form: 'lines' | 'areas'
  readonly series: readonly Series[]
  readonly bands: readonly Band[]
  /** A value that is not to be passed. */
  readonly limit?: { readonly value: number; readonly label: string }
}

export const WIDTH = 960
const LEFT = 58
const RIGHT = 14
const PLOT_HEIGHT = 220
const BOTTOM = 34
const LANE_HEIGHT = 20
const DASHES = ['', '7 3', '2 3', '10 3 2 3', '1 4', '12 4', '4 2 1 2']
/** Of a marker: a number in a circle. */
const MARKER_WIDTH = 18

/** Of areas, by the number of their colour: those that matter least have none. */
const HATCHES: Readonly<Record<number, string>> = {
  3: 'M0 4h8',
  4: 'M0 8L8 0',
  5: 'M0 0L8 8',
  6: 'M0 0L8 8M0 8L8 0',
  7: 'M4 0v8',
}

/** What areas are hatched with. */
export function hatches(): string {
  const patterns = Object.entries(HATCHES).map(
    ([colour, path]) =>
      `<pattern id="hatch-${colour}" width="8" height="8" patternUnits="userSpaceOnUse"><path class="hatch" d="${path}"/></pattern>`,
  )
  return `<svg width="0" height="0" aria-hidden="true" style="position:absolute">${patterns.join('')}</svg>`
}

export function timeChart(chart: TimeChart): string {
  const { id, title, description, bands, scale, lengthSeconds, unit, limit } = chart
  const plotWidth = WIDTH - LEFT - RIGHT
  const x = (seconds: number) => LEFT + (plotWidth * seconds) / Math.max(1, lengthSeconds)
  const lanes = lanesOf(
    bands.map(({ from, to }) => ({ from: (x(from) + x(to)) / 2 - MARKER_WIDTH / 2, width: MARKER_WIDTH })),
    2,
  )
  const top = 8 + LANE_HEIGHT * Math.max(1, ...lanes.map((lane) => lane + 1))
  const height = top + PLOT_HEIGHT + BOTTOM
  const y = (value: number) => top + PLOT_HEIGHT * (1 - scale.place(value))
  const bottom = top + PLOT_HEIGHT
  const parts = [
    ...bands.map(({ from, to, label, kind }, at) => {
      const middle = (x(from) + x(to)) / 2
      const width = Math.max(2, x(to) - x(from))
      const labelY = 8 + LANE_HEIGHT * (lanes[at] ?? 0) + 8
      return `<g><title>${at + 1}: ${escaped(label)}, ${clockText(from)} to ${clockText(to)}</title>
<rect class="band ${kind}" x="${fixed(x(from))}" y="${top}" width="${fixed(width)}" height="${PLOT_HEIGHT}"/>
<line class="stem" x1="${fixed(middle)}" x2="${fixed(middle)}" y1="${labelY + 8}" y2="${top}"/>
<circle class="marker ${kind}" cx="${fixed(middle)}" cy="${labelY}" r="8"/>
<text class="number" x="${fixed(middle)}" y="${labelY + 4}">${at + 1}</text></g>`
    }),
    ...scale.ticks.map(
      (
        tick,
      ) => `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${fixed(y(tick))}" y2="${fixed(y(tick))}"/>
<text class="tick end" x="${LEFT - 6}" y="${fixed(y(tick) + 4)}">${numberText(tick)}</text>`,
    ),
    ...timeTicks(lengthSeconds, 12).map(
      (
        tick,
      ) => `<line class="grid" x1="${fixed(x(tick))}" x2="${fixed(x(tick))}" y1="${bottom}" y2="${bottom + 5}"/>
<text class="tick middle" x="${fixed(x(tick))}" y="${bottom + 20}">${clockText(tick)}</text>`,
    ),
    `<text class="unit" x="4" y="12">${escaped(unit)}</text>`,
    ...(chart.form === 'lines' ? lines(chart, x, y) : areas(chart, x, y)),
    ...(limit === undefined
      ? []
      : [
          `<line class="limit" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${fixed(y(limit.value))}" y2="${fixed(y(limit.value))}"/>
<text class="limit-label" x="${WIDTH - RIGHT - 4}" y="${fixed(y(limit.value) - 5)}">${escaped(limit.label)}</text>`,
        ]),
  ]
  return `<div class="scroll" role="region" aria-label="${escaped(title)}, chart" tabindex="0"><svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="${id}-title ${id}-text">
<title id="${id}-title">${escaped(title)}</title>
<desc id="${id}-text">${escaped(description)}</desc>
${parts.join('\n')}
</svg></div>
${legend(chart)}`
}

function lines(
  { series }: TimeChart,
  x: (seconds: number) => number,
  y: (value: number) => number,
): string[] {
  return series.map(({ colour, points }, at) => {
    const path = pathOf(
      points.map(([seconds, value]) => [x(seconds), Number.isNaN(value) ? Number.NaN : y(value)]),
    )
    return `<path class="line" style="stroke:var(--series-${colour})" stroke-dasharray="${DASHES[at % DASHES.length]}" d="${path}"/>`
  })
}

/** The first series is the lowest; all have the same moments. */
function areas(
  { series }: TimeChart,
  x: (seconds: number) => number,
  y: (value: number) => number,
): string[] {
  const moments = series[0]?.points.map(([seconds]) => seconds) ?? []
  let floor = moments.map(() => 0)
  return series.map(({ colour, points }) => {
    const lower = floor
    const upper = points.map(([, value], at) => (lower[at] ?? 0) + value)
    floor = upper
    const there = moments.map((seconds, at): [number, number] => [x(seconds), y(upper[at] ?? 0)])
    const back = moments.map((seconds, at): [number, number] => [x(seconds), y(lower[at] ?? 0)]).reverse()
    const outline = there.length === 0 ? '' : `${pathOf([...there, ...back])}Z`
    return `<path class="area" style="fill:var(--series-${colour})" d="${outline}"/><path fill="url(#hatch-${colour})" d="${outline}"/>`
  })
}

function legend({ series, form }: TimeChart): string {
  const entries = series.map(({ name, colour }, at) => {
    const sample =
      form === 'lines'
        ? `<line x1="0" x2="28" y1="6" y2="6" class="line" style="stroke:var(--series-${colour})" stroke-dasharray="${DASHES[at % DASHES.length]}"/>`
        : `<rect width="28" height="12" class="area" style="fill:var(--series-${colour})"/><rect width="28" height="12" fill="url(#hatch-${colour})"/>`
    return `<li><svg width="28" height="12" aria-hidden="true">${sample}</svg> ${escaped(name)}</li>`
  })
  return `<ul class="legend">${entries.join('')}</ul>`
}

function pathOf(points: readonly (readonly [number, number])[]): string {
  let isDown = false
  let path = ''
  for (const [x, y] of points) {
    if (Number.isNaN(y)) isDown = false
    else {
      path += `${isDown ? 'L' : 'M'}${fixed(x)} ${fixed(y)}`
      isDown = true
    }
  }
  return path
}

function fixed(value: number): string {
  return value.toFixed(1).replace(/\.0$/, '')
}

function numberText(value: number): string {
  return value >= 10_000 ? `${value / 1000}k` : String(value)
}
