// The dashboard of the service: what people notice first, and what it depends on below.

import { NO_PROBES, quantile, rate, series, sum } from '../prometheus/catalogue.ts'
import { laidOut, type Row } from './panel.ts'
import type { GrafanaDashboard } from './schema.ts'
import { TRADING_ROWS } from './trading-rows.ts'

const requests = series('http_requests_total', NO_PROBES)
const failures = series('http_requests_total', { ...NO_PROBES, status: '=~"5..|5xx"' })
const share = (part: string, whole: string) => `${part} / ${whole}`
const percentiles = [0.5, 0.95, 0.99] as const

const ROWS: readonly Row[] = [
  {
    title: 'What people notice',
    panels: [
      {
        title: 'Requests',
        description: 'Probes are left out.',
        unit: 'reqps',
        stacked: true,
        queries: [['{{status}}', sum(rate(requests), 'status')]],
      },
      {
        title: 'Latency',
        description: 'From the first hook to the end of the answer; points are requests with a trace.',
        unit: 's',
        exemplars: true,
        thresholds: [{ value: 2, color: 'red' }],
        queries: percentiles.map((at) => [
          `p${at * 100}`,
          quantile(at, 'http_request_duration_seconds', NO_PROBES),
        ]),
      },
      {
        title: 'Requests that fail',
        description: 'HoldfastErrorRatio fires above 5 %.',
        unit: 'percentunit',
        thresholds: [{ value: 0.05, color: 'red' }],
        queries: [['failed', share(sum(rate(failures)), sum(rate(requests)))]],
      },
      {
        title: 'Busiest routes',
        description: 'Ten of them; unmatched is what there is not.',
        unit: 'reqps',
        queries: [['{{method}} {{route}}', `topk(10, ${sum(rate(requests), 'method', 'route')})`]],
      },
      {
        title: 'Slowest routes',
        description: 'p95 of ten of them.',
        unit: 's',
        queries: [
          ['{{route}}', `topk(10, ${quantile(0.95, 'http_request_duration_seconds', NO_PROBES, ['route'])})`],
        ],
      },
      {
        title: 'Errors by part',
        description: 'Kind and component of what was answered with an error.',
        unit: 'reqps',
        queries: [['{{component}}: {{type}}', sum(rate(series('errors_total')), 'type', 'component')]],
      },
    ],
  },
  {
    title: 'Limits and tenants',
    panels: [
      {
        title: 'Refused for asking too often',
        description: 'HoldfastRateLimited fires above 1/s.',
        unit: 'reqps',
        thresholds: [{ value: 1, color: 'orange' }],
        queries: [['{{outcome}}', sum(rate(series('holdfast_tenant_rate_limit_requests_total')), 'outcome')]],
      },
      {
        title: 'Blocked addresses',
        description: 'Blocked for what they did, at this moment.',
        unit: 'short',
        queries: [['blocked', `max(${series('holdfast_abuse_guard_blocked')})`]],
      },
      {
        title: 'Tenants',
        description: 'Who asks most.',
        unit: 'reqps',
        queries: [['{{tenant}}', `topk(10, ${sum(rate(series('tenant_requests_total')), 'tenant')})`]],
      },
    ],
  },
  ...TRADING_ROWS,
  {
    title: 'What it depends on',
    panels: [
      {
        title: 'Database pool',
        description: 'Of each process; HoldfastDatabasePressed fires above 85 %.',
        unit: 'percentunit',
        thresholds: [{ value: 0.85, color: 'orange' }],
        queries: [
          [
            '{{instance}} {{process_type}}',
            `max by (instance, process_type) (${series('db_pool_usage_ratio')})`,
          ],
        ],
      },
      {
        title: 'Waiting for the database',
        description: 'Callers without a connection, and those who were sent away.',
        unit: 'short',
        queries: [
          ['{{instance}} waiting', `max by (instance) (${series('db_pool_waiting_connections')})`],
          ['shed {{reason}}/s', sum(rate(series('holdfast_pool_guard_shed_total')), 'reason')],
        ],
      },
      {
        title: 'Cache hits',
        description: 'Reads that were answered with what was held.',
        unit: 'percentunit',
        queries: [
          [
            '{{cache}}',
            share(
              sum(rate(series('cache_hits_total')), 'cache'),
              `(${sum(rate(series('cache_hits_total')), 'cache')} + ${sum(rate(series('cache_misses_total')), 'cache')})`,
            ),
          ],
        ],
      },
      {
        title: 'Breakers',
        description: '1 open, 0.5 half-open, 0 closed.',
        unit: 'short',
        queries: [['{{breaker}}', `max by (breaker) (${series('circuit_breaker_state')})`]],
      },
      {
        title: 'Redis',
        description: '1 usable, 0 not.',
        unit: 'short',
        queries: [
          ['{{instance}} {{redis}}', `min by (instance, redis) (${series('holdfast_redis_guard_up')})`],
        ],
      },
      {
        title: 'Checks and maintenance',
        description: '1 healthy, 0.5 degraded, 0 not; maintenance 1: something is closed.',
        unit: 'short',
        queries: [
          ['{{check}}', `min by (check) (${series('health_check_status')})`],
          ['maintenance', `max(${series('holdfast_maintenance_enabled')})`],
        ],
      },
    ],
  },
  {
    title: 'Operation',
    panels: [
      {
        title: 'States',
        description: 'Instances by what they are at; more than one state while they are replaced.',
        unit: 'short',
        stacked: true,
        queries: [['{{state}}', sum(series('lifecycle_state'), 'state')]],
      },
      {
        title: 'Connections',
        description: 'Of clients, and those on which somebody waits for an answer.',
        unit: 'short',
        queries: [
          ['{{instance}} open', sum(series('lifecycle_connections'), 'instance')],
          ['{{instance}} in flight', sum(series('lifecycle_requests_in_flight'), 'instance')],
        ],
      },
      {
        title: 'Time to start',
        description: 'By phase; HoldfastStartSlow fires above a minute in all.',
        unit: 's',
        stacked: true,
        queries: [['{{phase}}', `max by (phase) (${series('lifecycle_startup_phase_seconds')})`]],
      },
      {
        title: 'Closed for maintenance',
        description: 'Requests that were refused, and those that passed although something is closed.',
        unit: 'reqps',
        queries: [
          ['refused, {{mode}}', sum(rate(series('holdfast_maintenance_refused_total')), 'mode')],
          ['passed, {{by}}', sum(rate(series('holdfast_maintenance_passed_total')), 'by')],
        ],
      },
      {
        title: 'Lines of the log',
        description: 'By level; what is lost has HoldfastLinesLost.',
        unit: 'short',
        queries: [
          ['{{level}}/s', sum(rate(series('holdfast_logging_lines_total')), 'level')],
          ['lost/s', sum(rate(series('holdfast_logging_dropped_total')))],
        ],
      },
      {
        title: 'Security events',
        description: 'And the other kinds that the service tells.',
        unit: 'short',
        queries: [['{{type}}/s', sum(rate(series('holdfast_logging_events_total')), 'type')]],
      },
    ],
  },
  {
    title: 'Workers of an instance',
    panels: [
      {
        title: 'Workers',
        description: 'Where there are several; HoldfastWorkersMissing fires where fewer serve than should.',
        unit: 'short',
        queries: [
          ['{{instance}} serving', sum(series('api_workers_serving'), 'instance')],
          ['{{instance}} expected', sum(series('api_workers_expected'), 'instance')],
          ['{{instance}} {{state}}', sum(series('metrics_workers'), 'instance', 'state')],
        ],
      },
      {
        title: 'Lost and replaced',
        description:
          'In a quarter of an hour. Lost ones were started again; replaced ones had a successor first.',
        unit: 'short',
        queries: [
          [
            '{{instance}} lost, {{reason}}',
            sum(`increase(${series('api_workers_lost_total')}[15m])`, 'instance', 'reason'),
          ],
          [
            '{{instance}} replaced',
            sum(`increase(${series('api_workers_replaced_total')}[15m])`, 'instance'),
          ],
        ],
      },
      {
        title: 'Silence',
        description:
          'How long one that serves has not answered the process above; API_WORKER_STUCK_AFTER ends it.',
        unit: 's',
        queries: [['{{instance}}', `max by (instance) (${series('api_worker_silence_seconds')})`]],
      },
    ],
  },
  {
    title: 'Processes',
    panels: [
      {
        title: 'CPU',
        description: 'Cores in use; one is all that a process can use for requests.',
        unit: 'short',
        queries: [['{{instance}}', sum(rate(series('process_cpu_seconds_total')), 'instance')]],
      },
      {
        title: 'Memory',
        description: 'Held by the process, and the heap that is in use.',
        unit: 'bytes',
        queries: [
          ['{{instance}} resident', sum(series('process_resident_memory_bytes'), 'instance')],
          ['{{instance}} heap', sum(series('nodejs_heap_size_used_bytes'), 'instance')],
        ],
      },
      {
        title: 'Event loop',
        description: 'How late a timer runs at the p99, and how much of the time it is busy.',
        unit: 's',
        thresholds: [{ value: 0.25, color: 'orange' }],
        queries: [
          ['{{instance}} p99', quantile(0.99, 'nodejs_eventloop_delay_seconds', {}, ['instance'])],
          ['{{instance}} busy', sum(rate(series('nodejs_eventloop_active_seconds_total')), 'instance')],
        ],
      },
      {
        title: 'In flight',
        description: 'Requests that have begun and not ended.',
        unit: 'short',
        queries: [['{{instance}}', sum(series('http_requests_in_flight'), 'instance')]],
      },
      {
        title: 'Collections of memory',
        description: 'p99 by kind.',
        unit: 's',
        queries: [['{{kind}}', quantile(0.99, 'nodejs_gc_duration_seconds', {}, ['kind'])]],
      },
      {
        title: 'Versions',
        description: 'Instances by what runs on them.',
        unit: 'short',
        stacked: true,
        queries: [['{{version}} {{environment}}', sum(series('app_info'), 'version', 'environment')]],
      },
    ],
  },
]

/** As Grafana imports it; `source` is chosen above the panels. */
export const dashboard: GrafanaDashboard = {
  uid: 'holdfast',
  title: 'Holdfast',
  description: 'The service as people notice it, and what it depends on.',
  tags: ['holdfast'],
  timezone: 'browser',
  editable: true,
  graphTooltip: 1,
  schemaVersion: 39,
  version: 1,
  refresh: '30s',
  time: { from: 'now-3h', to: 'now' },
  templating: {
    list: [
      {
        name: 'source',
        label: 'Prometheus',
        type: 'datasource',
        query: 'prometheus',
        options: [],
        hide: 0,
        includeAll: false,
        multi: false,
        refresh: 1,
        regex: '',
        skipUrlSync: false,
      },
    ],
  },
  annotations: {
    list: [
      {
        name: 'Starts',
        datasource: { type: 'prometheus', uid: '$source' },
        enable: true,
        hide: false,
        iconColor: 'blue',
        expr: `changes(${series('process_start_time_seconds')}[1m]) > 0`,
        titleFormat: '{{instance}} has started',
      },
    ],
  },
  links: [],
  panels: laidOut(ROWS),
}
