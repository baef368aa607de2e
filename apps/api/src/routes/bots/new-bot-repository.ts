// Bots that users create, and the lists of them and of their events, in PostgreSQL.
//
// Guarantees of `create`: a key makes one bot, however many bring it at once, and a user has 50 bots at most: whoever
// creates one has the row of the user until the commit.

import type { PoolGuard, Transaction } from '@holdfast/pool-guard'
import { type Kysely, sql } from 'kysely'
import type { Database } from '../../db/database.ts'
import {
  ApiBotsFullError,
  ApiBotUnknownError,
  ApiIdempotencyKeyReusedError,
  ApiNotSignedInError,
} from '../../errors.ts'
import {
  type BotDetails,
  type BotEvent,
  type BotWish,
  type CreatedBot,
  MAX_BOTS_OF_USER,
  OPENING_CASH_MINOR,
} from './new-bot.ts'

/** A bot that is there, and whether it was before. */
export interface BotCreation {
  readonly bot: CreatedBot
  readonly replayed: boolean
}

/** Which bots of a user. */
export interface BotsSelection {
  readonly userId: string
  readonly after: bigint
  readonly limit: number
}

/** Which events of a bot. */
export interface EventsSelection {
  readonly userId: string
  readonly botId: bigint
  readonly before: bigint
  readonly limit: number
}

/** Reads and creates. Errors that are not mentioned are the driver's or the pool's. */
export class NewBotRepository {
  readonly #pool: Pick<PoolGuard, 'transaction'>
  readonly #db: Kysely<Database>

  constructor(pool: Pick<PoolGuard, 'transaction'>, db: Kysely<Database>) {
    this.#pool = pool
    this.#db = db
  }

  /**
   * Creates a bot, or finds the one that this key has made.
   * @throws {ApiIdempotencyKeyReusedError} when another request has this key.
   * @throws {ApiBotsFullError} when the user has as many as he may.
   * @throws {ApiNotSignedInError} when the user is there no more.
   */
  async create(wish: BotWish): Promise<BotCreation> {
    try {
      return await this.#createOnce(wish)
    } catch (error) {
      if (codeOf(error) !== 'HOLDFAST_ERR_POOL_GUARD_TX_OUTCOME_UNKNOWN') throw error
      // The key says what became of it; what this request has made is no repeat.
      return { ...(await this.#createOnce(wish)), replayed: false }
    }
  }

  #createOnce(wish: BotWish): Promise<BotCreation> {
    return this.#pool.transaction({ criticality: 'critical' }, async (tx) => {
      const { userId } = wish
      const user = await tx.query('select from users where id = $1 for no key update', [userId])
      // Whoever was deleted has been let in before: that shows some seconds later.
      if (user.rowCount === 0) throw new ApiNotSignedInError()
      const before = await madeBefore(tx, wish)
      if (before !== undefined) return { bot: before, replayed: true }
      const { rows } = await tx.query<{ count: number }>(
        'select count(*)::int from (select from bots where user_id = $1 limit $2) as counted',
        [userId, MAX_BOTS_OF_USER],
      )
      if ((rows[0]?.count ?? 0) >= MAX_BOTS_OF_USER) throw new ApiBotsFullError(MAX_BOTS_OF_USER)
      return { bot: await insert(tx, wish), replayed: false }
    })
  }

  /** The bots of a user that come after `after`, the oldest first, at most `limit`. */
  bots({ userId, after, limit }: BotsSelection): Promise<BotDetails[]> {
    return this.#db
      .selectFrom('bots')
      .where('user_id', '=', userId)
      .where('bots.id', '>', String(after))
      .select([
        'bots.id',
        'bots.name',
        'bots.status',
        'symbol',
        'strategy',
        'cash_minor as cashMinor',
        'position',
        'changed_at as changedAt',
        'bots.created_at as createdAt',
        currencyOf(userId).as('currency'),
      ])
      .orderBy('bots.id')
      .limit(limit)
      .execute()
  }

  /**
   * What happened to a bot before `before`, the newest first, at most `limit`. One statement.
   * @throws {ApiBotUnknownError} when the user has no such bot.
   */
  async events({ userId, botId, before, limit }: EventsSelection): Promise<BotEvent[]> {
    const rows = await this.#db
      .selectFrom('bots')
      .leftJoinLateral(
        (eb) =>
          eb
            .selectFrom('bot_events')
            .whereRef('bot_events.bot_id', '=', 'bots.id')
            .where('bot_events.id', '<', String(before))
            .select(['bot_events.id', 'kind', 'from_status', 'to_status', 'reason', 'at'])
            .orderBy('bot_events.id', 'desc')
            .limit(limit)
            .as('event'),
        (join) => join.onTrue(),
      )
      .where('bots.id', '=', String(botId))
      .where('bots.user_id', '=', userId)
      .select(['event.id', 'event.kind', 'event.from_status', 'event.to_status', 'event.reason', 'event.at'])
      .orderBy('event.id', 'desc')
      .execute()
    if (rows.length === 0) throw new ApiBotUnknownError()
    return rows.flatMap(({ id, kind, from_status: from, to_status: to, reason, at }) =>
      id === null || kind === null || from === null || to === null || at === null
        ? []
        : [{ id, kind, from, to, reason, at }],
    )
  }
}

function codeOf(error: unknown): unknown {
  return (Object(error) as { code?: unknown }).code
}

const CREATED = 'bots.id, bots.name, symbol, strategy, bots.created_at as "createdAt"'
const CURRENCY =
  '(select currency from users join tenants on tenants.id = tenant_id where users.id = $1) as currency'

async function madeBefore(tx: Transaction, { userId, idempotencyKey, digest }: BotWish) {
  const { rows } = await tx.query<CreatedBot & { digest: Buffer }>(
    `select ${CREATED}, ${CURRENCY}, request_digest as digest from bots where user_id = $1 and idempotency_key = $2`,
    [userId, idempotencyKey],
  )
  const [found] = rows
  if (found === undefined) return undefined
  if (!found.digest.equals(digest)) throw new ApiIdempotencyKeyReusedError()
  return found
}

async function insert(tx: Transaction, wish: BotWish): Promise<CreatedBot> {
  const { userId, name, symbol, strategy, idempotencyKey, digest } = wish
  const { rows } = await tx.query<CreatedBot>(
    `insert into bots (user_id, name, symbol, strategy, cash_minor, idempotency_key, request_digest)
     values ($1, $2, $3, $4, $5, $6, $7) returning ${CREATED}, ${CURRENCY}`,
    [userId, name, symbol, strategy, OPENING_CASH_MINOR, idempotencyKey, digest],
  )
  const [bot] = rows
  if (bot === undefined) throw new Error('PostgreSQL has inserted a bot and returned none')
  return bot
}

/** Looked up once for a page. */
function currencyOf(userId: string) {
  return sql<string>`(select currency from users join tenants on tenants.id = tenant_id where users.id = ${userId})`
}
