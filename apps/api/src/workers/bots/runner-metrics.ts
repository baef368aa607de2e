// What is counted about running bots.

import type { Metrics } from '@holdfast/metrics'
import type { BotRunnerSnapshot } from './bot-runner.ts'
import { OUTCOMES, type RunnerCounters } from './outcomes.ts'

const MS_PER_SECOND = 1000

/**
 * Makes `bot_trades_total`, `bot_decisions_total`, `bot_lateness_seconds`, `bots_run` and `bots_without_owner`. The
 * snapshot is asked for at each scrape; undefined: there is no runner yet.
 */
export function runnerMetrics(
  metrics: Pick<Metrics, 'counter' | 'gauge'>,
  snapshot: () => BotRunnerSnapshot | undefined,
): RunnerCounters {
  const trades = metrics.counter({
    name: 'bot_trades_total',
    help: 'Trades of bots that were written',
    labels: { side: ['buy', 'sell'] },
  })
  const decisions = metrics.counter({
    name: 'bot_decisions_total',
    help: 'What bots did at a tick of the market, by what became of it',
    labels: { outcome: OUTCOMES },
  })
  const gauge = (
    name: string,
    help: string,
    aggregate: 'sum' | 'max',
    of: (snapshot: BotRunnerSnapshot) => number,
  ) => {
    const made = metrics.gauge({
      name,
      help,
      aggregate,
      collect: () => {
        const found = snapshot()
        made.set(found === undefined ? 0 : of(found))
      },
    })
  }
  gauge(
    'bot_lateness_seconds',
    'How long ago the first tick of the market began that the bots of a process are not done with',
    'max',
    ({ lateMs }) => lateMs / MS_PER_SECOND,
  )
  gauge('bots_run', 'Bots that the process runs', 'sum', ({ bots }) => bots)
  gauge(
    'bots_without_owner',
    'Bots that should run, and that no process has run for longer than a lease lasts',
    'max',
    ({ census }) => census.alone,
  )
  return {
    traded: (side) => trades.inc({ side }),
    decided: (outcome) => decisions.inc({ outcome }),
  }
}
