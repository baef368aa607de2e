// What this process does besides answering, by its type: bots, odds, settlement. They begin as soon as the database can be
// used, and end first of all on the way down, so that other processes take over while this one still answers.

import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { systemClock } from '@holdfast/footing'
import type { FastifyInstance } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import type { Config } from '../config.ts'
import { Leases } from '../db/leases.ts'
import type { Duties } from '../process-type.ts'
import { shutdownTimes } from '../shutdown-times.ts'
import { serviceBots } from './bots/service-bots.ts'
import { configuredOdds } from './odds/configured-odds.ts'
import { addOddsCheck } from './odds/odds-health.ts'
import { oddsMetrics } from './odds/odds-metrics.ts'
import type { OddsSportSnapshot } from './odds/odds-worker.ts'
import { Settlement } from './settlement/settlement.ts'
import { settlementMetrics } from './settlement/settlement-metrics.ts'
import { SettlementWorker } from './settlement/settlement-worker.ts'
import { StartWhenPrepared } from './start-when-prepared.ts'
import { workerMetrics } from './worker-metrics.ts'

/** What they are made of. */
export interface WorkersOptions {
  readonly config: Config
  readonly duties: Duties
  /** Resolves when the tables are there. */
  readonly prepare: () => Promise<unknown>
}

/** One of them. */
interface RunningWorker {
  readonly name: string
  start(): Promise<void> | void
  /** Never rejects. */
  stop(): Promise<void>
  snapshot(): unknown
}

const MAX_HOST = 100

/** Register it behind the pool, the jobs and the notifications: it ends before them. */
export const workers = fastifyPlugin<WorkersOptions>(
  async (app, { config, duties, prepare }) => {
    const owner = `${hostname().slice(0, MAX_HOST)}/${process.pid}/${randomUUID()}`
    const { outbox } = app.notifications
    const running: RunningWorker[] = []

    if (duties.runsBots) {
      const bots = serviceBots(app, { config, owner, tell: (tx, notice) => outbox.tell(tx, notice) })
      running.push({ name: 'bots', ...bots })
    }
    const odds = duties.fetchesOdds ? oddsOf(app, config, owner) : undefined
    if (odds !== undefined) {
      addOddsCheck(app.health, () => odds.snapshot(), config.oddsIntervalMs)
      running.push({ name: 'odds', ...odds })
    }
    if (duties.settlesBets) {
      const worker = new SettlementWorker({
        queue: app.jobs,
        settlement: new Settlement(app.poolGuard, outbox),
        logs: app.logging,
        count: config.enableMetrics ? settlementMetrics(app.metrics) : undefined,
      })
      running.push({
        name: 'settlement',
        start: () => worker.start(),
        stop: () => worker.stop(),
        snapshot: () => worker.snapshot(),
      })
    }

    const starts = running.map(
      ({ name: what, start }) =>
        new StartWhenPrepared({ what, begin: start, prepare, clock: systemClock, log: app.log }),
    )
    let stopping: Promise<void> | undefined
    const stop = () => {
      stopping ??= (async () => {
        for (const start of starts) start.stop()
        // The queue gives nothing out any more, so that no worker is given a job while it ends.
        await Promise.all([...running.map((worker) => worker.stop()), app.jobs.close()])
      })()
      return stopping
    }
    app.addHook('onReady', async () => {
      for (const start of starts) start.try()
    })
    app.lifecycle.onDrain('workers', stop, { timeoutMs: shutdownTimes(config).closeTimeoutMs })
    app.addHook('onClose', stop)
    app.health.addReport('check', 'workers', () => ({
      ...Object.fromEntries(running.map(({ name, snapshot }) => [name, snapshot()])),
      jobs: app.jobs.snapshot(),
    }))
  },
  {
    fastify: '5.x',
    name: '@holdfast/api/workers',
    dependencies: ['@holdfast/api/jobs', '@holdfast/api/notifications', '@holdfast/lifecycle'],
  },
)

/** Undefined where no provider is set. */
function oddsOf(
  app: FastifyInstance,
  config: Config,
  owner: string,
): (Pick<RunningWorker, 'start' | 'stop'> & { snapshot(): OddsSportSnapshot[] }) | undefined {
  const leases = new Leases({ pool: app.poolGuard, owner })
  const metrics = config.enableMetrics ? app.metrics : undefined
  const odds = configuredOdds({
    config,
    pool: app.poolGuard,
    leases,
    queue: app.jobs,
    breakers: app.circuitBreaker,
    log: app.log,
    countFetch: metrics && oddsMetrics(metrics),
    workerMetrics: metrics && workerMetrics(metrics),
  })
  return (
    odds && {
      start: () => odds.start(),
      async stop() {
        await odds.stop()
        await leases.close()
      },
      snapshot: () => odds.snapshot(),
    }
  )
}
