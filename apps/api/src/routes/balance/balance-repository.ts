// Balances and their entries in PostgreSQL. Nothing is written here: an entry is written by what moves the money.

import type { Kysely } from 'kysely'
import type { Database } from '../../db/database.ts'
import { ApiNotSignedInError } from '../../errors.ts'
import type { Balance, LedgerEntry } from './balance.ts'

/** Reads. Errors that are not mentioned are the driver's or the pool's. */
export class BalanceRepository {
  readonly #db: Kysely<Database>

  constructor(db: Kysely<Database>) {
    this.#db = db
  }

  /**
   * Everybody has one from his first moment to his last.
   * @throws {ApiNotSignedInError} when the user is there no more.
   */
  balance(userId: string): Promise<Balance> {
    return this.#db
      .selectFrom('balances')
      .where('user_id', '=', userId)
      .select(['balance_minor as balanceMinor', 'currency', 'changed_at as changedAt'])
      .executeTakeFirstOrThrow(() => new ApiNotSignedInError())
  }

  /** The entries of a user from before that one, the newest first, at most `limit`. */
  entries(userId: string, before: bigint, limit: number): Promise<LedgerEntry[]> {
    return this.#db
      .selectFrom('ledger_entries')
      .innerJoin('balances', 'balances.user_id', 'ledger_entries.user_id')
      .where('ledger_entries.user_id', '=', userId)
      .where('ledger_entries.id', '<', String(before))
      .select([
        'ledger_entries.id',
        'kind',
        'amount_minor as amountMinor',
        'balance_after_minor as balanceAfterMinor',
        'currency',
        'bet_id as betId',
        'at',
      ])
      .orderBy('ledger_entries.id', 'desc')
      .limit(limit)
      .execute()
  }
}
