// The one file that knows pg-boss. Its statements are run here and none of its loops: nothing of it holds a connection,
// listens or waits by itself, and what it asks goes through the guarded pool, or through the transaction that somebody
// has open. `start()` is not called, which would set timers; without it all there is are statements.
//
// Every claim has a fence: its id and the number of the try. Whoever has lost a job to the next try changes nothing of it.

import { AsyncLocalStorage } from 'node:async_hooks'
import { type Criticality, type PoolGuard, sqlStateOf } from '@holdfast/pool-guard'
import { type JobWithMetadata, PgBoss } from 'pg-boss'
import { ApiJobContendedError, ApiJobQueuesError } from '../errors.ts'
import type { JobEnvelope } from './job-envelope.ts'
import type { JobFailure } from './job-failure.ts'
import type { EnqueueOptions, QueueDepth, QueueDepths, Statements } from './job-queue.ts'
import { lackingQueues, QUEUE_NAMES, QUEUES, type QueueName, type StoredQueue } from './queues.ts'

/** One try of a job, as it was fetched. */
export interface Claim {
  readonly id: string
  readonly data: unknown
  /** 0 for the first try. */
  readonly retryCount: number
  /** By the clock of the database, to the millisecond. */
  readonly startedOn: Date
  readonly retryLimit: number
  readonly deadlineMs: number
  /** `Infinity` for a job that needs none. */
  readonly heartbeatMs: number
}

/** What it says besides errors. */
export type BossLog = (level: 'warn' | 'error', fields: object, message: string) => void

/** What the store is made of. */
export interface BossStoreOptions {
  readonly pool: Pick<PoolGuard, 'query' | 'transaction'>
  readonly log: BossLog
  /** How often all processes together look for tries that nobody makes any more, in whole seconds. Default 5. */
  readonly lookSeconds?: number
}

const DEFAULT_LOOK_SECONDS = 5
/** How often all processes together delete what is done. */
const TIDY_SECONDS = 3600
/** The schema of the migration. */
const VERSION = 43
const MS = 1000
const MAX_TRIES = 5
/** PostgreSQL: there is no such schema, no such table. */
const NOT_THERE = ['3F000', '42P01']

type Execute = (text: string, values?: readonly unknown[]) => Promise<{ rows: unknown[] }>

/** The jobs in PostgreSQL. Rejects as the pool does. */
export class BossStore {
  readonly #pool: Pick<PoolGuard, 'query' | 'transaction'>
  readonly #boss: PgBoss
  /** What the statements of pg-boss are given to, wherever in it they come from. */
  readonly #execute = new AsyncLocalStorage<Execute>()

