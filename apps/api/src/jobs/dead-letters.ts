// Jobs that nobody tries any more, and what an operator does with them.
//
// Guarantees: each action is one transaction with its line in the audit log; a dead letter is marked as replayed in the
// statement that puts in its job, so it is neither lost nor replayed twice; one that cannot be replayed stays as it was.
// Nothing deletes a dead letter that nobody has dealt with; one that somebody has is kept for a year.

import { withRetryAfter } from '@holdfast/footing'
import { maskText } from '@holdfast/logging'
import type { PoolGuard } from '@holdfast/pool-guard'
import {
  ApiDeadLetterStateError,
  ApiDeadLetterUnknownError,
  ApiReplayBudgetError,
  ApiReplayCollidesError,
  ApiReplayObstacleError,
} from '../errors.ts'
import { opened } from './job-envelope.ts'
import type { Statements } from './job-queue.ts'
import { QUEUES, type QueueName } from './queues.ts'
import type { FindObstacle } from './replay-obstacle.ts'

/** Whether somebody has dealt with it. */
export type DeadLetterState = 'open' | 'replayed' | 'discarded'

/** A job that nobody tries any more. */
export interface DeadLetter {
  readonly id: string
  readonly queue: QueueName
  readonly state: DeadLetterState
  /** The job that died. */
  readonly jobId: string
  /** The first job of those that came of each other by replays; itself when it is the first. */
  readonly rootId: string
  readonly key: string | null
  readonly attempts: number
  readonly enqueuedAt: Date
  readonly diedAt: Date
  /** When somebody dealt with it; null while nobody has. */
  readonly endedAt: Date | null
  readonly error: DeadLetterError
  /** The job that came of it, when it was replayed. */
  readonly replayedAs: string | null
  readonly endedBy: string | null
  readonly reason: string | null
}

/** Why the last try failed. */
export interface DeadLetterError {
  readonly kind: string
  readonly name: string
  readonly message: string
  readonly code: string | null
}

/** The same, and all that helps to find out why. */
export interface DeadLetterDetails extends DeadLetter {
  readonly correlationId: string | null
  /** As JSON, without what looks like a secret, cut after 16,384 characters. */
  readonly payload: string
  readonly stack: string | null
  /** How often jobs of its root were replayed. */
  readonly replays: number
  /** The jobs and dead letters of its root, the oldest first; at most 50. */
  readonly history: readonly Relative[]
}

/** A job, or a dead letter, of the same root. */
export interface Relative {
  readonly id: string
  readonly queue: string
  readonly state: string
  readonly at: Date
}

/** Which dead letters. */
export interface DeadLetterFilter {
  /** Default: those that nobody has dealt with. */
  readonly state?: DeadLetterState
  /** The `code` of the error. */
  readonly code?: string
  readonly diedBefore?: Date
}

/** The place of a dead letter in a list: microseconds since the epoch, and its id. */
export interface DeadLetterPlace {
  readonly atUs: bigint
  readonly id: string
}

/** Who does it. */
export interface Operator {
  /** The id of a user, or the word for who has the token of operators. */
  readonly actor: string
}

/** What became of one dead letter. `taken`: somebody was faster, or is at it. */
export type ReplayOutcome = 'replayed' | 'collides' | 'budget_spent' | 'taken'

/** What a replay did with one dead letter. */
export interface Replay {
  readonly id: string
  readonly outcome: ReplayOutcome
  /** The job that came of it; null for every other outcome. */
  readonly jobId: string | null
}

/** What is written about an action; `AuditLog` is one. */
export interface Auditor {
  record(
    tx: Statements,
    entry: {
      readonly actor: string
      readonly action: string
      readonly subject?: string
      readonly before?: unknown
      readonly after?: unknown
      readonly reason?: string
    },
  ): Promise<void>
}

