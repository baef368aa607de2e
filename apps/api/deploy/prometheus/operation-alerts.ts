// Alerts about how the service is operated: its way up and down, maintenance, the log, and the metrics themselves.

import type { Alert } from './alert.ts'
import { series, sum } from './catalogue.ts'

const grown = (counter: string, over: string) => `increase(${counter}[${over}])`
const state = (states: string) =>
  `max by (instance) (${series('lifecycle_state', { state: `=~"${states}"` })})`
/** Of an instance that has started less than half an hour ago. */
const YOUNG = `on (instance) time() - max by (instance) (${series('process_start_time_seconds')}) < 1800`
const INSTANCE = { instance: 'a' } as const

/** All of them. */
export const OPERATION_ALERTS: readonly Alert[] = [
  {
    name: 'HoldfastStartLate',
    expression: `max by (instance) (${series('lifecycle_startup_phases_late')}) > 0 and ${YOUNG}`,
    for: '0m',
    severity: 'ticket',
    summary: 'A phase of the start ran out of time, and the instance went on without it.',
    steps: [
      'The line `started` of its log has the phases; the one before it says which was late. Most often it is health that was not confirmed.',
      '`/readyz?verbose` says what it waits for; HoldfastNotReady fires when that goes on.',
    ],
    fires: {
      'lifecycle_startup_phases_late{instance="a"}': '1+0x30',
      'process_start_time_seconds{instance="a"}': '0+0x30',
    },
    labels: INSTANCE,
    silent: {
      'lifecycle_startup_phases_late{instance="a"}': '0+0x30',
      'process_start_time_seconds{instance="a"}': '0+0x30',
    },
  },
  {
    name: 'HoldfastStartSlow',
    expression: `max by (instance) (${series('lifecycle_startup_seconds')}) > 60 and ${YOUNG}`,
    for: '0m',
    severity: 'ticket',
    summary: 'An instance took longer than a minute to start; replacing all of them takes as long each.',
    steps: [
      'lifecycle_startup_phase_seconds says in which phase.',
      'connect: the database or its pooler is slow to answer. health: a check that is critical is.',
    ],
    fires: {
      'lifecycle_startup_seconds{instance="a"}': '61+0x30',
      'process_start_time_seconds{instance="a"}': '0+0x30',
    },
    labels: INSTANCE,
    silent: {
      'lifecycle_startup_seconds{instance="a"}': '60+0x30',
      'process_start_time_seconds{instance="a"}': '0+0x30',
    },
  },
  {
    name: 'HoldfastDrainLong',
    expression: `${state('draining|closing')} == 1`,
    for: '2m',
    severity: 'ticket',
    summary: 'An instance is on its way down for more than two minutes; that takes less than one.',
    steps: [
      'http_requests_in_flight: who is waited for? A second SIGTERM skips the hold, a third ends the process at once.',
      'Does it end in the end? Its last line, `closed`, has `held`: what was not over in its time. Its exit code is then 1.',
    ],
    fires: { 'lifecycle_state{instance="a",state="draining"}': '1+0x30' },
    labels: INSTANCE,
    silent: {
      'lifecycle_state{instance="a",state="serving"}': '1+0x30',
      'lifecycle_state{instance="a",state="draining"}': '0+0x18 1+0x11',
    },
  },
  {
    name: 'HoldfastCordonForgotten',
    expression: `${state('cordoned')} == 1`,
    for: '1h',
    severity: 'ticket',
    summary: 'An instance is cordoned for an hour: it gets no requests.',
    steps: [
      '`GET /admin/lifecycle` of that instance says why. Is anybody still at it?',
      'Else end it there: `POST /admin/lifecycle/uncordon`.',
    ],
    lookedAt: '90m',
    fires: { 'lifecycle_state{instance="a",state="cordoned"}': '1+0x100' },
    labels: INSTANCE,
    silent: { 'lifecycle_state{instance="a",state="cordoned"}': '0+0x40 1+0x60' },
  },
  {
    name: 'HoldfastMaintenance',
    expression: `max(${series('holdfast_maintenance_enabled')}) == 1`,
    for: '0m',
    severity: 'info',
    summary: 'A part of the service is closed for maintenance.',
    steps: ['`GET /api/status` says what people see; `POST /admin/maintenance/disable` ends it.'],
    fires: { 'holdfast_maintenance_enabled{instance="a"}': '1+0x30' },
    silent: { 'holdfast_maintenance_enabled{instance="a"}': '0+0x30' },
  },
  {
    name: 'HoldfastMaintenanceForgotten',
    expression: `max(${series('holdfast_maintenance_enabled')}) == 1`,
    for: '4h',
    severity: 'ticket',
    summary: 'A part of the service is closed for maintenance for four hours.',
    steps: ['Is anybody still at it? Else end it: `POST /admin/maintenance/disable`.'],
    lookedAt: '4h30m',
    fires: { 'holdfast_maintenance_enabled{instance="a"}': '1+0x300' },
    silent: { 'holdfast_maintenance_enabled{instance="a"}': '0+0x60 1+0x240' },
  },
  {
    name: 'HoldfastMaintenanceOverridden',
    expression: `max by (instance) (${series('holdfast_maintenance_overridden')}) == 1`,
    for: '1h',
    severity: 'ticket',
    summary: 'A file or a setting says for an hour what is closed on an instance, whatever the others know.',
    steps: [
      '`MAINTENANCE_FILE`, or `MAINTENANCE_FORCE`, of that instance: somebody broke the glass.',
      'Is Redis back? Then say it by `POST /admin/maintenance/enable`, and take the file away.',
    ],
    lookedAt: '90m',
    fires: { 'holdfast_maintenance_overridden{instance="a"}': '1+0x100' },
    labels: INSTANCE,
    silent: { 'holdfast_maintenance_overridden{instance="a"}': '0+0x40 1+0x60' },
  },
  {
    name: 'HoldfastMaintenanceUnread',
    expression: `${sum(grown(series('holdfast_maintenance_sync_failures_total'), '5m'), 'instance')} > 0 unless ${sum(grown(series('holdfast_maintenance_syncs_total'), '5m'), 'instance')} > 0`,
    for: '5m',
    severity: 'ticket',
    summary: 'An instance cannot read what is closed for maintenance; it keeps to what it knew.',
    steps: [
      'HoldfastRedisAway? Begin there. Else: can this instance reach Redis?',
      'To close or open something meanwhile, use the file (`MAINTENANCE_FILE`) on each instance.',
    ],
    fires: {
      'holdfast_maintenance_sync_failures_total{instance="a"}': '0+12x30',
      'holdfast_maintenance_syncs_total{instance="a"}': '7+0x30',
    },
    labels: INSTANCE,
    silent: {
      'holdfast_maintenance_sync_failures_total{instance="a"}': '0+11x30',
      'holdfast_maintenance_syncs_total{instance="a"}': '0+1x30',
    },
  },
  {
    name: 'HoldfastMaintenanceSplit',
    expression: `max(${series('holdfast_maintenance_version_timestamp_seconds')}) - min(${series('holdfast_maintenance_version_timestamp_seconds')}) > 0`,
    for: '2m',
    severity: 'page',
    summary: 'Instances keep to different states of maintenance: what one refuses, another one does.',
    steps: [
      'Which one is behind? holdfast_maintenance_version_timestamp_seconds by instance. Can it reach Redis (HoldfastMaintenanceUnread)?',
      'Cordon the one that is behind, or restart it: it reads the state before it serves.',
    ],
    fires: {
      'holdfast_maintenance_version_timestamp_seconds{instance="a"}': '1000+0x30',
      'holdfast_maintenance_version_timestamp_seconds{instance="b"}': '1000.5+0x30',
    },
    silent: {
      'holdfast_maintenance_version_timestamp_seconds{instance="a"}': '1000+0x18 2000+0x11',
      'holdfast_maintenance_version_timestamp_seconds{instance="b"}': '1000+0x19 2000+0x10',
    },
  },
  {
    name: 'HoldfastMaintenanceUnrecorded',
    expression: `max(${series('holdfast_maintenance_unrecorded')}) > 0`,
    for: '15m',
    severity: 'ticket',
    summary: 'Changes of maintenance are not in the journal of the database for a quarter of an hour.',
    steps: [
      'HoldfastDatabaseAway? They are written when it is back, as long as the instance lives that made them.',
    ],
    lookedAt: '20m',
    fires: { 'holdfast_maintenance_unrecorded{instance="a"}': '1+0x30' },
    silent: { 'holdfast_maintenance_unrecorded{instance="a"}': '0+0x5 1+0x24' },
  },
  {
    name: 'HoldfastLinesLost',
    expression: `${sum(grown(series('holdfast_logging_dropped_total'), '10m'), 'instance')} > 0`,
    for: '0m',
    severity: 'ticket',
    summary: 'Lines of the log are lost: nobody reads them fast enough, or they cannot be written.',
    steps: [
      'What reads the log of this instance (Vector, Fluent Bit, the engine of containers)? Is its disk full?',
      'Does the service write more than usual? holdfast_logging_lines_total by level; `GET /admin/log-level`.',
    ],
    fires: { 'holdfast_logging_dropped_total{instance="a"}': '0+0x10 40+0x20' },
    labels: INSTANCE,
    silent: { 'holdfast_logging_dropped_total{instance="a"}': '40+0x30' },
  },
  {
    name: 'HoldfastAuditLost',
    expression: `${sum(grown(series('audit_entries_total', { outcome: '="lost"' }), '10m'), 'instance')} > 0`,
    for: '0m',
    severity: 'ticket',
    summary: 'Entries of the audit log are lost: who did what is not known there.',
    steps: [
      'Is the database away, or full? Entries wait for it, 2,000 at most in each process: audit_queued_entries.',
      'The log has every security event all the same: look there for the time that is missing.',
    ],
    fires: { 'audit_entries_total{instance="a",outcome="lost"}': '0+0x10 40+0x20' },
    labels: INSTANCE,
    silent: { 'audit_entries_total{instance="a",outcome="stored"}': '0+0x10 40+0x20' },
  },
  {
    name: 'HoldfastAbuseInDoubt',
    expression: `max by (instance) (${series('holdfast_abuse_guard_doubt')}) == 1`,
    for: '10m',
    severity: 'ticket',
    summary: 'Nobody is blocked by counting: too many addresses would be, or anybody can forge one.',
    steps: [
      'Is `TRUST_PROXY` as the proxies are? When it is too wide, everybody writes his own address.',
      'Else an attack from very many addresses: limits hold; block networks by `/admin/abuse/blocks`, or before the service.',
    ],
    fires: { 'holdfast_abuse_guard_doubt{instance="a"}': '1+0x30' },
    labels: INSTANCE,
    silent: { 'holdfast_abuse_guard_doubt{instance="a"}': '0+0x30' },
  },
  {
    name: 'HoldfastLabelsFull',
    expression: `${sum(grown(series('metrics_label_overflow_total'), '1h'), 'metric', 'label')} > 0`,
    for: '0m',
    severity: 'info',
    summary: 'A label of a metric has more values than it has room for; the rest is "other".',
    steps: [
      'Tenants? There are more than a hundred: the metric shows the first. Else somebody makes values up.',
    ],
    fires: {
      'metrics_label_overflow_total{instance="a",metric="tenant_requests_total",label="tenant"}':
        '0+0x10 1+0x20',
    },
    labels: { metric: 'tenant_requests_total', label: 'tenant' },
    silent: {
      'metrics_label_overflow_total{instance="a",metric="tenant_requests_total",label="tenant"}': '5+0x30',
    },
  },
  {
    name: 'HoldfastMetricUnread',
    expression: `${sum(grown(series('metrics_unread_total'), '10m'), 'metric')} > 0`,
    for: '10m',
    severity: 'ticket',
    summary: 'A metric is missing from the scrapes: reading it fails, or takes too long.',
    steps: [
      'What does it ask? active_bots asks the database. Other alerts that name it are blind meanwhile.',
    ],
    fires: { 'metrics_unread_total{instance="a",metric="active_bots"}': '0+1x30' },
    labels: { metric: 'active_bots' },
    silent: { 'metrics_unread_total{instance="a",metric="active_bots"}': '9+0x30' },
  },
]