  constructor({ pool, log, lookSeconds = DEFAULT_LOOK_SECONDS }: BossStoreOptions) {
    this.#pool = pool
    this.#boss = new PgBoss({
      schema: 'jobs',
      db: {
        executeSql: (text, values) => {
          const execute = this.#execute.getStore()
          if (execute === undefined) throw new Error('pg-boss asks the database by itself')
          // Several statements in one text can have no values, not even none of them.
          return execute(text, values === undefined || values.length === 0 ? undefined : values)
        },
      },
      migrate: false,
      supervise: false,
      schedule: false,
      useListenNotify: false,
      reindex: false,
      monitorVacuum: false,
      monitorIntervalSeconds: lookSeconds,
      maintenanceIntervalSeconds: TIDY_SECONDS,
    })
    this.#boss.on('error', (error) => log('error', { err: error }, 'pg-boss has failed'))
    this.#boss.on('warning', (warning) => log('warn', { warning }, 'pg-boss warns'))
  }

  /**
   * Whether the database has what is needed.
   * @throws {ApiJobQueuesError}
   */
  async verify(): Promise<void> {
    const { rows } = await this.#pool
      .query<StoredQueue & { version: number }>(
        'select name, policy, dead_letter, (select max(version) from jobs.version) as version from jobs.queue',
      )
      .catch((error: unknown) => {
        const isNotThere = NOT_THERE.includes(sqlStateOf(error) ?? '')
        throw isNotThere ? new ApiJobQueuesError('no schema jobs, or not all of its tables') : error
      })
    const lacking = lackingQueues(rows)
    const version = rows[0]?.version ?? VERSION
    if (version !== VERSION) lacking.push(`version ${version} of the schema jobs, not ${VERSION}`)
    if (lacking.length > 0) throw new ApiJobQueuesError(lacking.join(', '))
  }

  /**
   * Puts a job in; answers whether there was none with its key.
   * @throws {ApiJobContendedError}
   */
  async put(
    tx: Statements,
    queue: QueueName,
    id: string,
    envelope: JobEnvelope,
    { key, afterMs = 0 }: EnqueueOptions,
  ): Promise<boolean> {
    const options = {
      id,
      // Jobs without a key would all have the same one.
      singletonKey: key ?? id,
      ...(key !== undefined && { group: { id: key } }),
      ...(afterMs > 0 && { startAfter: Math.ceil(afterMs) / MS }),
    }
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const stored = await this.#through(
        (text, values) => tx.query(text, values),
        () => this.#boss.send(queue, envelope, options),
      )
      if (stored !== null) return true
      if (await holdWaiting(tx, queue, options.singletonKey)) return false
      // It has been begun in between.
    }
    throw new ApiJobContendedError(queue, options.singletonKey)
  }

  /** The jobs that come next, at most `limit`, and of one key only one; nobody else has them from then on. */
  async claim(queue: QueueName, limit: number): Promise<Claim[]> {
    const jobs: JobWithMetadata<object>[] = await this.#with('normal', () =>
      this.#boss.fetch<object>(queue, { batchSize: limit, includeMetadata: true, groupConcurrency: 1 }),
    )
    return jobs.map(({ id, data, retryCount, retryLimit, startedOn, expireInSeconds, heartbeatSeconds }) => ({
      id,
      data,
      retryCount,
      retryLimit,
      startedOn,
      deadlineMs: expireInSeconds * MS,
      heartbeatMs: heartbeatSeconds === null ? Number.POSITIVE_INFINITY : heartbeatSeconds * MS,
    }))
  }

  /** They are done. Answers the ids of those that were still ours. */
  async complete(queue: QueueName, claims: readonly Claim[]): Promise<ReadonlySet<string>> {
    const response = await this.#with('critical', () =>
      this.#boss.complete(queue, claims.map(attemptOf), null),
    )
    return new Set(settledIn(response))
  }

  /** The try has failed: there will be another one, or it becomes a dead letter. Answers whether it was still ours. */
  async fail(queue: QueueName, claim: Claim, failure: JobFailure): Promise<boolean> {
    const response = await this.#with('critical', () => this.#boss.fail(queue, [attemptOf(claim)], failure))
    return settledIn(response).length > 0
  }

  /** The same, and it becomes a dead letter whatever tries are left. */
  async bury(queue: QueueName, claim: Claim, failure: JobFailure): Promise<boolean> {
    return this.#pool.transaction({ criticality: 'critical' }, async (tx) => {
      await tx.query(
        `update jobs.job_common set retry_limit = retry_count
         where name = $1 and id = $2 and state = 'active' and retry_count = $3`,
        [queue, claim.id, claim.retryCount],
      )
      const response = await this.#through(
        (text, values) => tx.query(text, values),
        () => this.#boss.fail(queue, [attemptOf(claim)], failure),
      )
      return settledIn(response).length > 0
    })
  }

  /** We are still at it. Answers the ids of those that are still ours. */
  async touch(queue: QueueName, claims: readonly Claim[]): Promise<ReadonlySet<string>> {
    const response = await this.#with('critical', () => this.#boss.touch(queue, claims.map(attemptOf)))
    return new Set(settledIn(response))
  }

  /**
   * They were begun by mistake, or cannot be ended here: the same try is for somebody else, at once. Whoever gives a job
   * back must not settle it any more, because that try has the same number. Said once more, because nobody knows whether
   * it was heard, it takes nothing from who has begun it since.
   */
  async giveBack(queue: QueueName, claims: readonly Claim[]): Promise<void> {
    if (claims.length === 0) return
    // As `retry`: of jobs that were not begun another one with this key may wait already. Without `started_on` the next
    // fetch does not count it as another try.
    await this.#pool.query(
      `update jobs.job_common set state = 'retry', started_on = null, heartbeat_on = null, start_after = jobs.job_now()
       from unnest($2::uuid[], $3::integer[], $4::timestamptz[]) as given (id, retry_count, started_on)
       where job_common.name = $1 and job_common.state = 'active'
         and job_common.id = given.id and job_common.retry_count = given.retry_count
         -- The driver cuts off what is less than a millisecond.
         and job_common.started_on < given.started_on + interval '2 milliseconds'`,
      [
        queue,
        claims.map(({ id }) => id),
        claims.map(({ retryCount }) => retryCount),
        claims.map(({ startedOn }) => startedOn),
      ],
      { criticality: 'critical' },
    )
  }

  /** Ends tries whose process is gone or whose time is up, and deletes what was done long ago, where that is due. */
  supervise(): Promise<void> {
    return this.#with('background', () => this.#boss.supervise())
  }

  /** How many there are. */
  async depths(): Promise<QueueDepths> {
    const { rows } = await this.#pool.query<DepthRow>(
      DEPTHS,
      [QUEUE_NAMES, QUEUE_NAMES.map((name) => QUEUES[name].deadLetters)],
      { criticality: 'background' },
    )
    const depths = new Map(rows.map(({ name, ...row }) => [name, depthOf(row)]))
    return { settle: depths.get('settle') ?? NOTHING, notify: depths.get('notify') ?? NOTHING }
  }

  #with<T>(criticality: Criticality, work: () => Promise<T>): Promise<T> {
    const scope = { criticality, route: 'jobs' }
    return this.#through((text, values) => this.#pool.query(text, values, scope), work)
  }

  #through<T>(execute: Execute, work: () => Promise<T>): Promise<T> {
    return this.#execute.run(execute, work)
  }
}