/** What dead letters are made of. */
export interface DeadLettersOptions {
  readonly pool: Pick<PoolGuard, 'query' | 'transaction'>
  readonly audit: Auditor
  /** How often jobs of one root may be replayed. Default 3. */
  readonly replayBudget?: number
  /** Default: none is known. */
  readonly obstacle?: FindObstacle
}

const DEFAULT_BUDGET = 3
const MAX_PAYLOAD = 16_384
const MAX_HISTORY = 50

/** Rejects as the pool does, and with what is mentioned. */
export class DeadLetters {
  readonly #pool: Pick<PoolGuard, 'query' | 'transaction'>
  readonly #audit: Auditor
  readonly #budget: number
  readonly #obstacle: FindObstacle

  constructor({
    pool,
    audit,
    replayBudget = DEFAULT_BUDGET,
    obstacle = () => undefined,
  }: DeadLettersOptions) {
    this.#pool = pool
    this.#audit = audit
    this.#budget = replayBudget
    this.#obstacle = obstacle
  }

  /** Those that died before `after`'s place, the latest first, at most `limit`, with their places. */
  async list(
    queue: QueueName,
    { state = 'open', code, diedBefore }: DeadLetterFilter,
    limit: number,
    after?: DeadLetterPlace,
  ): Promise<readonly { readonly letter: DeadLetter; readonly place: DeadLetterPlace }[]> {
    const { rows } = await this.#pool.query<LetterRow>(LIST, [
      QUEUES[queue].deadLetters,
      STATE_OF[state],
      code ?? null,
      diedBefore?.toISOString() ?? null,
      after === undefined ? null : String(after.atUs),
      after?.id ?? null,
      limit,
    ])
    return rows.map((row) => ({
      letter: letterOf(queue, row),
      place: { atUs: BigInt(row.died_us), id: row.id },
    }))
  }

  /** @throws {ApiDeadLetterUnknownError} */
  async show(queue: QueueName, id: string): Promise<DeadLetterDetails> {
    const { rows } = await this.#pool.query<DetailRow>(SHOW, [QUEUES[queue].deadLetters, id, MAX_HISTORY])
    const [row] = rows
    if (row === undefined) throw new ApiDeadLetterUnknownError()
    const { payload, carrier } = opened(row.data)
    return {
      ...letterOf(queue, row),
      correlationId: carrier.correlationId ?? null,
      payload: maskText(JSON.stringify(payload) ?? 'null', MAX_PAYLOAD),
      stack: textOf(Object(row.source_output)['stack']),
      replays: Number(row.replays),
      history: row.history.map(({ id, name, state, at }) => ({ id, queue: name, state, at: new Date(at) })),
    }
  }

  /**
   * Puts its job in again. The second time it answers what the first one did, and does nothing.
   * @throws {ApiDeadLetterUnknownError}
   * @throws {ApiDeadLetterStateError} when it was discarded.
   * @throws {ApiReplayCollidesError} when a job with its key waits.
   * @throws {ApiReplayBudgetError} when its root was replayed as often as it may be.
   * @throws {ApiReplayObstacleError} while it is known to fail.
   */
  replay(
    queue: QueueName,
    id: string,
    { actor }: Operator,
  ): Promise<{ readonly jobId: string; readonly repeated: boolean }> {
    return this.#pool.transaction({ criticality: 'critical' }, async (tx) => {
      const { letter, data } = await this.#locked(tx, queue, id)
      if (letter.state === 'replayed' && letter.replayedAs !== null) {
        return { jobId: letter.replayedAs, repeated: true }
      }
      if (letter.state !== 'open') throw new ApiDeadLetterStateError(letter.state)
      this.#refuseObstacle(queue, [data])
      const [replay] = await this.#replayAll(tx, queue, [id], actor)
      if (replay?.outcome === 'budget_spent') throw new ApiReplayBudgetError(this.#budget)
      if (replay === undefined || replay.jobId === null) throw new ApiReplayCollidesError(letter.key ?? id)
      await this.#audit.record(tx, {
        actor,
        action: 'dead_letter.replay',
        subject: `${queue}/${id}`,
        before: { state: 'open', root_id: letter.rootId },
        after: { state: 'replayed', job_id: replay.jobId },
      })
      return { jobId: replay.jobId, repeated: false }
    })
  }

  /**
   * The same with the oldest open ones that fit, at most `limit`; what cannot be replayed is told, and stays. With
   * `dryRun` everything is told as it would be, and nothing is done.
   * @throws {ApiReplayObstacleError} while one of them is known to fail.
   */
  replayMany(
    queue: QueueName,
    filter: Omit<DeadLetterFilter, 'state'>,
    { actor, limit, dryRun }: Operator & { readonly limit: number; readonly dryRun: boolean },
  ): Promise<readonly Replay[]> {
    const work = async (tx: Statements): Promise<readonly Replay[]> => {
      const { rows } = await tx.query<{ id: string; data: unknown }>(CHOOSE, [
        QUEUES[queue].deadLetters,
        filter.code ?? null,
        filter.diedBefore?.toISOString() ?? null,
        limit,
      ])
      if (rows.length === 0) return []
      this.#refuseObstacle(
        queue,
        rows.map(({ data }) => data),
      )
      const replays = await this.#replayAll(
        tx,
        queue,
        rows.map(({ id }) => id),
        actor,
      )
      if (dryRun) throw new Undone(replays)
      await this.#audit.record(tx, {
        actor,
        action: 'dead_letter.replay_many',
        subject: queue,
        before: { filter: { code: filter.code, died_before: filter.diedBefore?.toISOString() }, limit },
        after: { replays: replays.map(({ id, outcome, jobId }) => ({ id, outcome, job_id: jobId })) },
      })
      return replays
    }
    return this.#pool.transaction({ criticality: 'critical' }, work).catch((error: unknown) => {
      if (error instanceof Undone) return error.replays.map((replay) => ({ ...replay, jobId: null }))
      throw error
    })
  }

  /**
   * Nothing more is done with it. The second time it does nothing.
   * @throws {ApiDeadLetterUnknownError}
   * @throws {ApiDeadLetterStateError} when it was replayed.
   */
  discard(
    queue: QueueName,
    id: string,
    { actor, reason }: Operator & { readonly reason: string },
  ): Promise<{ readonly repeated: boolean }> {
    return this.#pool.transaction({ criticality: 'critical' }, async (tx) => {
      const { letter } = await this.#locked(tx, queue, id)
      if (letter.state === 'discarded') return { repeated: true }
      if (letter.state !== 'open') throw new ApiDeadLetterStateError(letter.state)
      await tx.query(
        `update jobs.job_common set state = 'cancelled', completed_on = jobs.job_now(),
           output = jsonb_build_object('by', $3::text, 'reason', $4::text)
         where name = $1 and id = $2`,
        [QUEUES[queue].deadLetters, id, actor, reason],
      )
      await this.#audit.record(tx, {
        actor,
        action: 'dead_letter.discard',
        subject: `${queue}/${id}`,
        before: { state: 'open', root_id: letter.rootId, error: letter.error },
        after: { state: 'discarded' },
        reason,
      })
      return { repeated: false }
    })
  }

  #refuseObstacle(queue: QueueName, stored: readonly unknown[]): void {
    for (const data of stored) {
      const obstacle = this.#obstacle(queue, opened(data).payload)
      if (obstacle === undefined) continue
      throw withRetryAfter(new ApiReplayObstacleError(obstacle.why), obstacle.retryAfterMs)
    }
  }

  async #locked(
    tx: Statements,
    queue: QueueName,
    id: string,
  ): Promise<{ readonly letter: DeadLetter; readonly data: unknown }> {
    const { rows } = await tx.query<LetterRow & { readonly data: unknown }>(
      `select ${COLUMNS}, letter.data from jobs.job_common as letter
       where name = $1 and id = $2 and source_name is not null for update`,
      [QUEUES[queue].deadLetters, id],
    )
    const [row] = rows
    if (row === undefined) throw new ApiDeadLetterUnknownError()
    return { letter: letterOf(queue, row), data: row.data }
  }

  async #replayAll(
    tx: Statements,
    queue: QueueName,
    ids: readonly string[],
    actor: string,
  ): Promise<readonly Replay[]> {
    const { rows } = await tx.query<{ id: string; job_id: string; replayed: boolean; spent: boolean }>(
      REPLAY,
      [QUEUES[queue].deadLetters, ids, this.#budget, actor, queue],
    )
    const found = new Map(rows.map((row) => [row.id, row]))
    return ids.map((id): Replay => {
      const row = found.get(id)
      if (row === undefined) return { id, outcome: 'taken', jobId: null }
      if (row.replayed) return { id, outcome: 'replayed', jobId: row.job_id }
      return { id, outcome: row.spent ? 'budget_spent' : 'collides', jobId: null }
    })
  }
}

