// Alerts about what operators are told by the service itself. Prometheus has a way of its own to tell them this.

import type { Alert } from './alert.ts'
import { series, sum } from './catalogue.ts'

const tries = (outcome: `=${string}`) =>
  sum(`increase(${series('notification_tries_total', { outcome })}[30m])`, 'channel')
const WEBHOOK = { channel: 'webhook' } as const

/** All of them. */
export const NOTIFICATION_ALERTS: readonly Alert[] = [
  {
    name: 'HoldfastNotificationsLate',
    expression: `max(${series('notifications_oldest_pending_seconds')}) > 900`,
    for: '5m',
    severity: 'ticket',
    summary: 'A notification has waited for more than a quarter of an hour.',
    steps: [
      'HoldfastNotificationsFail? Begin there. HoldfastJobsLate for `notify`? Then nobody delivers.',
      'circuit_breaker_state of `notification` (the webhook) and `notification-telegram` (the bot): 1, and the server is left alone because it has failed ten times in a row.',
      'What was answered stands in the table `notifications`: OPERATIONS.md, Notifications. Whoever wishes for a pause (429 with `Retry-After`) gets it, message by message.',
    ],
    fires: { 'notifications_oldest_pending_seconds{instance="a"}': '901+0x30' },
    silent: { 'notifications_oldest_pending_seconds{instance="a"}': '900+0x30' },
  },
  {
    name: 'HoldfastNotificationsFail',
    expression: `${tries('=~"failed|dead"')} > 0 unless ${tries('="sent"')} > 0`,
    for: '10m',
    severity: 'ticket',
    summary: 'Notifications of one way have failed, and for half an hour none has arrived.',
    steps: [
      '`/health/check` (check `notifications`), and the line `a job has failed and is tried again` in the log of whoever delivers: its `err` says what was answered.',
      '401, 403, 404 or 410: the address, the secret or the token is not right any more: `NOTIFY_WEBHOOK_URL`, `NOTIFY_WEBHOOK_SECRET`, `BOT_TOKEN`, `ADMIN_IDS`.',
      'No answer: may the process go out to port 443 (NetworkPolicy, firewall)? `its name leads to where nothing may be sent`: the name has an address that is not public.',
      'When it works again, replay what has died: OPERATIONS.md, Dead letters.',
    ],
    fires: { 'notification_tries_total{instance="a",channel="webhook",outcome="failed"}': '0+1x30' },
    labels: WEBHOOK,
    silent: {
      'notification_tries_total{instance="a",channel="webhook",outcome="failed"}': '0+1x30',
      'notification_tries_total{instance="b",channel="webhook",outcome="sent"}': '0+1x30',
    },
  },
]
