/** The queue of apps/api, over pool-guard. */
import { BossQueue } from '@holdfast/api/boss-queue'
import { Logs } from '@holdfast/logging'
import { PoolGuard } from '@holdfast/pool-guard'
import { AT_A_TIME, type OpenQueue, POLL_MS } from './jobs.ts'

export const openOurs: OpenQueue = async (url) => {
  const pool = new PoolGuard({ connectionString: url, max: 10 })
  const logs = new Logs({ destination: { write() {} } })
  const open = () =>
    new BossQueue({ pool, correlation: logs, log: logs.logger, concurrency: AT_A_TIME, pollMs: POLL_MS })
  const putting = open()
  return {
    async put(job) {
      await putting.enqueue(pool, 'notify', { job })
    },
    async work(work) {
      const working = open()
      await working.work('notify', {
        parse: (payload) => payload as { readonly job: number },
        handle: ({ payload }) => work(payload.job),
      })
      return () => working.close()
    },
    completed: `select count(*) from jobs.job where name = 'notify' and state = 'completed'`,
    async close() {
      await putting.close()
      await pool.close()
    },
  }
}