/** Takes back what a dry run has done: it has seen what would have happened, not guessed it. */
class Undone extends Error {
  readonly replays: readonly Replay[]

  constructor(replays: readonly Replay[]) {
    super('a dry run')
    this.replays = replays
  }
}

/** How pg-boss calls it. */
const STATE_OF = { open: 'created', replayed: 'completed', discarded: 'cancelled' } as const

const COLUMNS = `letter.id, letter.state::text, letter.source_id, letter.source_root_id, letter.singleton_key,
  letter.source_retry_count, letter.source_created_on, letter.created_on, letter.completed_on, letter.source_output,
  letter.output, (extract(epoch from letter.created_on) * 1000000)::bigint as died_us`

interface LetterRow {
  readonly id: string
  readonly state: string
  readonly source_id: string
  readonly source_root_id: string | null
  readonly singleton_key: string | null
  readonly source_retry_count: number | null
  readonly source_created_on: Date
  readonly created_on: Date
  readonly completed_on: Date | null
  readonly source_output: unknown
  readonly output: unknown
  readonly died_us: string
}

interface DetailRow extends LetterRow {
  readonly data: unknown
  readonly replays: string
  readonly history: readonly { id: string; name: string; state: string; at: string }[]
}

/** The latest first, through `dead_letters_by_time`. */
export const LIST = `select ${COLUMNS} from jobs.job_common as letter
  where letter.name = $1 and letter.source_name is not null and letter.state = $2::jobs.job_state
    and ($3::text is null or letter.source_output ->> 'code' = $3)
    and ($4::timestamptz is null or letter.created_on < $4)
    and (letter.created_on, letter.id) < (
      coalesce('epoch'::timestamptz + $5::bigint * interval '1 microsecond', 'infinity'),
      coalesce($6::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
  order by letter.created_on desc, letter.id desc limit $7`

