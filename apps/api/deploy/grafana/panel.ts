// What a dashboard of Grafana is made of, as far as ours needs it.

import type { GrafanaPanel } from './schema.ts'

/** A time series panel. */
export interface Panel {
  readonly title: string
  /** Why one looks at it. */
  readonly description: string
  /** By Grafana's names: `reqps`, `s`, `percentunit`, `bytes`, `short`. */
  readonly unit: 'reqps' | 's' | 'percentunit' | 'bytes' | 'short'
  /** Queries with what stands in the legend. */
  readonly queries: readonly (readonly [legend: string, expression: string])[]
  /** Lines at values that mean something. */
  readonly thresholds?: readonly { readonly value: number; readonly color: 'orange' | 'red' }[]
  /** Whether it shows the traces that buckets have. */
  readonly exemplars?: true
  /** One above the other. */
  readonly stacked?: true
}

/** A row with its panels, three to a line. */
export interface Row {
  readonly title: string
  readonly panels: readonly Panel[]
}

const COLUMNS = 24
const WIDTH = 8
const HEIGHT = 8
const SOURCE = { type: 'prometheus', uid: '$source' } as const

/** The panels of all rows, with their places and numbers. */
export function laidOut(rows: readonly Row[]): readonly GrafanaPanel[] {
  const panels: GrafanaPanel[] = []
  let y = 0
  let id = 0
  for (const row of rows) {
    id += 1
    panels.push({
      id,
      type: 'row',
      title: row.title,
      collapsed: false,
      gridPos: { h: 1, w: COLUMNS, x: 0, y },
      panels: [],
    })
    y += 1
    for (const [at, panel] of row.panels.entries()) {
      id += 1
      const x = (at * WIDTH) % COLUMNS
      if (at > 0 && x === 0) y += HEIGHT
      panels.push(timeSeries(panel, id, { h: HEIGHT, w: WIDTH, x, y }))
    }
    y += HEIGHT
  }
  return panels
}

function timeSeries(
  { title, description, unit, queries, thresholds = [], stacked, exemplars }: Panel,
  id: number,
  gridPos: NonNullable<GrafanaPanel['gridPos']>,
): GrafanaPanel {
  return {
    id,
    type: 'timeseries',
    title,
    description,
    gridPos,
    datasource: SOURCE,
    targets: queries.map(([legendFormat, expr], at) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + at),
      datasource: SOURCE,
      expr,
      legendFormat,
      range: true,
      ...(exemplars && { exemplar: true }),
      editorMode: 'code',
    })),
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        color: { mode: 'palette-classic' },
        custom: {
          drawStyle: 'line',
          lineWidth: 1,
          fillOpacity: stacked ? 30 : 5,
          showPoints: 'never',
          stacking: { mode: stacked ? 'normal' : 'none', group: 'A' },
          thresholdsStyle: { mode: thresholds.length > 0 ? 'line' : 'off' },
        },
        thresholds: { mode: 'absolute', steps: [{ value: null, color: 'green' }, ...thresholds] },
      },
      overrides: [],
    },
    options: {
      legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  }
}
