// What a user has, what has moved it, and how the routes tell it.

import { minorOf } from '../../db/minor-units.ts'

/** What a user has: the sum of his entries. */
export interface Balance {
  readonly balanceMinor: string
  readonly currency: string
  readonly changedAt: Date
}

/** `opening`: what he began with; `refund`: a stake that was given back. */
export type EntryKind = 'opening' | 'stake' | 'payout' | 'refund'

export const ENTRY_KINDS: readonly EntryKind[] = ['opening', 'stake', 'payout', 'refund']

/** One movement of money; it never changes. */
export interface LedgerEntry {
  readonly id: string
  readonly kind: EntryKind
  /** Negative where it was taken. */
  readonly amountMinor: string
  readonly balanceAfterMinor: string
  readonly currency: string
  /** Null for the opening. */
  readonly betId: string | null
  readonly at: Date
}

/** What `GET /api/balance` answers. */
export function balanceAnswer({ balanceMinor, currency, changedAt }: Balance) {
  return { balance_minor: minorOf(balanceMinor), currency, changed_at: changedAt.toISOString() }
}

/** An item of what `GET /api/balance/entries` answers. */
export function entryItem({ id, kind, amountMinor, balanceAfterMinor, currency, betId, at }: LedgerEntry) {
  return {
    entry_id: id,
    kind,
    amount_minor: minorOf(amountMinor),
    balance_after_minor: minorOf(balanceAfterMinor),
    currency,
    bet_id: betId,
    at: at.toISOString(),
  }
}
