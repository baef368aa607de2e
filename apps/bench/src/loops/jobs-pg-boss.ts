/**
 * pg-boss by itself, of the version whose statements ours runs. A batch is fetched and completed in one statement each,
 * and a job that fails takes its batch with it; ours ends each by itself, as soon as it is done. `notify` has it told of
 * new jobs over a connection of its own.
 */
import { PgBoss } from 'pg-boss'
import type { OpenQueue } from './jobs.ts'
import { POLL_MS } from './jobs.ts'

const QUEUE = 'bench'

export function openPgBoss(batchSize: number, notify: boolean): OpenQueue {
  return async (url) => {
    const boss = new PgBoss({ connectionString: url, max: 10, schedule: false, useListenNotify: notify })
    boss.on('error', () => {})
    await boss.start()
    await boss.createQueue(QUEUE, { notify })
    return {
      async put(job) {
        await boss.send(QUEUE, { job })
      },
      async work(work) {
        await boss.work<{ readonly job: number }>(
          QUEUE,
          { batchSize, burstWhenBatchFull: true, pollingIntervalSeconds: POLL_MS / 1000 },
          async (jobs) => {
            await Promise.all(jobs.map(({ data }) => work(data.job)))
          },
        )
        return () => boss.offWork(QUEUE, { wait: true })
      },
      completed: `select count(*) from pgboss.job where name = '${QUEUE}' and state = 'completed'`,
      close: () => boss.stop({ graceful: false }),
    }
  }
}
