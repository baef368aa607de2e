// What the health of the service says about odds: whether each sport that this process asks for was told lately.

import type { CheckResult, Health } from '@holdfast/health'
import type { OddsSportSnapshot } from './odds-worker.ts'

const INTERVAL_MS = 2000
/** One failure is an outage of a moment. */
const FAILURES = 3

/** Adds the check `odds`. It asks nobody: the worker has. */
export function addOddsCheck(
  health: Pick<Health, 'addCheck'>,
  snapshot: () => readonly OddsSportSnapshot[],
): void {
  health.addCheck('odds', { intervalMs: INTERVAL_MS, check: () => oddsHealth(snapshot()) })
}

/** Whether the provider answers. Pure. */
export function oddsHealth(sports: readonly OddsSportSnapshot[]): CheckResult {
  const failing = sports.filter(({ failures }) => failures >= FAILURES).map(({ sport }) => sport)
  const data = {
    leads: sports.filter(({ leads }) => leads).map(({ sport }) => sport),
    failing,
  }
  if (failing.length === 0) return { status: 'healthy', data }
  const reason = `the odds of ${failing.join(', ')} could not be read or saved ${FAILURES} times in a row`
  return { status: 'degraded', reason, data }
}
