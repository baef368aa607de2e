// Alerts about the workers of an instance, where there are several. One process alone has none of these metrics, and so
// they are silent.

import type { Alert } from './alert.ts'
import { series, sum } from './catalogue.ts'

const lost = series('api_workers_lost_total')
const ofInstance = (gauge: string) => `max by (instance) (${gauge})`
const INSTANCE = { instance: 'a' } as const

/** All of them. */
export const WORKER_ALERTS: readonly Alert[] = [
  {
    name: 'HoldfastWorkerLost',
    expression: `${sum(`increase(${lost}[15m])`, 'instance', 'reason')} > 0`,
    for: '0m',
    severity: 'ticket',
    summary: 'A worker was lost and started again; what it had under way is lost.',
    steps: [
      'ended: the last lines of that worker say why (`pid` in the line `a worker has ended`). killed: by a signal from elsewhere, most often for want of memory; the log of the kernel knows.',
      'stuck: it was busy with one thing for `API_WORKER_STUCK_AFTER`. Its last line that is no probe names the request before; HoldfastLoopBlocked shows whether others are near it.',
      'late: it did not serve in two minutes when it was started again. What does a start wait for? lifecycle_startup_phase_seconds.',
    ],
    fires: { 'api_workers_lost_total{instance="a",reason="stuck"}': '0+0x10 1+0x20' },
    labels: { ...INSTANCE, reason: 'stuck' },
    silent: { 'api_workers_lost_total{instance="a",reason="stuck"}': '1+0x30' },
  },
  {
    name: 'HoldfastWorkersRestarting',
    expression: `${sum(`increase(${lost}[30m])`, 'instance')} > 3`,
    for: '0m',
    severity: 'page',
    summary: 'An instance has lost more than three workers in half an hour.',
    steps: [
      'By which reason? `sum by (reason) (increase(api_workers_lost_total[30m]))`, then as HoldfastWorkerLost.',
      'Roll back when it began with a release (app_info): a restart of the workers (`SIGHUP`) takes the code that is there.',
      'One request that ends whoever it comes to? Its route is the last one of every worker; close it for maintenance.',
    ],
    lookedAt: '30m',
    fires: { 'api_workers_lost_total{instance="a",reason="ended"}': '0+0x10 1 2 3 4+0x30' },
    labels: INSTANCE,
    silent: { 'api_workers_lost_total{instance="a",reason="ended"}': '0+0x10 1 2+0x40' },
  },
  {
    name: 'HoldfastWorkersMissing',
    expression: `${ofInstance(series('api_workers_serving'))} < ${ofInstance(series('api_workers_expected'))}`,
    for: '5m',
    severity: 'page',
    summary: 'An instance serves with fewer workers than it should for five minutes.',
    steps: [
      'Does one end again and again? The wait before it is started grows to half a minute; HoldfastWorkerLost has the reason.',
      'Does it not come to serve? The log of the worker (`worker`, `pid`) ends with the phase that it waits in.',
      'Is there room for the others? CPU of the machine; else take load from the instance (cordon it).',
    ],
    fires: {
      'api_workers_serving{instance="a"}': '3+0x30',
      'api_workers_expected{instance="a"}': '4+0x30',
    },
    labels: INSTANCE,
    silent: {
      'api_workers_serving{instance="a"}': '4+0x16 3+0x4 4+0x10',
      'api_workers_expected{instance="a"}': '4+0x30',
    },
  },
  {
    name: 'HoldfastWorkerStale',
    expression: `${ofInstance(series('metrics_workers', { state: '="stale"' }))} > 0`,
    for: '2m',
    severity: 'ticket',
    summary: 'A worker has told no metrics for more than two minutes: it is busy with one thing, or stopped.',
    steps: [
      'api_worker_silence_seconds grows? Then it answers its primary neither, and is ended after `API_WORKER_STUCK_AFTER` (`0s`: never), one at a time, and only while half of the others serve: HoldfastWorkersMissing tells.',
      'Which one? The `pid` that has written no line for so long. A CPU profile of it, or its stack (`gdb -p`), says what it does; then `kill -9` it, and the others go on.',
    ],
    fires: {
      'metrics_workers{instance="a",state="stale"}': '1+0x30',
      'metrics_workers{instance="a",state="live"}': '3+0x30',
    },
    labels: INSTANCE,
    silent: {
      'metrics_workers{instance="a",state="stale"}': '0+0x17 1+0x1 0+0x20',
      'metrics_workers{instance="a",state="live"}': '4+0x30',
    },
  },
]
