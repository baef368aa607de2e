// What a bet is, what it pays, and how the routes tell it.

import { minorOf } from '../../db/minor-units.ts'

/** `void`: its event or its market came to nothing, and the stake was given back. */
export type BetStatus = 'open' | 'won' | 'lost' | 'void'

export const BET_STATUSES: readonly BetStatus[] = ['open', 'won', 'lost', 'void']

/** What somebody wants to bet. */
export interface BetOrder {
  readonly userId: string
  readonly eventId: bigint
  readonly market: string
  readonly selection: string
  readonly stakeMinor: number
  /** What the client was shown: it is content with these and with better ones. Undefined: with any. */
  readonly seenOddsMilli: number | undefined
  readonly idempotencyKey: string
  /** Of the request; 32 bytes. */
  readonly digest: Buffer
}

/** A bet as it was placed. Nothing of it ever changes. */
export interface PlacedBet {
  readonly id: string
  readonly eventId: string
  readonly market: string
  readonly selection: string
  readonly stakeMinor: string
  readonly oddsMilli: number
  readonly currency: string
  /** What the user had left. */
  readonly balanceAfterMinor: string
  readonly placedAt: Date
}

/** A bet and what became of it. */
export interface Bet extends Omit<PlacedBet, 'balanceAfterMinor'> {
  readonly status: BetStatus
  /** Null while it is open. */
  readonly payoutMinor: string | null
  readonly settledAt: Date | null
}

/** What a bet pays when it is won: the stake times the odds, and what is less than a minor unit stays with the house. */
export function payoutOf(stakeMinor: bigint, oddsMilli: number): bigint {
  return (stakeMinor * BigInt(oddsMilli)) / 1000n
}

/** What `POST /api/bets` answers: only what never changes, so that a repeat is answered with the same bytes. */
export function placedAnswer(bet: PlacedBet) {
  return {
    ...termsOf(bet),
    balance_minor: minorOf(bet.balanceAfterMinor),
    placed_at: bet.placedAt.toISOString(),
  }
}

/** An item of what `GET /api/bets` answers. */
export function betItem(bet: Bet) {
  return {
    ...termsOf(bet),
    status: bet.status,
    payout_minor: bet.payoutMinor === null ? null : minorOf(bet.payoutMinor),
    placed_at: bet.placedAt.toISOString(),
    settled_at: bet.settledAt?.toISOString() ?? null,
  }
}

function termsOf({
  id,
  eventId,
  market,
  selection,
  stakeMinor,
  oddsMilli,
  currency,
}: Omit<PlacedBet, 'balanceAfterMinor'>) {
  return {
    bet_id: id,
    event_id: eventId,
    market,
    selection,
    stake_minor: minorOf(stakeMinor),
    odds_milli: oddsMilli,
    payout_if_won_minor: minorOf(String(payoutOf(BigInt(stakeMinor), oddsMilli))),
    currency,
  }
}
