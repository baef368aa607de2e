// A database with the queues of jobs, and queues on it as a process would have them.

import { Writable } from 'node:stream'
import { Logs } from '@holdfast/logging'
import { PoolGuard } from '@holdfast/pool-guard'
import type { Pool } from 'pg'
import type { Test } from 'tap'
import { migrateUp } from '../src/db/migrator.ts'
import { BossQueue, type BossQueueOptions } from '../src/jobs/boss-queue.ts'
import type { EnqueueOptions, Job, JobHandler, JobQueue } from '../src/jobs/job-queue.ts'
import type { QueueName } from '../src/jobs/queues.ts'
import { migrations } from '../src/migrations/index.ts'
import { freshDatabase, testGuard, testPool } from './fresh-database.ts'

/** What a test about jobs needs. */
export interface JobBench {
  readonly url: string
  readonly pool: PoolGuard
  /** Past the guard. */
  readonly sql: Pool
  readonly logs: Logs
  /** Everything that was logged. */
  readonly log: readonly string[]
  /** A queue of its own, which is closed with the test. */
  queue(options?: Partial<BossQueueOptions>): BossQueue
  /** Puts a job in, in a transaction of its own. */
  put(
    queue: JobQueue,
    name: QueueName,
    payload: object,
    options?: EnqueueOptions,
  ): Promise<string | undefined>
  /** The jobs of a queue, the oldest first. */
  jobs(name: string): Promise<readonly StoredJob[]>
  /** Whatever waits for another try need not wait any more. */
  hurry(name: QueueName): Promise<void>
}

/** A job as the database has it. */
export interface StoredJob {
  readonly id: string
  readonly state: string
  readonly retry_count: number
  readonly data: { readonly payload: unknown; readonly carrier: Readonly<Record<string, string>> }
  readonly output: Readonly<Record<string, unknown>> | null
}

/** Tables with the queues, on a database of that server; `way` leads to it otherwise, as through a pooler. */
export async function jobBench(
  t: Test,
  serverUrl: string,
  way: (url: string) => string = (url) => url,
): Promise<JobBench> {
  const url = await freshDatabase(serverUrl)
  const owner = new PoolGuard({ connectionString: url, max: 1, min: 0 })
  await migrateUp(owner, migrations)
  await owner.close()
  const sql = testPool(url)
  t.teardown(() => sql.end())
  const pool = testGuard(t, way(url), 8)
  const log: string[] = []
  const sink = new Writable({
    write(chunk, _encoding, done) {
      log.push(String(chunk))
      done()
    },
  })
  const logs = new Logs({ destination: sink })
  return {
    url: way(url),
    pool,
    sql,
    logs,
    log,
    queue: (options = {}) => {
      const queue = new BossQueue({
        pool,
        correlation: logs,
        log: logs.logger,
        pollMs: 20,
        lookSeconds: 1,
        ...options,
      })
      t.teardown(() => queue.close())
      return queue
    },
    put: (queue, name, payload, options) =>
      pool.transaction({}, (tx) => queue.enqueue(tx, name, payload, options)),
    jobs: async (name) => {
      const { rows } = await sql.query<StoredJob>(
        'select id, state, retry_count, data, output from jobs.job where name = $1 order by created_on, id',
        [name],
      )
      return rows
    },
    hurry: async (name) => {
      await sql.query(`update jobs.job set start_after = now() where name = $1 and state = 'retry'`, [name])
    },
  }
}

/** Takes every payload as it is. */
export function handling<Payload = { n: number }>(
  handle: (job: Job<Payload>) => Promise<void> | void,
): JobHandler<Payload> {
  return { parse: (payload) => payload as Payload, handle: async (job) => handle(job) }
}
