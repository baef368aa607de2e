// Bets in PostgreSQL.
//
// Guarantees of `place`: the bet, its stake and the balance that the stake leaves are one transaction. A key makes one
// bet, however many bring it at once: the unique constraint lets one of them write, and the others wait for what becomes
// of it. Who places holds the row of the event until the commit, and who ends an event waits for that: no bet is placed
// on an event that has ended, and whoever settles it sees every bet that was.

import { withRetryAfter } from '@holdfast/footing'
import type { PoolGuard, Transaction } from '@holdfast/pool-guard'
import type { Kysely } from 'kysely'
import type { Database } from '../../db/database.ts'
import { unavailability } from '../../db/unavailable.ts'
import {
  ApiBalanceTooLowError,
  ApiBetOutcomeUnknownError,
  ApiIdempotencyKeyReusedError,
  ApiNotSignedInError,
} from '../../errors.ts'
import type { Bet, BetOrder, BetStatus, PlacedBet } from './bet.ts'
import { type Offer, refusalOf } from './offer.ts'

/** A bet that is there, and whether it was before. */
export interface Placement {
  readonly bet: PlacedBet
  readonly replayed: boolean
}

/** Which bets of a user. */
export interface BetSelection {
  readonly userId: string
  /** Undefined: all. */
  readonly status: BetStatus | undefined
  readonly before: bigint
  readonly limit: number
}

/** A deadlock is somebody else's turn. */
const RETRIES = 2
const RETRY_AFTER_MS = 1000

/** Reads bets and places them. Errors that are not mentioned are the driver's or the pool's. */
export class BetRepository {
  readonly #pool: Pick<PoolGuard, 'transaction'>
  readonly #db: Kysely<Database>

  constructor(pool: Pick<PoolGuard, 'transaction'>, db: Kysely<Database>) {
    this.#pool = pool
    this.#db = db
  }

  /**
   * Places a bet, or finds the one that this key has made.
   * @throws {ApiIdempotencyKeyReusedError} when another request has this key.
   * @throws {ApiEventUnknownError}
   * @throws {ApiEventClosedError}
   * @throws {ApiSelectionUnknownError}
   * @throws {ApiOddsWorseError} when they are worse than those that the client saw.
   * @throws {ApiBalanceTooLowError}
   * @throws {ApiNotSignedInError} when the user is there no more.
   * @throws {ApiBetOutcomeUnknownError} when the connection broke during the commit, and nobody could be asked again.
   */
  async place(order: BetOrder): Promise<Placement> {
    try {
      return await this.#placeOnce(order)
    } catch (error) {
      if (codeOf(error) !== 'HOLDFAST_ERR_POOL_GUARD_TX_OUTCOME_UNKNOWN') throw error
      return this.#placeAgain(order)
    }
  }

  /** The bets of a user that were placed before that one, the newest first, at most `limit`. */
  bets({ userId, status, before, limit }: BetSelection): Promise<Bet[]> {
    return this.#db
      .selectFrom('bets')
      .innerJoin('balances', 'balances.user_id', 'bets.user_id')
      .where('bets.user_id', '=', userId)
      .where('bets.id', '<', String(before))
      .$if(status !== undefined, (query) => query.where('bets.status', '=', status ?? 'open'))
      .select([
        'bets.id',
        'event_id as eventId',
        'market',
        'selection',
        'stake_minor as stakeMinor',
        'odds_milli as oddsMilli',
        'currency',
        'status',
        'payout_minor as payoutMinor',
        'placed_at as placedAt',
        'settled_at as settledAt',
      ])
      .orderBy('bets.id', 'desc')
      .limit(limit)
      .execute()
  }

  /** What open bets stand for, by currency, of all users. Reads every open bet. */
  async openStakes(): Promise<ReadonlyMap<string, number>> {
    const rows = await this.#db
      .selectFrom('bets')
      .innerJoin('balances', 'balances.user_id', 'bets.user_id')
      .where('status', '=', 'open')
      .groupBy('currency')
      .select((eb) => ['currency', eb.fn.sum<string>('stake_minor').as('stakes')])
      .execute()
    return new Map(rows.map(({ currency, stakes }) => [currency, Number(stakes)]))
  }

