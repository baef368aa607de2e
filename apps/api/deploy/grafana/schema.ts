// What Grafana says a dashboard is: the types that it publishes, generated from its schema, as far as ours needs them.
// Panels and queries of other kinds are left out, so that each of ours is held to its own.

import type { Dashboard, FieldConfig, Panel, RowPanel } from '@grafana/grafana-foundation-sdk/dashboard'
import type { Dataquery } from '@grafana/grafana-foundation-sdk/prometheus'
import type {
  Options,
  FieldConfig as TimeSeriesFieldConfig,
} from '@grafana/grafana-foundation-sdk/timeseries'

/** The same in JSON: in place of an enum there are its values, and nothing can be called. */
type Json<T> = T extends string
  ? `${T}`
  : T extends readonly (infer Item)[]
    ? readonly Json<Item>[]
    : T extends object
      ? {
          readonly [Key in keyof T as T[Key] extends (...given: never[]) => unknown ? never : Key]: Json<
            T[Key]
          >
        }
      : T

interface TimeSeries extends Omit<Panel, 'type' | 'targets' | 'options' | 'fieldConfig'> {
  readonly type: 'timeseries'
  readonly targets: readonly Dataquery[]
  readonly options: Options
  readonly fieldConfig: {
    readonly defaults: Omit<FieldConfig, 'custom'> & { readonly custom: TimeSeriesFieldConfig }
    readonly overrides: readonly never[]
  }
}

/** A row of panels, or one with time series that Prometheus is asked for. */
export type GrafanaPanel = Json<RowPanel> | Json<TimeSeries>

/** A dashboard. */
export type GrafanaDashboard = Json<Omit<Dashboard, 'panels'>> & { readonly panels: readonly GrafanaPanel[] }
