// The worker of odds as the settings want it.

import type { CircuitBreakers } from '@holdfast/circuit-breaker'
import { type Clock, systemClock } from '@holdfast/footing'
import type { PoolGuard } from '@holdfast/pool-guard'
import type { Config } from '../../config.ts'
import type { Leases } from '../../db/leases.ts'
import { ProviderClient } from '../../provider/provider-client.ts'
import type { WorkerMetrics } from '../worker-metrics.ts'
import type { CountFetch } from './odds-metrics.ts'
import { type OddsLog, type OddsSportSnapshot, OddsWorker } from './odds-worker.ts'
import { ProviderPace } from './provider-pace.ts'
import type { SettleQueue } from './save-feed.ts'

/** What is not in the settings. */
export interface OddsParts {
  readonly config: Pick<
    Config,
    'oddsProviderUrl' | 'oddsSports' | 'oddsIntervalMs' | 'oddsRequestsPerMinute' | 'oddsTimeoutMs'
  >
  readonly pool: Pick<PoolGuard, 'query' | 'startWorker'>
  readonly leases: Pick<Leases, 'take'>
  readonly queue: SettleQueue
  /** The breaker of the provider is one of them. */
  readonly breakers: Pick<CircuitBreakers, 'create'>
  readonly log?: OddsLog | undefined
  readonly countFetch?: CountFetch | undefined
  readonly workerMetrics?: WorkerMetrics | undefined
  readonly clock?: Clock
}

/** A worker and what it asks with. */
export interface ConfiguredOdds {
  start(): void
  /** Lets what is being saved end, and gives the sports back. Never rejects. */
  stop(): Promise<void>
  snapshot(): OddsSportSnapshot[]
}

/** Odds grow old meanwhile: one request a minute finds out whether a provider is well again. */
const BREAKER = { failureThreshold: 5, openMs: 30_000, maxOpenMs: 60_000 } as const

/** Not started; undefined when no provider is set. */
export function configuredOdds({
  config,
  breakers,
  clock = systemClock,
  ...parts
}: OddsParts): ConfiguredOdds | undefined {
  const {
    oddsProviderUrl: url,
    oddsSports: sports,
    oddsIntervalMs: intervalMs,
    oddsTimeoutMs: timeoutMs,
  } = config
  if (url === undefined) return undefined
  const provider = new ProviderClient({ url, timeoutMs, clock })
  const pace = new ProviderPace({
    pool: parts.pool,
    provider: url,
    requestsPerMinute: config.oddsRequestsPerMinute,
    clock,
  })
  const breaker = breakers.create('odds-provider', { ...BREAKER, clock })
  const worker = new OddsWorker({ ...parts, provider, pace, breaker, sports, intervalMs, clock })
  return {
    start: () => worker.start(),
    snapshot: () => worker.snapshot(),
    async stop() {
      await worker.stop()
      await provider.close()
    },
  }
}
