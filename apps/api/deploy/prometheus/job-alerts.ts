// Alerts about jobs: nobody runs them, or they die.

import type { Alert } from './alert.ts'
import { series } from './catalogue.ts'

const QUEUE = { queue: 'settle' } as const

/** All of them. */
export const JOB_ALERTS: readonly Alert[] = [
  {
    name: 'HoldfastJobsLate',
    expression: `max by (queue) (${series('job_oldest_ready_age_seconds')}) > 300`,
    for: '2m',
    severity: 'page',
    summary: 'Jobs that could be run have waited for more than five minutes.',
    steps: [
      'job_queue_depth by queue: none active, and nobody works there; look for the workers, and at the line `jobs cannot be asked for` in their log.',
      'Many active and none completed in job_attempts_total: what they ask does not answer. Their deadlines end them one after the other.',
      'More come than are done: start another worker.',
    ],
    fires: { 'job_oldest_ready_age_seconds{queue="settle",instance="a"}': '301+0x30' },
    labels: QUEUE,
    silent: { 'job_oldest_ready_age_seconds{queue="settle",instance="a"}': '300+0x30' },
  },
  {
    name: 'HoldfastDeadLetters',
    expression: `max by (queue) (${series('job_dead_letters')}) > 0`,
    for: '5m',
    severity: 'ticket',
    summary: 'Jobs have died, and nobody has dealt with them.',
    steps: [
      '`GET /admin/dlq/<queue>` lists them with their errors, `GET /admin/dlq/<queue>/<id>` shows one with its correlation id, by which the log has the rest.',
      'When the reason is gone: `POST /admin/dlq/<queue>/replay`, as a dry run first (README, Jobs and dead letters).',
      'When it will never succeed: `DELETE /admin/dlq/<queue>/<id>?reason=...`.',
    ],
    fires: { 'job_dead_letters{queue="settle",instance="a"}': '1+0x30' },
    labels: QUEUE,
    silent: { 'job_dead_letters{queue="settle",instance="a"}': '0+0x30' },
  },
]
