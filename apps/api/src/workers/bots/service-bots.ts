// The bots of one process of the service: the runner with what it needs of the application, its metrics and its checks.

import { systemClock } from '@holdfast/footing'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../../config.ts'
import { Leases } from '../../db/leases.ts'
import { MarketFeed } from '../../market/market-feed.ts'
import { addBotChecks } from './bot-health.ts'
import { BotRunner, type BotRunnerSnapshot } from './bot-runner.ts'
import type { Tell } from './notice.ts'
import type { RunnerCounters } from './outcomes.ts'
import { runnerMetrics } from './runner-metrics.ts'

/** What it is made of. */
export interface ServiceBotsOptions {
  readonly config: Pick<Config, 'botTickMs' | 'botLeaseMs' | 'botsPerProcess' | 'enableMetrics'>
  /** Differs in every process. */
  readonly owner: string
  readonly tell: Tell
}

/** The bots of a process. */
export interface ServiceBots {
  /** Once the database can be used. */
  start(): void
  /** Gives all bots to the other processes. Before the pool closes. Never rejects. */
  stop(): Promise<void>
  snapshot(): BotRunnerSnapshot
}

const UNCOUNTED: RunnerCounters = { decided() {}, traded() {} }

/** Makes them, not started: `bots` and `algorithm` are checks of the health, and the metrics are there, from now on. */
export function serviceBots(app: FastifyInstance, { config, owner, tell }: ServiceBotsOptions): ServiceBots {
  const { botTickMs: tickMs, botLeaseMs: leaseMs, botsPerProcess: maxBots } = config
  const leases = new Leases({ pool: app.poolGuard, owner, leaseMs })
  const runner: BotRunner = new BotRunner({
    pool: app.poolGuard,
    leases,
    owner,
    leaseMs,
    feed: new MarketFeed(),
    tickMs,
    maxBots,
    tell,
    counters: config.enableMetrics ? runnerMetrics(app.metrics, () => runner.snapshot()) : UNCOUNTED,
    log: app.log,
    breakers: app.circuitBreaker,
    health: app.health,
    clock: systemClock,
    random: Math.random,
  })
  addBotChecks(app.health, runner, { tickMs, leaseMs })
  return {
    start: () => runner.start(),
    async stop() {
      await runner.stop()
      await leases.close()
    },
    snapshot: () => runner.snapshot(),
  }
}