/** By its key, and its relatives through the index of roots. */
export const SHOW = `select ${COLUMNS}, letter.data,
    (select count(*) from jobs.job_common as other
      where other.source_root_id = coalesce(letter.source_root_id, letter.source_id)
        and other.name = letter.name and other.state = 'completed') as replays,
    (select coalesce(jsonb_agg(to_jsonb(relative) order by relative.at), '[]') from (
      select other.id, other.name, other.state::text, other.created_on as at from jobs.job_common as other
      where other.source_root_id = coalesce(letter.source_root_id, letter.source_id)
      order by other.created_on limit $3
    ) as relative) as history
  from jobs.job_common as letter
  where letter.name = $1 and letter.id = $2 and letter.source_name is not null`

/** The oldest first; those that somebody else is at are left to him. */
export const CHOOSE = `select letter.id, letter.data from jobs.job_common as letter
  where letter.name = $1 and letter.source_name is not null and letter.state = 'created'
    and ($2::text is null or letter.source_output ->> 'code' = $2)
    and ($3::timestamptz is null or letter.created_on < $3)
  order by letter.created_on, letter.id limit $4 for update skip locked`

/**
 * One statement: what is put in is marked, and what is not stays. A job has the rules that its queue has now, and the
 * ids and the key that it had. Each gets its id before, because no part of a statement sees what another one writes.
 */
