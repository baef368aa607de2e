// Loads bots whose leases were just taken.
//
// Rows of bots are locked before leases, as operations of users do, and one that somebody else has locked is passed over:
// nobody waits.

import type { PoolGuard, Transaction } from '@holdfast/pool-guard'
import type { Lease, Leases } from '../../db/leases.ts'
import { symbolOf } from '../../market/symbols.ts'
import { type Strategy, strategyOf } from '../../strategy/strategy.ts'
import { StrategyError } from '../../strategy/strategy-error.ts'
import { leaseName } from './bot-leases.ts'
import { type PositionRow, positionOf } from './bot-row.ts'
import type { Tell } from './notice.ts'
import type { TradingBot } from './trading-bot.ts'

/** Who has a bot that nobody has run since its start. */
const NOBODY = 'nobody'

/** A bot that cannot run, and why. */
export interface UnfitBot {
  readonly id: string
  readonly name: string
  readonly userId: string
  readonly tenantId: string
  readonly why: string
}

/** What taking over has brought. */
export interface Adoption {
  readonly bots: readonly TradingBot[]
  /** How many of them another process had before. */
  readonly takenOver: number
  readonly unfit: readonly UnfitBot[]
  /** Leases of what somebody works on at this moment, or does not run any more. */
  readonly passed: readonly Lease[]
}

/** Adopts bots. Errors are the driver's or the pool's. */
export class BotAdoption {
  readonly #pool: Pick<PoolGuard, 'transaction'>
  readonly #leases: Pick<Leases, 'holdAll'>
  readonly #tell: Tell

  constructor(pool: Pick<PoolGuard, 'transaction'>, leases: Pick<Leases, 'holdAll'>, tell: Tell) {
    this.#pool = pool
    this.#leases = leases
    this.#tell = tell
  }

  /**
   * Loads the bots of leases that were just taken, and writes the event for those that another one had before
   * (`ownersBefore`, by the name of the lease). What cannot run is marked as failed, and its user is told.
   */
  adopt(
    leases: readonly Lease[],
    ownersBefore: ReadonlyMap<string, string>,
    self: string,
  ): Promise<Adoption> {
    return this.#pool.transaction({}, async (tx) => {
      const rows = await lockedBots(tx, leases)
      const held = await this.#leases.holdAll(
        tx,
        leases.filter(({ name }) => rows.has(name)),
      )
      const found = held.flatMap((lease) => {
        const row = rows.get(lease.name)
        return row === undefined ? [] : [botOf(row, lease)]
      })
      const bots = found.filter((each) => 'strategy' in each)
      const unfit = found.filter((each) => 'why' in each)
      const isOfAnother = (owner: string | undefined) => ![undefined, NOBODY, self].includes(owner)
      const takenOver = bots.filter(({ lease }) => isOfAnother(ownersBefore.get(lease.name)))
      await tellTakenOver(tx, takenOver)
      await markFailed(tx, unfit)
      for (const { id, name, userId, tenantId, why } of unfit) {
        await this.#tell(tx, { kind: 'bot.failed', tenantId, userId, payload: { bot_id: id, name, why } })
      }
      const settled = new Set(held)
      return {
        bots,
        takenOver: takenOver.length,
        unfit,
        passed: leases.filter((lease) => !settled.has(lease)),
      }
    })
  }
}

interface BotRow extends PositionRow {
  readonly name: string
  readonly user_id: string
  readonly tenant_id: string
  readonly symbol: string
  readonly strategy: string
}

/** By the names of their leases. */
async function lockedBots(tx: Transaction, leases: readonly Lease[]): Promise<ReadonlyMap<string, BotRow>> {
  const ids = leases.map(({ name }) => name.slice(leaseName('').length))
  const { rows } = await tx.query<BotRow>(
    `select bots.id, bots.name, user_id, tenant_id, symbol, strategy, cash_minor, position, last_tick
     from bots join users on users.id = user_id
     where bots.id = any($1::bigint[]) and bots.status = 'running'
     order by bots.id for no key update of bots skip locked`,
    [ids],
  )
  return new Map(rows.map((row) => [leaseName(row.id), row]))
}

function botOf(row: BotRow, lease: Lease): TradingBot | UnfitBot {
  const { id, name, user_id: userId, tenant_id: tenantId } = row
  const given = { id, name, userId, tenantId }
  const at = positionOf(row)
  const symbol = symbolOf(row.symbol)
  if (symbol === undefined) return { ...given, why: `there is no symbol ${row.symbol}` }
  if (![at.cash, at.position].every(Number.isSafeInteger)) {
    return {
      ...given,
      why: `its cash or its position is more than can be counted: ${row.cash_minor}, ${row.position}`,
    }
  }
  const strategy = strategyOrFault(row.strategy)
  if (typeof strategy === 'string') return { ...given, why: strategy }
  return { ...given, symbol, strategy, lease, at, breaker: undefined, lastFailure: undefined }
}

/** What nobody can have saved through the service may stand there all the same. */
function strategyOrFault(text: string): Strategy | string {
  try {
    return strategyOf(text)
  } catch (error) {
    if (!(error instanceof StrategyError)) throw error
    return `its strategy is none: line ${error.line}, column ${error.column}: ${error.message}`
  }
}

async function tellTakenOver(tx: Transaction, bots: readonly TradingBot[]): Promise<void> {
  if (bots.length === 0) return
  await tx.query(
    `insert into bot_events (bot_id, user_id, kind, from_status, to_status, fence, at)
     select bot_id, user_id, 'taken_over', 'running', 'running', fence, clock_timestamp()
     from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as taken (bot_id, user_id, fence) order by bot_id`,
    [
      bots.map(({ id }) => id),
      bots.map(({ userId }) => userId),
      bots.map(({ lease }) => String(lease.fence)),
    ],
  )
}

/** The lease goes with the status. */
async function markFailed(tx: Transaction, unfit: readonly UnfitBot[]): Promise<void> {
  if (unfit.length === 0) return
  await tx.query(
    `with failed as (
       update bots set status = 'failed', changed_at = clock_timestamp()
       where id = any($1::bigint[]) returning id, user_id, changed_at
     )
     insert into bot_events (bot_id, user_id, kind, from_status, to_status, fence, reason, at)
     select id, user_id, 'failed', 'running', 'failed', nextval('lease_fences'), left(why, 1000), changed_at
     from failed join unnest($1::bigint[], $2::text[]) as unfit (id, why) using (id) order by id`,
    [unfit.map(({ id }) => id), unfit.map(({ why }) => why)],
  )
}
