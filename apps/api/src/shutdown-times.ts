// How the configuration becomes the times of the way down.

import type { Config } from './config.ts'

/** Without a balancer in front nobody has to notice anything. */
const DEPLOYED = ['production', 'staging']
const DEPLOYED_DRAIN_MS = 10_000
/** For all plugins that close. */
const CLOSE_MS = 5000
/** After their grace jobs have a second to heed their signal; then it is written whose they are. */
const AFTER_JOBS_MS = 2000

/** In milliseconds, as `Lifecycle` takes them. */
export function shutdownTimes(config: Config) {
  const { environment, shutdownDrainMs, shutdownMinDrainMs, shutdownTurnAwayMs, shutdownRequestsMs } = config
  const drainMs = shutdownDrainMs ?? (DEPLOYED.includes(environment) ? DEPLOYED_DRAIN_MS : 0)
  return {
    drainMs,
    minDrainMs: Math.min(shutdownMinDrainMs, drainMs),
    turnAwayMs: shutdownTurnAwayMs,
    requestTimeoutMs: shutdownRequestsMs,
    closeTimeoutMs: Math.max(CLOSE_MS, config.jobsGraceMs + AFTER_JOBS_MS),
  }
}
