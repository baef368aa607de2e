// Alerts about odds: those that are offered are no longer those of the provider.

import type { Alert } from './alert.ts'
import { series } from './catalogue.ts'

/** Of processes that have ended, too: who was started again and has not succeeded yet has nothing to say. */
const LAST = `last_over_time(${series('worker_last_success_timestamp_seconds', { worker: '=~"odds/.*"' })}[1h])`
const FOOTBALL = 'worker_last_success_timestamp_seconds{instance="a",worker="odds/football"}'

/** All of them. */
export const ODDS_ALERTS: readonly Alert[] = [
  {
    name: 'HoldfastOddsOld',
    expression: `time() - max by (worker) (${LAST}) > 300`,
    for: '2m',
    severity: 'page',
    summary: 'The odds of a sport were last saved more than five minutes ago, and bets are taken at them.',
    steps: [
      'Bets are taken at the odds that are there. When they may be wrong, close the service to what changes something: `POST /admin/maintenance/enable` with an empty `scope` and the `mode` `read-only`.',
      'odds_fetches_total by outcome: what does the provider answer? When it is away it is asked again by itself, less and less often, and not before the end of a pause that it has wished for. `limited`: `ODDS_REQUESTS_PER_MINUTE` is more than it allows.',
      'It answers: the check `odds` of `/health/check` of whoever asks says what fails. HoldfastDatabaseAway, HoldfastDatabasePressed? Begin there.',
      'Nobody asks: is there a process for it (`PROCESS_TYPE`), and does it know whom to ask (`ODDS_PROVIDER_URL`)?',
      'A sport that was taken out of `ODDS_SPORTS` is told for an hour more. Where `ODDS_INTERVAL` is above a minute, the rule wants a larger number.',
    ],
    // A process that succeeded each minute, and ended; the one after it has not succeeded.
    fires: { [FOOTBALL]: '0+60x10 stale' },
    labels: { worker: 'odds/football' },
    // As old as it may be, at every minute.
    silent: { [FOOTBALL]: '-300+60x30' },
  },
]
