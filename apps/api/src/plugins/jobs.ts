// The queue of jobs as a part of the service: `app.jobs`, which ends before the database does.

import { fastifyPlugin } from 'fastify-plugin'
import { BossQueue } from '../jobs/boss-queue.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Puts jobs in, and runs them. */
    readonly jobs: BossQueue
  }
}

/** Register it after the pool, and after the metrics where there are any. */
export const jobs = fastifyPlugin(
  async (app) => {
    const queue = new BossQueue({
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
