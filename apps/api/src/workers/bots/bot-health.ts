// What the health of the service says about bots: whether each has somebody who runs it, in time, and whether strategies
// are asked.

import type { CheckResult, Health } from '@holdfast/health'
import { ALGORITHM, ALL_FAILED } from './algorithm.ts'
import type { BotRunner, BotRunnerSnapshot } from './bot-runner.ts'

/** What a runner may be late by. */
const LATE_TICKS = 3
const INTERVAL_MS = 2000

/** How long things may take in ms: those of the runner. */
export interface BotTimes {
  readonly tickMs: number
  readonly leaseMs: number
}

/** Adds the checks `bots` and `algorithm`. Neither asks the database: the runner has, lately, or is told of here. */
export function addBotChecks(
  health: Pick<Health, 'addCheck'>,
  runner: Pick<BotRunner, 'snapshot' | 'algorithm'>,
  times: BotTimes,
): void {
  health.addCheck('bots', { intervalMs: INTERVAL_MS, check: () => botHealth(runner.snapshot(), times) })
  health.addCheck(ALGORITHM, {
    intervalMs: INTERVAL_MS,
    check: (): CheckResult =>
      runner.algorithm === 'closed' ? { status: 'healthy' } : { status: 'degraded', reason: ALL_FAILED },
  })
}

/** Whether all is in order. Pure. */
export function botHealth(snapshot: BotRunnerSnapshot, { tickMs, leaseMs }: BotTimes): CheckResult {
  const { bots, census, censusAgeMs, lateMs } = snapshot
  const data = {
    bots,
    running: census.running,
    without_owner: census.alone,
    processes: census.processes,
    late_ms: Math.round(lateMs),
  }
  const reason = [
    censusAgeMs > leaseMs && `the bots were last counted ${Math.round(censusAgeMs)} ms ago`,
    census.alone > 0 && `running bots without an owner: ${census.alone}`,
    lateMs > LATE_TICKS * tickMs && `the present tick is ${Math.round(lateMs)} ms late`,
  ].filter((each) => each !== false)
  return reason.length === 0
    ? { status: 'healthy', data }
    : { status: 'degraded', reason: reason.join('; '), data }
}
