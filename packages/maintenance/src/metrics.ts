import { SharedMetrics, type ShownMetric, showMetrics } from '@holdfast/footing'
import { Counter, Gauge } from 'prom-client'
import { checks } from './inputs.ts'
import type { MaintenanceSnapshot } from './snapshot.ts'

const counters: readonly ShownMetric<MaintenanceSnapshot>[] = [
  {
    name: 'holdfast_maintenance_refused_total',
    help: 'Requests that were refused, by mode',
    label: 'mode',
    read: ({ refused }) => refused,
  },
  {
    name: 'holdfast_maintenance_passed_total',
    help: 'Requests that a rule would have refused, and that passed, by why',
    label: 'by',
    read: ({ passed }) => passed,
  },
  {
    name: 'holdfast_maintenance_syncs_total',
    help: 'Times the state was read',
    read: ({ replica }) => replica.syncs,
  },
  {
    name: 'holdfast_maintenance_sync_failures_total',
    help: 'Times the state could not be read',
    read: ({ replica }) => replica.failures,
  },
  {
    name: 'holdfast_maintenance_restored_total',
    help: 'Times a store that had lost the state was told again',
    read: ({ replica }) => replica.restored,
  },
]

const gauges: readonly ShownMetric<MaintenanceSnapshot>[] = [
  {
    name: 'holdfast_maintenance_active',
    help: 'Rules that hold, by mode',
    label: 'mode',
    read: ({ active }) => active,
  },
  {
    name: 'holdfast_maintenance_enabled',
    help: 'Whether a part of the service is closed, for more than one tenant: 1 or 0',
    read: ({ enabled }) => (enabled ? 1 : 0),
  },
  {
    name: 'holdfast_maintenance_banner',
    help: 'Whether everybody is shown a banner: 1 or 0',
    read: ({ banner }) => (banner ? 1 : 0),
  },
  {
    name: 'holdfast_maintenance_scheduled',
    help: 'Rules that are to begin',
    read: ({ scheduled }) => scheduled,
  },
  {
    name: 'holdfast_maintenance_overridden',
    help: 'Whether a setting or a file says here what is in force: 1 or 0',
    read: ({ override }) => (override === undefined ? 0 : 1),
  },
  {
    name: 'holdfast_maintenance_version_timestamp_seconds',
    help: 'When the state that this process keeps to was made, by the clock of the store; 0 for never',
    read: ({ version }) => version / 1000,
  },
  {
    name: 'holdfast_maintenance_writes_in_flight',
    help: 'Handlers and work under way that may change something',
    read: ({ writesInFlight }) => writesInFlight,
  },
  {
    name: 'holdfast_maintenance_unrecorded',
    help: 'Changes that the journal does not have yet',
    read: ({ replica }) => replica.unrecorded,
  },
]

/** Read from a snapshot when Prometheus scrapes; no request pays for them. Groups and tenants never become labels. */
export const sharedMetrics = new SharedMetrics<MaintenanceSnapshot>({
  label: 'app',
  option: 'appName',
  checks,
  metric: 'holdfast_maintenance_enabled',
  describe(registry, shown) {
    const where = { registry, label: 'app', shown }
    showMetrics(Counter, counters, where)
    showMetrics(Gauge, gauges, where)
  },
})