export const REPLAY = `with chosen as materialized (
    select letter.id, gen_random_uuid() as job_id, coalesce(letter.source_root_id, letter.source_id) as root_id,
      letter.created_on
    from jobs.job_common as letter
    where letter.name = $1 and letter.id = any($2::uuid[]) and letter.source_name is not null
      and letter.state = 'created'
    order by letter.created_on, letter.id for update
  ), counted as materialized (
    select chosen.*, row_number() over (partition by root_id order by created_on, id) + (
      select count(*) from jobs.job_common as other
      where other.source_root_id = chosen.root_id and other.name = $1 and other.state = 'completed'
    ) > $3 as spent
    from chosen
  ), made as (
    insert into jobs.job_common (id, name, data, priority, retry_limit, retry_backoff, retry_delay, retry_delay_max,
      expire_seconds, start_after, created_on, keep_until, deletion_seconds, policy, singleton_key, group_id,
      group_tier, heartbeat_seconds, dead_letter, source_root_id)
    select counted.job_id, queue.name, letter.data, letter.priority, queue.retry_limit, queue.retry_backoff,
      queue.retry_delay, queue.retry_delay_max, queue.expire_seconds, jobs.job_now(), jobs.job_now(),
      jobs.job_now() + queue.retention_seconds * interval '1 second', queue.deletion_seconds, queue.policy,
      letter.singleton_key, letter.group_id, letter.group_tier, queue.heartbeat_seconds, queue.dead_letter,
      counted.root_id
    from counted
    join jobs.job_common as letter on letter.name = $1 and letter.id = counted.id
    join jobs.queue on queue.name = $5
    where not counted.spent
    order by letter.created_on, letter.id
    on conflict do nothing returning id
  ), marked as (
    update jobs.job_common as letter
    set state = 'completed', completed_on = jobs.job_now(),
      output = jsonb_build_object('by', $4::text, 'replayed_as', counted.job_id)
    from counted join made on made.id = counted.job_id
    where letter.name = $1 and letter.id = counted.id
  )
  select counted.id, counted.job_id, counted.spent, made.id is not null as replayed
  from counted left join made on made.id = counted.job_id`

function letterOf(queue: QueueName, row: LetterRow): DeadLetter {
  const failure = Object(row.source_output) as Readonly<Record<string, unknown>>
  const ended = Object(row.output) as Readonly<Record<string, unknown>>
  const rootId = row.source_root_id ?? row.source_id
  return {
    id: row.id,
    queue,
    state: stateOf(row.state),
    jobId: row.source_id,
    rootId,
    // A job without a key has its own id in its place, and so have those that came of it.
    key: row.singleton_key === rootId ? null : row.singleton_key,
    attempts: (row.source_retry_count ?? 0) + 1,
    enqueuedAt: row.source_created_on,
    diedAt: row.created_on,
    endedAt: row.completed_on,
    error: errorOf(failure),
    replayedAs: textOf(ended['replayed_as']),
    endedBy: textOf(ended['by']),
    reason: textOf(ended['reason']),
  }
}

/** What pg-boss writes itself, for a try whose process was gone, is `{ value: { message } }`. */
function errorOf(failure: Readonly<Record<string, unknown>>): DeadLetterError {
  const own = Object(failure['value']) as Readonly<Record<string, unknown>>
  return {
    kind: textOf(failure['kind']) ?? 'retryable',
    name: textOf(failure['name']) ?? 'Error',
    message: textOf(failure['message']) ?? textOf(own['message']) ?? 'nothing is known',
    code: textOf(failure['code']),
  }
}

function stateOf(state: string): DeadLetterState {
  if (state === 'completed') return 'replayed'
  return state === 'cancelled' ? 'discarded' : 'open'
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
