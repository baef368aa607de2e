// Rows of the dashboard about what the service is for: bots, odds, bets, and the jobs and messages that follow from them.

import { quantile, rate, series, sum } from '../prometheus/catalogue.ts'
import type { Row } from './panel.ts'

const share = (part: string, whole: string) => `${part} / ${whole}`
const max = (gauge: string, ...by: readonly string[]) =>
  by.length === 0 ? `max(${gauge})` : `max by (${by.join(', ')}) (${gauge})`

/** In the order in which one looks at them. */
export const TRADING_ROWS: readonly Row[] = [
  {
    title: 'Bots',
    panels: [
      {
        title: 'Active bots',
        description:
          'Of all users; not known while the database is away. Without an owner: nobody runs them.',
        unit: 'short',
        queries: [
          ['active', max(series('active_bots'))],
          ['without an owner', max(series('bots_without_owner'))],
        ],
      },
      {
        title: 'Starts that succeed',
        description: 'Of those that were neither refused nor limited.',
        unit: 'percentunit',
        thresholds: [{ value: 0.9, color: 'orange' }],
        queries: [
          [
            'success',
            share(
              sum(rate(series('bot_starts_total', { status: '="success"' }))),
              sum(rate(series('bot_starts_total', { status: '=~"success|failed"' }))),
            ),
          ],
        ],
      },
      {
        title: 'Operations',
        description: 'Starts, stops and recoveries by what became of them.',
        unit: 'reqps',
        queries: [
          ['start {{status}}', sum(rate(series('bot_starts_total')), 'status')],
          ['stop {{status}}', sum(rate(series('bot_stops_total')), 'status')],
          ['recover {{status}}', sum(rate(series('bot_recovers_total')), 'status')],
        ],
      },
      {
        title: 'Who runs them',
        description: 'Bots of each process.',
        unit: 'short',
        stacked: true,
        queries: [['{{instance}}', sum(series('bots_run'), 'instance')]],
      },
      {
        title: 'Decisions and trades',
        description: 'What bots did at ticks of the market, and what of it was written.',
        unit: 'reqps',
        queries: [
          ['{{outcome}}', sum(rate(series('bot_decisions_total')), 'outcome')],
          ['trades, {{side}}', sum(rate(series('bot_trades_total')), 'side')],
        ],
      },
      {
        title: 'Behind the market',
        description: 'Since when the first tick is there that the bots of a process are not done with.',
        unit: 's',
        queries: [['{{instance}}', max(series('bot_lateness_seconds'), 'instance')]],
      },
    ],
  },
  {
    title: 'Odds and workers',
    panels: [
      {
        title: 'Requests to the provider',
        description: 'By how they ended.',
        unit: 'reqps',
        queries: [['{{outcome}}', sum(rate(series('odds_fetches_total')), 'outcome')]],
      },
      {
        title: 'Since the last success',
        description:
          'How long ago a worker has last done what it is for, of all processes; HoldfastOddsOld fires above five minutes.',
        unit: 's',
        thresholds: [{ value: 300, color: 'red' }],
        queries: [
          ['{{worker}}', `time() - ${max(series('worker_last_success_timestamp_seconds'), 'worker')}`],
        ],
      },
      {
        title: 'Connections that are held',
        description: 'p99 of how long a worker holds one; it holds none while it sleeps or fetches.',
        unit: 's',
        queries: [['{{worker}}', quantile(0.99, 'worker_connection_hold_seconds', {}, ['worker'])]],
      },
    ],
  },
  {
    title: 'Bets',
    panels: [
      {
        title: 'Placed',
        description: 'Requests to place a bet, by what became of them.',
        unit: 'reqps',
        stacked: true,
        queries: [['{{outcome}}', sum(rate(series('bets_placed_total')), 'outcome')]],
      },
      {
        title: 'Settled',
        description: 'By how they ended.',
        unit: 'reqps',
        stacked: true,
        queries: [['{{outcome}}', sum(rate(series('bets_settled_total')), 'outcome')]],
      },
      {
        title: 'Open stakes',
        description: 'Of bets that are not settled yet, in minor units.',
        unit: 'short',
        queries: [['{{currency}}', max(series('stakes_open_minor'), 'currency')]],
      },
    ],
  },
  {
    title: 'Jobs',
    panels: [
      {
        title: 'Jobs',
        description: 'That wait, run, or are dead letters nobody has dealt with (HoldfastDeadLetters).',
        unit: 'short',
        queries: [
          ['{{queue}} {{state}}', max(series('job_queue_depth'), 'queue', 'state')],
          ['{{queue}} dead letters', max(series('job_dead_letters'), 'queue')],
        ],
      },
      {
        title: 'The longest wait',
        description: 'Of a job that could be begun; HoldfastJobsLate fires above five minutes.',
        unit: 's',
        thresholds: [{ value: 300, color: 'red' }],
        queries: [['{{queue}}', max(series('job_oldest_ready_age_seconds'), 'queue')]],
      },
      {
        title: 'Tries',
        description: 'By how they ended.',
        unit: 'reqps',
        queries: [['{{queue}} {{outcome}}', sum(rate(series('job_attempts_total')), 'queue', 'outcome')]],
      },
      {
        title: 'Time of a try',
        description: 'p95, from its begin until its end is stored.',
        unit: 's',
        queries: [['{{queue}}', quantile(0.95, 'job_duration_seconds', {}, ['queue'])]],
      },
      {
        title: 'The oldest dead letter',
        description: 'How long ago it died, and nobody has dealt with it.',
        unit: 's',
        queries: [['{{queue}}', max(series('job_oldest_dead_letter_age_seconds'), 'queue')]],
      },
    ],
  },
  {
    title: 'Notifications and the audit log',
    panels: [
      {
        title: 'Notifications',
        description:
          'Tries by channel and what became of them; HoldfastNotificationsFail fires where none arrives.',
        unit: 'reqps',
        queries: [
          ['{{channel}} {{outcome}}', sum(rate(series('notification_tries_total')), 'channel', 'outcome')],
        ],
      },
      {
        title: 'Notifications that wait',
        description: 'And for how long the oldest has; HoldfastNotificationsLate fires above 15 minutes.',
        unit: 'short',
        queries: [
          ['waiting', max(series('notifications_pending'))],
          ['seconds of the oldest', max(series('notifications_oldest_pending_seconds'))],
        ],
      },
      {
        title: 'The audit log',
        description:
          'Entries that were written a moment later, and those that wait; HoldfastAuditLost is about lost ones.',
        unit: 'short',
        queries: [
          ['{{outcome}}/s', sum(rate(series('audit_entries_total')), 'outcome')],
          ['{{instance}} waiting', max(series('audit_queued_entries'), 'instance')],
        ],
      },
    ],
  },
]
