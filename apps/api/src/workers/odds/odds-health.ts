// What the health of the service says about odds: whether each sport that this process asks for was told lately.

import type { CheckResult, Health } from '@holdfast/health'
import type { OddsSportSnapshot } from './odds-worker.ts'

const INTERVAL_MS = 2000
/** A sport that waits for its turn, or for a provider that asks for a pause, fails at nothing, and grows old all the same. */
const STALE_INTERVALS = 4
/** One failure is an outage of a moment. */
const FAILURES = 3

/** Adds the check `odds`. It asks nobody: the worker has. `intervalMs` is that of the worker. */
export function addOddsCheck(
  health: Pick<Health, 'addCheck'>,
  snapshot: () => readonly OddsSportSnapshot[],
  intervalMs: number,
): void {
  health.addCheck('odds', { intervalMs: INTERVAL_MS, check: () => oddsHealth(snapshot(), intervalMs) })
}

/** Whether what this process asks for is new. Pure. */
export function oddsHealth(sports: readonly OddsSportSnapshot[], intervalMs: number): CheckResult {
  const failing = sports.filter(({ failures }) => failures >= FAILURES).map(({ sport }) => sport)
  const stale = sports.flatMap(({ sport, quietMs }) =>
    quietMs > STALE_INTERVALS * intervalMs ? [{ sport, seconds: Math.floor(quietMs / 1000) }] : [],
  )
  const data = {
    leads: sports.filter(({ leads }) => leads).map(({ sport }) => sport),
    failing,
    stale,
  }
  const reasons: string[] = []
  if (failing.length > 0) {
    reasons.push(`the odds of ${failing.join(', ')} could not be read or saved ${FAILURES} times in a row`)
  }
  if (stale.length > 0) {
    const ages = stale.map(({ sport, seconds }) => `${sport} for ${seconds} s`)
    reasons.push(`no odds were saved of ${ages.join(', ')}`)
  }
  if (reasons.length === 0) return { status: 'healthy', data }
  return { status: 'degraded', reason: reasons.join('; '), data }
}
