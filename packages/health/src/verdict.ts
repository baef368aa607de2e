/**
 * From the levels of checks to the status of a probe.
 *
 * Readiness asks "can this instance still serve something": only a critical check fails it; degrading checks and
 * degraded features are told and answered 200. Liveness asks "would a restart help": only a critical check that is
 * found unhealthy fails it; one that is starting or stale (the loop was blocked, the process was suspended) does not,
 * for killing a process because it was slow to look makes an outage out of a pause.
 */

import type { CheckLevel } from './check-state.ts'
import type { Severity } from './options.ts'

/** The status of a probe; `error` is answered 503. */
export type Status = 'ok' | 'degraded' | 'error'

/** A check as a verdict needs it. */
export interface JudgedCheck {
  readonly level: CheckLevel
  readonly severity: Severity
}

const rank: Record<Status, number> = { ok: 0, degraded: 1, error: 2 }

/** The worse of two. */
export function worse(one: Status, other: Status): Status {
  return rank[other] > rank[one] ? other : one
}

/** What one level means to someone who asks about this check alone. */
export function statusOfLevel(level: CheckLevel): Status {
  if (level === 'healthy') return 'ok'
  return level === 'degraded' ? 'degraded' : 'error'
}

/** What a set of checks means to the group they are in. */
export function statusOfChecks(checks: Iterable<JudgedCheck>): Status {
  let status: Status = 'ok'
  for (const { level, severity } of checks) {
    const own = statusOfLevel(level)
    if (severity === 'critical') status = worse(status, own)
    else if (severity === 'degrading' && own !== 'ok') status = worse(status, 'degraded')
  }
  return status
}

/** What the checks of the group `live` mean to liveness. */
export function livenessOf(checks: Iterable<JudgedCheck>): Status {
  for (const { level, severity } of checks) {
    if (severity === 'critical' && level === 'unhealthy') return 'error'
  }
  return 'ok'
}
