// What is counted about bots.

import type { Metrics } from '@holdfast/metrics'
import { runInScope } from '@holdfast/pool-guard'
import type { StaleCache } from '@holdfast/stale-cache'
import type { FastifyInstance } from 'fastify'
import type { BotOperation } from './bot.ts'
import type { BotRepository } from './bot-repository.ts'

/** `refused`: for what it was; `limited`: for when it came; `aborted`: its client left; `failed`: the service could not. */
export type BotOutcome = 'success' | 'refused' | 'limited' | 'aborted' | 'failed'

const OUTCOMES: readonly BotOutcome[] = ['success', 'refused', 'limited', 'aborted', 'failed']
const CLIENT_LEFT = 499
const FRESH_MS = 5000
const STALE_MS = 60_000
const BUDGET_MS = 500

/** Counts how operations end. */
export type BotCounters = Readonly<Record<BotOperation, (outcome: BotOutcome) => void>>

/** What became of a request that was answered with this status. */
export function outcomeOf(statusCode: number): BotOutcome {
  if (statusCode < 400) return 'success'
  if (statusCode === 429) return 'limited'
  if (statusCode === CLIENT_LEFT) return 'aborted'
  return statusCode < 500 ? 'refused' : 'failed'
}

/** Makes `bot_starts_total`, `bot_stops_total`, `bot_recovers_total` and `active_bots`. */
export function botMetrics(
  metrics: Pick<Metrics, 'counter' | 'gauge'>,
  repository: Pick<BotRepository, 'running'>,
  caches: FastifyInstance['staleCache'],
): BotCounters {
  const counterOf = (name: string, help: string) => {
    const counter = metrics.counter({ name, help, labels: { status: OUTCOMES } })
    return (status: BotOutcome) => counter.inc({ status })
  }
  const running = countRunning(repository, caches)
  const active = metrics.gauge({
    name: 'active_bots',
    help: 'Bots that run, of all users and processes; not known while the database is away',
    // Every process knows all of them.
    aggregate: 'max',
    collect: async () => {
      const count = await running.get('all').catch(() => Number.NaN)
      active.set(count ?? Number.NaN)
    },
  })
  return {
    start: counterOf('bot_starts_total', 'Requests to start a bot, by what became of them'),
    stop: counterOf('bot_stops_total', 'Requests to stop a bot, by what became of them'),
    recover: counterOf('bot_recovers_total', 'Requests to recover a bot, by what became of them'),
  }
}

/** However often it is scraped, the database is asked every five seconds at most, and never keeps a scrape waiting. */
function countRunning(
  repository: Pick<BotRepository, 'running'>,
  caches: FastifyInstance['staleCache'],
): StaleCache<number, undefined> {
  return caches.create<number>('active-bots', {
    load: async () => {
      const scope = { criticality: 'background', route: 'active bots' } as const
      return [{ key: 'all', value: await runInScope(scope, () => repository.running()) }]
    },
    fallback: () => Number.NaN,
    represent: false,
    isKey: (key) => key === 'all',
    freshMs: FRESH_MS,
    staleMs: STALE_MS,
    hardTimeoutMs: BUDGET_MS,
  })
}
