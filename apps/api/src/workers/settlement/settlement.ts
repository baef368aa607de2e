// Settles the bets of an event that is over, some at a time, each time in one transaction.
//
// Guarantees: `UPDATE ... WHERE status = 'open'` decides who settles a bet; the entry in the ledger, the word to the user
// and what is to be done next are in the same transaction, so that all of it happens once or not at all, whoever is
// killed and however often the same is asked for. The row of the event is held meanwhile: of one event one transaction
// goes on at a time, in the order in which the bets were placed, and none of them sees half a result. Balances are taken
// in the order of their users, so that those of two events never wait for each other.
// Does not guarantee that a bet that is settled follows a result that is changed afterwards: it is paid once.

import type { PoolGuard, Transaction } from '@holdfast/pool-guard'
import { ApiSettleEventUnknownError } from '../../errors.ts'
import type { BetStatus } from '../../routes/bets/bet.ts'
import { type EndedEvent, type EventState, endingOf, isOver } from './ending.ts'

/** Whoever is told what became of bets, in the transaction in which it did. */
export interface Teller {
  tell(
    tx: Pick<Transaction, 'query'>,
    notice: {
      readonly kind: string
      readonly tenantId?: string
      readonly userId?: string
      readonly payload: Readonly<Record<string, unknown>>
    },
  ): Promise<void>
}

/** A part of the bets of an event. */
export interface SettlementPart {
  readonly eventId: string
  /** At most so many bets. */
  readonly limit: number
  readonly signal?: AbortSignal
  /** There are more: called in the same transaction. */
  readonly leaveRest?: (tx: Pick<Transaction, 'query'>) => Promise<void>
}

/** What a part came to. */
export interface SettledPart {
  /** False: it goes on, or has not begun, and nothing was done. */
  readonly isOver: boolean
  readonly bets: Readonly<Record<Exclude<BetStatus, 'open'>, number>>
  /** Whether there are more open ones. */
  readonly more: boolean
}

interface OpenBet {
  readonly id: string
  readonly user_id: string
  readonly tenant_id: string
  readonly market: string
  readonly selection: string
  readonly stake_minor: string
  readonly odds_milli: number
  readonly currency: string
}

interface EndedBet extends OpenBet {
  readonly status: Exclude<BetStatus, 'open'>
  readonly payoutMinor: bigint
}

const NOTHING = { won: 0, lost: 0, void: 0 } as const
/** A deadlock is somebody else's turn. */
const RETRIES = 3

/** Errors that are not mentioned are the driver's or the pool's. */
export class Settlement {
  readonly #pool: Pick<PoolGuard, 'transaction'>
  readonly #teller: Teller

  constructor(pool: Pick<PoolGuard, 'transaction'>, teller: Teller) {
    this.#pool = pool
    this.#teller = teller
  }

  /**
   * Settles the open bets of an event that were placed first.
   * @throws {ApiSettleEventUnknownError}
   */
  settleNext({ eventId, limit, signal, leaveRest }: SettlementPart): Promise<SettledPart> {
    const scope = { criticality: 'critical', route: 'settlement', retries: RETRIES, signal } as const
    return this.#pool.transaction(scope, async (tx) => {
      const event = await holdEvent(tx, eventId)
      if (!isOver(event)) return { isOver: false, bets: NOTHING, more: false }
      // One more than may be settled tells whether there are others.
      const open = await openBets(tx, eventId, limit + 1)
      const more = open.length > limit
      const settled = await settle(tx, event, open.slice(0, limit))
      for (const [userId, bets] of Map.groupBy(settled, ({ user_id }) => user_id)) {
        await this.#teller.tell(tx, noticeOf(eventId, userId, bets))
      }
      if (more) await leaveRest?.(tx)
      return { isOver: true, bets: countsOf(settled), more }
    })
  }
}

/** Until the commit nobody else settles its bets, and the result stays. Whoever places a bet on it is waited for. */
async function holdEvent(tx: Transaction, eventId: string): Promise<EventState> {
  const { rows } = await tx.query<{ status: EventState['status']; result: EventState['result'] }>(
    'select status, result from sport_events where id = $1 for no key update',
    [eventId],
  )
  if (rows[0] === undefined) throw new ApiSettleEventUnknownError(eventId)
  return rows[0]
}

async function openBets(tx: Transaction, eventId: string, limit: number): Promise<OpenBet[]> {
  const { rows } = await tx.query<OpenBet>(
    `select bets.id, bets.user_id, tenant_id, market, selection, stake_minor, odds_milli, currency
     from (
       select * from bets where event_id = $1 and status = 'open' order by id limit $2
     ) as bets
     join users on users.id = bets.user_id
     join balances on balances.user_id = bets.user_id
     order by bets.id`,
    [eventId, limit],
  )
  return rows
}

/** Those that were still open, as they are now. */
async function settle(tx: Transaction, event: EndedEvent, open: readonly OpenBet[]): Promise<EndedBet[]> {
  if (open.length === 0) return []
  const ended = open.map((bet): EndedBet => {
    const { market, selection, odds_milli: oddsMilli } = bet
    const stakeMinor = BigInt(bet.stake_minor)
    return { ...bet, ...endingOf(event, { market, selection, stakeMinor, oddsMilli }) }
  })
  const { rows } = await tx.query<{ id: string }>(
    `with ended as (
       select * from unnest($1::bigint[], $2::text[], $3::bigint[]) as ended (id, status, payout_minor)
     ), settled as (
       update bets set status = ended.status, payout_minor = ended.payout_minor, settled_at = clock_timestamp()
       from ended where bets.id = ended.id and bets.status = 'open'
       returning bets.id, bets.user_id, bets.status, bets.payout_minor
     ), paid as (
       insert into ledger_entries (user_id, kind, amount_minor, balance_after_minor, bet_id)
       select user_id, case status when 'won' then 'payout' else 'refund' end, payout_minor, 0, id
       from settled where payout_minor > 0 order by user_id, id
     )
     select id from settled`,
    [
      ended.map(({ id }) => id),
      ended.map(({ status }) => status),
      ended.map(({ payoutMinor }) => String(payoutMinor)),
    ],
  )
  const settled = new Set(rows.map(({ id }) => id))
  return ended.filter(({ id }) => settled.has(id))
}

function noticeOf(eventId: string, userId: string, bets: readonly EndedBet[]) {
  return {
    kind: 'bets.settled',
    tenantId: bets[0]?.tenant_id ?? '',
    userId,
    payload: {
      event_id: eventId,
      currency: bets[0]?.currency ?? '',
      bets: bets.map(({ id, status, payoutMinor }) => ({
        bet_id: id,
        status,
        payout_minor: Number(payoutMinor),
      })),
    },
  }
}

function countsOf(bets: readonly EndedBet[]): SettledPart['bets'] {
  const counts = { ...NOTHING } as { won: number; lost: number; void: number }
  for (const { status } of bets) counts[status] += 1
  return counts
}
