// Bots and what happened to them, in PostgreSQL.

import type { PoolGuard } from '@holdfast/pool-guard'
import { type Kysely, sql } from 'kysely'
import type { Database } from '../../db/database.ts'
import { ApiBotOvertakenError, ApiBotStateError, ApiBotUnknownError } from '../../errors.ts'
import {
  type Bot,
  type BotChange,
  type BotOperation,
  type BotStatus,
  possibleOperations,
  STEPS,
} from './bot.ts'

/** An operation of a user on one of his bots. */
export interface BotOrder {
  readonly userId: string
  readonly botId: bigint
  readonly operation: BotOperation
  /** Larger than that of everybody who was allowed to work on this user's bots before. */
  readonly fence: number
  /** Aborts when the operation should not go on. */
  readonly signal: AbortSignal
}

/** Reads bots and changes them. Errors that are not mentioned are the driver's or the pool's. */
export class BotRepository {
  readonly #pool: PoolGuard
  readonly #db: Kysely<Database>

  constructor(pool: PoolGuard, db: Kysely<Database>) {
    this.#pool = pool
    this.#db = db
  }

  /**
   * Changes a bot and writes the event, both or neither.
   * @throws {ApiBotUnknownError} when the user has no such bot.
   * @throws {ApiBotOvertakenError} when somebody with this fence or a larger one has changed a bot of this user before.
   * @throws {ApiBotStateError} when the bot is in no state for it.
   */
  operate({ userId, botId, operation, fence, signal }: BotOrder): Promise<BotChange> {
    const { from, to, done } = STEPS[operation]
    return this.#pool.transaction({ criticality: 'critical', signal }, async (tx) => {
      // One step: whoever comes too late finds no row, and whoever does not has it for himself until the commit. It is
      // that of the user, because one operation of a user goes on at a time, on whichever of his bots.
      const claimed = await tx.query(
        'update users set fence_of_last_operation = $2 where id = $1 and fence_of_last_operation < $2',
        [userId, String(fence)],
      )
      if (claimed.rowCount === 0) throw new ApiBotOvertakenError()
      const found = await tx.query<{ name: string; status: BotStatus }>(
        'select name, status from bots where id = $1 and user_id = $2 for update',
        [String(botId), userId],
      )
      const bot = found.rows[0]
      if (bot === undefined) throw new ApiBotUnknownError()
      if (!from.includes(bot.status)) {
        throw new ApiBotStateError(bot.status, possibleOperations(bot.status).join(' or '))
      }
      const changed = await tx.query<{ event_id: string; at: Date }>(
        `with changed as (
           update bots set status = $2, changed_at = clock_timestamp() where id = $1 returning changed_at
         )
         insert into bot_events (bot_id, user_id, kind, from_status, to_status, fence, at)
         select $1, $3::bigint, $4::text, $5::text, $2, $6::bigint, changed_at from changed
         returning id as event_id, at`,
        [String(botId), to, userId, done, bot.status, String(fence)],
      )
      const event = changed.rows[0]
      if (event === undefined) throw new ApiBotUnknownError()
      return {
        bot: { id: String(botId), name: bot.name, status: to, changedAt: event.at },
        from: bot.status,
        eventId: event.event_id,
      }
    })
  }

  /**
   * A fence for whoever has got none, because the guard has no Redis: microseconds by the clock of the database, as
   * those of Redis are by its clock.
   */
  async fenceOfNow(): Promise<number> {
    const { rows } = await sql<{ fence: string }>`
      select floor(extract(epoch from clock_timestamp()) * 1000000)::bigint as fence`.execute(this.#db)
    return Number(rows[0]?.fence)
  }

  /** @throws {ApiBotUnknownError} when the user has no such bot. */
  async bot(userId: string, botId: bigint): Promise<Bot> {
    const [bot] = await this.#read(userId).where('id', '=', String(botId)).execute()
    if (bot === undefined) throw new ApiBotUnknownError()
    return bot
  }

  /** The bots of a user that come after `after`, the oldest first, at most `limit`. */
  bots(userId: string, after: bigint, limit: number): Promise<Bot[]> {
    return this.#read(userId).where('id', '>', String(after)).orderBy('id').limit(limit).execute()
  }

  /** How many bots run, of all users. */
  async running(): Promise<number> {
    const { count } = await this.#db
      .selectFrom('bots')
      .where('status', '=', 'running')
      .select((eb) => eb.fn.countAll<string>().as('count'))
      .executeTakeFirstOrThrow()
    return Number(count)
  }

  #read(userId: string) {
    return this.#db
      .selectFrom('bots')
      .where('user_id', '=', userId)
      .select(['id', 'name', 'status', 'changed_at as changedAt'])
  }
}
