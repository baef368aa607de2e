// The queue of jobs as a part of the service: `app.jobs`, which ends before the database does.

import { fastifyPlugin } from 'fastify-plugin'
import type { Config } from '../config.ts'
import { BossQueue } from '../jobs/boss-queue.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Puts jobs in, and runs them. */
    readonly jobs: BossQueue
  }
}

/** The settings. */
export type JobSettings = Pick<Config, 'jobsConcurrency' | 'jobsPollMs' | 'jobsGraceMs'>

/** Register it after the pool, and after the metrics where there are any. */
export const jobs = fastifyPlugin<JobSettings>(
  async (app, { jobsConcurrency: concurrency, jobsPollMs: pollMs, jobsGraceMs: graceMs }) => {
    const queue = new BossQueue({
      concurrency,
      pollMs,
      graceMs,
      pool: app.poolGuard,
      correlation: app.logging,
      log: app.log,
      metrics: app.hasDecorator('metrics') ? app.metrics : undefined,
    })
    app.decorate('jobs', queue)
    app.addHook('onClose', () => queue.close())
  },
  { fastify: '5.x', name: '@holdfast/api/jobs', dependencies: ['@holdfast/pool-guard', '@holdfast/logging'] },
)
