import { SharedMetrics, type ShownMetric, showMetrics } from '@holdfast/footing'
import { Counter, Gauge } from 'prom-client'
import type { AbuseGuardSnapshot } from './abuse-guard.ts'
import { checks } from './options.ts'

const counters: readonly ShownMetric<AbuseGuardSnapshot>[] = [
  {
    name: 'holdfast_abuse_guard_blocks_total',
    help: 'Blocks: made here by counting, made here by a person, learnt from other processes',
    label: 'origin',
    read: ({ blocks }) => blocks,
  },
  {
    name: 'holdfast_abuse_guard_lenient_total',
    help: 'Requests beyond the limit that led to no block, by why',
    label: 'why',
    read: ({ lenient }) => lenient,
  },
  {
    name: 'holdfast_abuse_guard_counted_total',
    help: 'Requests that were counted',
    read: ({ counted }) => counted,
  },
  {
    name: 'holdfast_abuse_guard_refused_total',
    help: 'Requests of blocked clients that were refused',
    read: ({ refused }) => refused,
  },
  {
    name: 'holdfast_abuse_guard_unreadable_total',
    help: 'Requests whose address could not be read, and which were not counted',
    read: ({ unreadable }) => unreadable,
  },
  {
    name: 'holdfast_abuse_guard_unblocks_total',
    help: 'Blocks that were lifted',
    read: ({ lifted }) => lifted,
  },
  {
    name: 'holdfast_abuse_guard_displaced_total',
    help: 'Counts that were given up for one with a higher estimate',
    read: ({ displacedCounts }) => displacedCounts,
  },
  {
    name: 'holdfast_abuse_guard_uncounted_for_networks_total',
    help: 'What did not count for the networks around a /64, because so many addresses come that its estimate is too high',
    read: ({ uncountedForNetworks }) => uncountedForNetworks,
  },
  {
    name: 'holdfast_abuse_guard_dropped_blocks_total',
    help: 'Blocks that ended early because there were too many',
    read: ({ droppedBlocks }) => droppedBlocks,
  },
  {
    name: 'holdfast_abuse_guard_syncs_total',
    help: 'Times the blocks of other processes were read',
    read: ({ fleet }) => fleet?.syncs ?? 0,
  },
  {
    name: 'holdfast_abuse_guard_sync_failures_total',
    help: 'Times blocks could not be read, or told',
    read: ({ fleet }) => fleet?.failures ?? 0,
  },
]

const gauges: readonly ShownMetric<AbuseGuardSnapshot>[] = [
  {
    name: 'holdfast_abuse_guard_blocked',
    help: 'Addresses and networks that are blocked',
    read: ({ blocked }) => blocked,
  },
  {
    name: 'holdfast_abuse_guard_doubt',
    help: 'Whether nobody is blocked by counting, because anybody can forge an address or there were too many blocks: 1 or 0',
    read: ({ doubt }) => (doubt === undefined ? 0 : 1),
  },
  {
    name: 'holdfast_abuse_guard_flagged_users',
    help: 'Users that are flagged',
    read: ({ users }) => users.flagged,
  },
]

/**
 * Read from a snapshot when Prometheus scrapes; no request pays for them. Addresses and users never become labels.
 */
export const sharedMetrics = new SharedMetrics<AbuseGuardSnapshot>({
  label: 'app',
  option: 'appName',
  checks,
  metric: 'holdfast_abuse_guard_blocked',
  describe(registry, shown) {
    const where = { registry, label: 'app', shown }
    showMetrics(Counter, counters, where)
    showMetrics(Gauge, gauges, where)
  },
})