  /**
   * The key says what became of the first try: a transaction that may still be under way is waited for. What it has
   * placed is no repeat.
   */
  async #placeAgain(order: BetOrder): Promise<Placement> {
    try {
      const { bet } = await this.#placeOnce(order)
      return { bet, replayed: false }
    } catch (error) {
      const isUnknown = codeOf(error) === 'HOLDFAST_ERR_POOL_GUARD_TX_OUTCOME_UNKNOWN'
      if (!isUnknown && unavailability(error) === undefined) throw error
      throw withRetryAfter(new ApiBetOutcomeUnknownError({ cause: error }), RETRY_AFTER_MS)
    }
  }

  #placeOnce(order: BetOrder): Promise<Placement> {
    return this.#pool.transaction({ criticality: 'critical', retries: RETRIES }, async (tx) => {
      const event = await holdEvent(tx, order.eventId)
      const { oddsMilli, written } = await write(tx, order)
      if (written === undefined) {
        const bet = await storedBet(tx, order)
        if (bet !== undefined) return { bet, replayed: true }
      }
      // Only now: whoever brings the same key at the same time has waited for this decision.
      const refusal = refusalOf({ event, oddsMilli }, order.seenOddsMilli)
      if (refusal !== undefined) throw refusal
      // The one that had this key has been taken away with its user in between.
      if (written === undefined || oddsMilli === undefined) throw new ApiNotSignedInError()
      const { currency, balanceAfterMinor } = await takeStake(tx, order, written.id)
      const { market, selection } = order
      const terms = {
        eventId: String(order.eventId),
        market,
        selection,
        stakeMinor: String(order.stakeMinor),
        oddsMilli,
      }
      return { bet: { ...written, ...terms, currency, balanceAfterMinor }, replayed: false }
    })
  }
}

/** Until the commit nobody ends the event. */
async function holdEvent(tx: Transaction, eventId: bigint): Promise<Offer['event']> {
  const { rows } = await tx.query<{ status: NonNullable<Offer['event']>['status']; is_ahead: boolean }>(
    `select status, starts_at > clock_timestamp() as is_ahead from sport_events where id = $1 for share`,
    [String(eventId)],
  )
  return rows[0] === undefined ? undefined : { status: rows[0].status, isAhead: rows[0].is_ahead }
}

/** The odds that are in force, and the bet at these odds, unless there are none, or this key has made one. */
async function write(tx: Transaction, order: BetOrder) {
  const { userId, eventId, market, selection, stakeMinor, idempotencyKey, digest } = order
  const inserted = tx.query<{ odds_milli: number; id: string | null; placed_at: Date | null }>(
    `with offer as (
       select event_id, market, selection, odds_milli from odds
       where event_id = $2 and market = $3 and selection = $4
     ), placed as (
       insert into bets (user_id, event_id, market, selection, stake_minor, odds_milli, idempotency_key, request_digest)
       select $1::bigint, event_id, market, selection, $5::bigint, odds_milli, $6::text, $7::bytea from offer
       on conflict (user_id, idempotency_key) do nothing
       returning id, placed_at
     )
     select odds_milli, id, placed_at from offer left join placed on true`,
    [userId, String(eventId), market, selection, stakeMinor, idempotencyKey, digest],
  )
  const { rows } = await inserted.catch((error: unknown) => {
    // Whoever was deleted has been let in before: that shows some seconds later.
    throw constraintOf(error) === 'bets_user_id_fkey' ? new ApiNotSignedInError() : error
  })
  const [row] = rows
  if (row === undefined) return { oddsMilli: undefined, written: undefined }
  const { odds_milli: oddsMilli, id, placed_at: placedAt } = row
  return { oddsMilli, written: id === null || placedAt === null ? undefined : { id, placedAt } }
}

/** What this key has made; a statement of its own, because it has to see what was committed while the insert waited. */
async function storedBet(
  tx: Transaction,
  { userId, idempotencyKey, digest }: BetOrder,
): Promise<PlacedBet | undefined> {
  const { rows } = await tx.query<PlacedBet & { digest: Buffer }>(
    `select bets.id, event_id as "eventId", market, selection, stake_minor as "stakeMinor", odds_milli as "oddsMilli",
       currency, balance_after_minor as "balanceAfterMinor", placed_at as "placedAt", request_digest as digest
     from bets
     join ledger_entries on ledger_entries.bet_id = bets.id and ledger_entries.kind = 'stake'
     join balances on balances.user_id = bets.user_id
     where bets.user_id = $1 and idempotency_key = $2`,
    [userId, idempotencyKey],
  )
  if (rows[0] === undefined) return undefined
  const { digest: stored, ...bet } = rows[0]
  if (!stored.equals(digest)) throw new ApiIdempotencyKeyReusedError()
  return bet
}

/** The trigger of the ledger moves the balance, or refuses. */
async function takeStake(tx: Transaction, { userId, stakeMinor }: BetOrder, betId: string) {
  try {
    const { rows } = await tx.query<{ currency: string; balance_after_minor: string }>(
      `with entry as (
         insert into ledger_entries (user_id, kind, amount_minor, balance_after_minor, bet_id)
         values ($1, 'stake', -$2::bigint, 0, $3) returning user_id, balance_after_minor
       )
       select currency, balance_after_minor from entry join balances using (user_id)`,
      [userId, stakeMinor, betId],
    )
    return { currency: rows[0]?.currency ?? '', balanceAfterMinor: rows[0]?.balance_after_minor ?? '' }
  } catch (error) {
    if (constraintOf(error) !== 'balances_not_negative') throw error
    throw new ApiBalanceTooLowError()
  }
}

function constraintOf(error: unknown): unknown {
  return (Object(error) as { constraint?: unknown }).constraint
}

function codeOf(error: unknown): unknown {
  return (Object(error) as { code?: unknown }).code
}
