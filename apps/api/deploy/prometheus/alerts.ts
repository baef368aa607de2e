// When somebody is called, why, and what he does first; with cases by which promtool shows that each alert fires when
// it should, is silent just below, and says what it does without data.

import type { Alert } from './alert.ts'
import { JOB, NO_PROBES, quantile, rate, series, sum } from './catalogue.ts'
import { JOB_ALERTS } from './job-alerts.ts'
import { NOTIFICATION_ALERTS } from './notification-alerts.ts'
import { ODDS_ALERTS } from './odds-alerts.ts'
import { OPERATION_ALERTS } from './operation-alerts.ts'
import { WORKER_ALERTS } from './worker-alerts.ts'

const requests = series('http_requests_total', NO_PROBES)
const failures = series('http_requests_total', { ...NO_PROBES, status: '=~"5..|5xx"' })
const bots = (status: string) => sum(rate(series('bot_starts_total', { status: `=~"${status}"` }), '15m'))
const of = (labels: string) => `http_requests_total{method="GET",route="/quote",${labels}}`
const bucket = (le: string) =>
  `http_request_duration_seconds_bucket{method="GET",route="/quote",status="200",le="${le}"}`
const delay = (le: string) => `nodejs_eventloop_delay_seconds_bucket{instance="a",le="${le}"}`