/**
 * Keeps the job that waits with this key from being begun before the transaction has ended: whoever has put in nothing
 * relies on it to see what he has written. Answers false when none waits any more.
 */
export const HOLD_WAITING = `select id from jobs.job_common
  where name = $1 and coalesce(singleton_key, '') = $2 and state = 'created' and policy = 'short' for share`

async function holdWaiting(tx: Statements, queue: QueueName, key: string): Promise<boolean> {
  return ((await tx.query(HOLD_WAITING, [queue, key])).rowCount ?? 0) > 0
}

interface DepthRow {
  readonly name: string
  readonly waiting: string
  readonly active: string
  readonly failed: string
  readonly oldest_ready_seconds: number | null
  readonly oldest_failed_seconds: number | null
}

/** One row for each queue, through indexes that hold only what is not done. */
export const DEPTHS = `select queue.name, waiting, active, failed, oldest_ready_seconds, oldest_failed_seconds
  from unnest($1::text[], $2::text[]) as queue (name, dead_letters)
  cross join lateral (
    select count(*) as waiting,
      extract(epoch from clock_timestamp() - min(start_after) filter (where start_after <= clock_timestamp()))::float8
        as oldest_ready_seconds
    from jobs.job_common as job where job.name = queue.name and job.state < 'active' and not job.blocked
  ) as waits
  cross join lateral (
    select count(*) as active from jobs.job_common as job where job.name = queue.name and job.state = 'active'
  ) as runs
  cross join lateral (
    select count(*) as failed, extract(epoch from clock_timestamp() - min(created_on))::float8 as oldest_failed_seconds
    from jobs.job_common as job where job.name = queue.dead_letters and job.state < 'active' and not job.blocked
  ) as dead`

const NOTHING: QueueDepth = {
  waiting: 0,
  active: 0,
  failed: 0,
  oldestReadySeconds: 0,
  oldestFailedSeconds: 0,
}

function depthOf(row: Omit<DepthRow, 'name'>): QueueDepth {
  return {
    waiting: Number(row.waiting),
    active: Number(row.active),
    failed: Number(row.failed),
    oldestReadySeconds: Math.max(0, row.oldest_ready_seconds ?? 0),
    oldestFailedSeconds: Math.max(0, row.oldest_failed_seconds ?? 0),
  }
}

function attemptOf({ id, retryCount }: Claim) {
  return { id, retryCount }
}

/** The ids of what a statement has changed, which pg-boss answers and does not declare. */
function settledIn(response: object): readonly string[] {
  const { settled } = response as { settled?: readonly string[] }
  if (settled === undefined) throw new Error('pg-boss does not say what it has changed')
  return settled
}
