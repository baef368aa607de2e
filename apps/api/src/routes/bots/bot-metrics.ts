// What is counted about bots.

import { runInScope } from '@holdfast/pool-guard'
import type { StaleCache } from '@holdfast/stale-cache'
import type { FastifyInstance } from 'fastify'
import { Counter, Gauge, type Registry } from 'prom-client'
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

/** Registers `bot_starts_total`, `bot_stops_total`, `bot_recovers_total` and `active_bots`. */
export function botMetrics(
  registry: Registry,
  repository: Pick<BotRepository, 'running'>,
  caches: FastifyInstance['staleCache'],
): BotCounters {
  const counterOf = (name: string, help: string) => {
    const counter = new Counter({ name, help, labelNames: ['status'], registers: [registry] })
    // Every series is there from the start, so that its first increment is one.
    for (const status of OUTCOMES) counter.inc({ status }, 0)
    return (status: BotOutcome) => counter.inc({ status })
  }
  const running = countRunning(repository, caches)
  new Gauge({
    name: 'active_bots',
    help: 'Bots that run, of all users and processes; not known while the database is away',
    registers: [registry],
    async collect() {
      this.set(
        await running
          .get('all')
          .catch(() => Number.NaN)
          .then((count) => count ?? Number.NaN),
      )
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