/** All of them. */
export const ALERTS: readonly Alert[] = [
  {
    name: 'HoldfastGone',
    expression: `absent(${series('up', JOB)})`,
    for: '5m',
    severity: 'page',
    summary: 'Prometheus knows no instance of the service.',
    steps: [
      'Is there any instance? Look at the deployment, not at the metrics.',
      'Does Prometheus find them? Look at its targets, and at what changed in its configuration.',
    ],
    fires: {},
    labels: { job: 'holdfast-api' },
    silent: { 'up{job="holdfast-api",instance="a"}': '1+0x30' },
    firesWithoutData: true,
  },
  {
    name: 'HoldfastInstanceDown',
    expression: `${series('up', JOB)} == 0`,
    for: '2m',
    severity: 'page',
    summary: 'An instance does not answer Prometheus.',
    steps: [
      'Does `/livez` of the instance answer? If it does, its management port is cut off, or its token is wrong.',
      'What were the last lines of its log? A start that is refused says why.',
      'Was it replaced? Then the target should be gone, too.',
    ],
    fires: { 'up{job="holdfast-api",instance="a"}': '0+0x30' },
    labels: { job: 'holdfast-api', instance: 'a' },
    silent: { 'up{job="holdfast-api",instance="a"}': '1+0x30' },
  },
  {
    name: 'HoldfastNotReady',
    expression: `min by (instance) (${series('health_ready')}) == 0 unless on (instance) max by (instance) (${series('lifecycle_state', { state: '=~"cordoned|draining|closing"' })}) == 1`,
    for: '2m',
    severity: 'page',
    summary:
      'An instance answers that it is not ready, so that it gets no requests, and nobody has told it to.',
    steps: [
      '`/readyz?verbose` says which check fails; `/health/check` with the token says why.',
      'If all instances are not ready, a check that is critical depends on something they share.',
    ],
    fires: { 'health_ready{instance="a"}': '0+0x30' },
    labels: { instance: 'a' },
    silent: {
      'health_ready{instance="a"}': '0.5+0x30',
      'health_ready{instance="b"}': '0+0x30',
      'lifecycle_state{instance="b",state="cordoned"}': '1+0x30',
    },
  },
  {
    name: 'HoldfastRestarting',
    expression: `changes(${series('process_start_time_seconds', JOB)}[30m]) > 3`,
    for: '0m',
    severity: 'page',
    summary: 'An instance has started more than three times in half an hour.',
    steps: [
      'What ended it? The log of the one before says `closing` with a reason, or nothing when it was killed.',
      'Out of memory? Compare process_resident_memory_bytes with its limit.',
      'Roll back when it began with a release.',
    ],
    fires: { 'process_start_time_seconds{job="holdfast-api",instance="a"}': '100 200 300 400 500+0x30' },
    labels: { job: 'holdfast-api', instance: 'a' },
    silent: { 'process_start_time_seconds{job="holdfast-api",instance="a"}': '100 200 300 400+0x30' },
  },
  {
    name: 'HoldfastErrorRatio',
    expression: `${sum(rate(failures))} / ${sum(rate(requests))} > 0.05 and ${sum(rate(requests))} > 0.1`,
    for: '5m',
    severity: 'page',
    summary: 'More than 5 % of the requests fail.',
    steps: [
      'Which routes, and which part? `sum by (route, status) (rate(http_requests_total[5m]))` and errors_total by component.',
      'Are HoldfastDatabaseAway, HoldfastRedisAway or HoldfastBreakerOpen firing too? Begin there.',
      'Roll back when it began with a release (app_info).',
    ],
    fires: { [of('status="200"')]: '0+949x30', [of('status="500"')]: '0+51x30' },
    silent: { [of('status="200"')]: '0+951x30', [of('status="500"')]: '0+49x30' },
  },
  {
    name: 'HoldfastSlow',
    expression: `${quantile(0.95, 'http_request_duration_seconds', NO_PROBES)} > 2`,
    for: '10m',
    severity: 'page',
    summary: 'One request in twenty takes longer than 2 seconds.',
    steps: [
      'Is it one route? The dashboard shows the slowest ones.',
      'Does the database make them wait? db_pool_waiting_connections, and the statements that run.',
      'Is the event loop blocked? HoldfastLoopBlocked, then a CPU profile of one instance.',
    ],
    fires: { [bucket('1.0')]: '0+84x30', [bucket('2.5')]: '0+100x30', [bucket('+Inf')]: '0+100x30' },
    silent: { [bucket('1.0')]: '0+86x30', [bucket('2.5')]: '0+100x30', [bucket('+Inf')]: '0+100x30' },
  },
  {
    name: 'HoldfastRateLimited',
    expression: `${sum(rate(series('holdfast_tenant_rate_limit_requests_total', { outcome: '="refused"' })))} > 1`,
    for: '10m',
    severity: 'ticket',
    summary: 'More than one request a second is refused for asking too often.',
    steps: [
      'Who? The log names the tenant; tenant_requests_total shows who asks most.',
      'A customer who has grown: raise his limit (`PUT /admin/limits`). An attack: look at `/admin/abuse/blocks`.',
    ],
    fires: { 'holdfast_tenant_rate_limit_requests_total{outcome="refused"}': '0+66x30' },
    silent: {
      'holdfast_tenant_rate_limit_requests_total{outcome="refused"}': '0+54x30',
      'holdfast_tenant_rate_limit_requests_total{outcome="exempt"}': '0+900x30',
    },
  },
  {
    name: 'HoldfastDatabasePressed',
    expression: `max by (instance, process_type) (${series('db_pool_usage_percent')}) > 85`,
    for: '5m',
    severity: 'ticket',
    summary: 'A pool of database connections is used by more than 85 %.',
    steps: [
      'What holds them? `pg_stat_activity` by query, oldest first; locks first of all.',
      'More traffic than usual? Then more instances help only while PgBouncer and the server have room.',
    ],
    fires: { 'db_pool_usage_percent{instance="a",process_type="web"}': '86+0x30' },
    labels: { instance: 'a', process_type: 'web' },
    silent: { 'db_pool_usage_percent{instance="a",process_type="web"}': '85+0x30' },
  },
  {
    name: 'HoldfastDatabaseWaiting',
    expression: `max by (instance, process_type) (${series('db_pool_waiting_connections')}) >= 5`,
    for: '2m',
    severity: 'ticket',
    summary: 'Five callers or more wait for a database connection all the time.',
    steps: ['As HoldfastDatabasePressed. Reads are answered from memory meanwhile; writes wait.'],
    fires: { 'db_pool_waiting_connections{instance="a",process_type="web"}': '5+0x30' },
    labels: { instance: 'a', process_type: 'web' },
    silent: { 'db_pool_waiting_connections{instance="a",process_type="web"}': '4+0x30' },
  },
  {
    name: 'HoldfastDatabaseAway',
    expression: `max by (process_type) (${series('holdfast_pool_guard_open')}) == 1`,
    for: '1m',
    severity: 'page',
    summary: 'The database cannot be used; public pages come from memory, nothing can be changed.',
    steps: [
      'Does PostgreSQL answer? Does PgBouncer? `SHOW POOLS` says who waits.',
      'It comes back by itself: the service asks again every few seconds. Restart nothing, it would lose what it remembers.',
    ],
    fires: { 'holdfast_pool_guard_open{instance="a",process_type="web"}': '1+0x30' },
    labels: { process_type: 'web' },
    silent: { 'holdfast_pool_guard_open{instance="a",process_type="web"}': '0+0x30' },
  },
  {
    name: 'HoldfastRedisAway',
    expression: `min by (redis) (${series('holdfast_redis_guard_up')}) == 0`,
    for: '2m',
    severity: 'page',
    summary: 'Redis cannot be used; limits are those of each process alone.',
    steps: [
      'Does it answer `PING` within 50 ms? Can the instances reach it?',
      'It comes back by itself. What it held may be lost: sessions are then those of the cookies.',
    ],
    fires: { 'holdfast_redis_guard_up{instance="a",redis="redis"}': '0+0x30' },
    labels: { redis: 'redis' },
    silent: { 'holdfast_redis_guard_up{instance="a",redis="redis"}': '1+0x30' },
  },
  {
    name: 'HoldfastRedisRefuses',
    expression: `${sum(rate(series('holdfast_redis_guard_calls_total', { outcome: '="failed"' })), 'redis')} > 0.05`,
    for: '5m',
    severity: 'page',
    summary: 'Redis answers, and refuses what it is asked; the service goes on as if it were away.',
    steps: [
      'Is its memory full (`INFO memory`; `noeviction` refuses writes then)? Give it more (`CONFIG SET maxmemory`), or find what fills it.',
      'Can it not save (`INFO persistence`, a full disk), or is it a replica now (`INFO replication`)?',
      'Is its user allowed everything that the service asks (`ACL LOG`)?',
    ],
    fires: { 'holdfast_redis_guard_calls_total{instance="a",redis="redis",outcome="failed"}': '0+6x30' },
    labels: { redis: 'redis' },
    silent: {
      'holdfast_redis_guard_calls_total{instance="a",redis="redis",outcome="failed"}': '0+2x30',
      'holdfast_redis_guard_calls_total{instance="a",redis="redis",outcome="ok"}': '0+900x30',
    },
  },
  {
    name: 'HoldfastBreakerOpen',
    expression: `max by (breaker) (${series('circuit_breaker_state')}) == 1`,
    for: '2m',
    severity: 'ticket',
    summary: 'A breaker keeps callers from what it guards.',
    steps: [
      '`/health/check` says since when, and after which failures.',
      'Look at what it guards. The breaker closes by itself.',
    ],
    fires: { 'circuit_breaker_state{instance="a",breaker="mail"}': '1+0x30' },
    labels: { breaker: 'mail' },
    silent: { 'circuit_breaker_state{instance="a",breaker="mail"}': '0.5+0x30' },
  },
  {
    name: 'HoldfastFeatureDegraded',
    expression: `max by (feature) (${series('feature_degraded')}) == 1`,
    for: '15m',
    severity: 'ticket',
    summary: 'A feature works with less than it should for a quarter of an hour.',
    steps: ['`/readyz` says why.'],
    fires: { 'feature_degraded{instance="a",feature="mail"}': '1+0x30' },
    labels: { feature: 'mail' },
    silent: { 'feature_degraded{instance="a",feature="mail"}': '1+0x10 _x20' },
  },
  {
    name: 'HoldfastBotsFail',
    expression: `${bots('failed')} / ${bots('success|failed')} > 0.1`,
    for: '10m',
    severity: 'ticket',
    summary: 'More than one start of a bot in ten fails.',
    steps: ['errors_total by component; the log of `/api/bot/start` has the reason of each.'],
    fires: {
      'bot_starts_total{status="failed"}': '0+11x30',
      'bot_starts_total{status="success"}': '0+89x30',
    },
    silent: {
      'bot_starts_total{status="failed"}': '0+9x30',
      'bot_starts_total{status="success"}': '0+91x30',
    },
  },
  {
    name: 'HoldfastLoopBlocked',
    expression: `${quantile(0.99, 'nodejs_eventloop_delay_seconds', {}, ['instance'])} > 0.25`,
    for: '5m',
    severity: 'ticket',
    summary:
      'The event loop of an instance is late by more than a quarter of a second, one time in a hundred.',
    steps: [
      'Is its CPU full (process_cpu_seconds_total near 1)? More instances.',
      'Else something blocks: a CPU profile of one instance shows what. Collections of memory: nodejs_gc_duration_seconds.',
    ],
    fires: { [delay('0.25')]: '0+98x30', [delay('0.5')]: '0+100x30', [delay('+Inf')]: '0+100x30' },
    labels: { instance: 'a' },
    silent: { [delay('0.25')]: '0+100x30', [delay('0.5')]: '0+100x30', [delay('+Inf')]: '0+100x30' },
  },
  {
    name: 'HoldfastHeapFull',
    expression: `${series('nodejs_heap_size_used_bytes')} / ${series('nodejs_heap_size_limit_bytes')} > 0.9`,
    for: '10m',
    severity: 'page',
    summary: 'The heap of an instance is used by more than 90 %; it will end.',
    steps: [
      'Cordon it, so that it gets no requests; take a heap snapshot; then let it be replaced.',
      'Does it grow in all of them? Roll back when it began with a release.',
    ],
    fires: {
      'nodejs_heap_size_used_bytes{instance="a"}': '91+0x30',
      'nodejs_heap_size_limit_bytes{instance="a"}': '100+0x30',
    },
    labels: { instance: 'a' },
    silent: {
      'nodejs_heap_size_used_bytes{instance="a"}': '90+0x30',
      'nodejs_heap_size_limit_bytes{instance="a"}': '100+0x30',
    },
  },
  {
    name: 'HoldfastFilesRunOut',
    expression: `${series('process_open_fds')} / ${series('process_max_fds')} > 0.8`,
    for: '5m',
    severity: 'page',
    summary: 'An instance has more than 80 % of the files and sockets open that it may have.',
    steps: [
      'Connections of clients? http_requests_in_flight, and the connections of the proxy.',
      'Raise `LimitNOFILE` (or the ulimit of the container), and set `MAX_CONNECTIONS` below it.',
    ],
    fires: { 'process_open_fds{instance="a"}': '81+0x30', 'process_max_fds{instance="a"}': '100+0x30' },
    labels: { instance: 'a' },
    silent: { 'process_open_fds{instance="a"}': '80+0x30', 'process_max_fds{instance="a"}': '100+0x30' },
  },
  ...OPERATION_ALERTS,
  ...WORKER_ALERTS,
  ...JOB_ALERTS,
  ...ODDS_ALERTS,
  ...NOTIFICATION_ALERTS,
]
