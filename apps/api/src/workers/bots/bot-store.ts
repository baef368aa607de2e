// The bots that run, in PostgreSQL: who has none who runs it, where each stands, and what they trade.
//
// Guarantees of `save`: a trade, the cash and the position that it leaves and its tick are written together, by whoever has
// the lease of the bot until the commit, and on top of what the trade was decided on; or nothing of it is. Rows of bots are
// locked before leases, as operations of users do, and one that somebody else has locked is passed over: nobody waits.

import type { PoolGuard, Transaction } from '@holdfast/pool-guard'
import type { Lease, Leases } from '../../db/leases.ts'
import { type MarketSymbol, symbolOf } from '../../market/symbols.ts'
import { type Strategy, strategyOf } from '../../strategy/strategy.ts'
import { StrategyError } from '../../strategy/strategy-error.ts'
import type { BotCensus } from './fair-share.ts'
import type { Tell } from './notice.ts'
import type { BotPosition, TradingBot, WantedTrade } from './trading-bot.ts'

/** Processes that run bots have one such lease each, by which they are counted. */
export const RUNNER_KIND = 'bot-runner'
/** Who has a bot that nobody has run since its start. */
const NOBODY = 'nobody'
/** A process that has not been heard of for so long is no more counted, and its row goes. */
const FORGET_AFTER = '1 hour'

/** A bot that nobody runs. */
export interface FreeBot {
  /** Of its lease. */
  readonly name: string
  /** Who had it last. */
  readonly owner: string
}

/** What became of trades. */
export interface SaveResult {
  readonly saved: readonly WantedTrade[]
  /** Those whose bot stood elsewhere, or was held by somebody else at that moment. */
  readonly passed: readonly WantedTrade[]
  /** Those whose lease is over. */
  readonly lost: readonly WantedTrade[]
}

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

/** The name of the lease of a bot. */
export function leaseName(botId: string): string {
  return `bot/${botId}`
}

/** Reads and writes. Errors are the driver's or the pool's. */
export class BotStore {
  readonly #pool: Pick<PoolGuard, 'query' | 'transaction'>
  readonly #leases: Leases
  readonly #tell: Tell

  constructor(pool: Pick<PoolGuard, 'query' | 'transaction'>, leases: Leases, tell: Tell) {
    this.#pool = pool
    this.#leases = leases
    this.#tell = tell
  }

  /** Bots that nobody runs, those that have waited the longest first. */
  async free(limit: number): Promise<FreeBot[]> {
    const { rows } = await this.#pool.query<{ name: string; owner: string }>(
      // now() and not clock_timestamp(), which no index can be asked by.
      `select name, owner from leases where kind = 'bot' and expires_at <= now() order by expires_at limit $1`,
      [limit],
    )
    return rows
  }

  /** What there is in all; `graceMs` is how long a bot may be without an owner. */
  async census(graceMs: number): Promise<BotCensus> {
    const { rows } = await this.#pool.query<{ running: number; alone: number; processes: number }>(
      `select count(*) filter (where kind = 'bot')::int as running,
         count(*) filter (where kind = 'bot' and expires_at <= now() - $1 * interval '1 millisecond')::int as alone,
         count(*) filter (where kind = '${RUNNER_KIND}' and expires_at > now())::int as processes
       from leases where kind in ('bot', '${RUNNER_KIND}')`,
      [graceMs],
    )
    return rows[0] ?? { running: 0, alone: 0, processes: 0 }
  }

  /** Forgets processes that were not heard of for an hour. */
  async forgetRunners(): Promise<void> {
    await this.#pool.query(
      `delete from leases where kind = '${RUNNER_KIND}' and expires_at < now() - interval '${FORGET_AFTER}'`,
    )
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

  /** Where bots stand. */
  async positions(bots: readonly TradingBot[]): Promise<ReadonlyMap<string, BotPosition>> {
    const { rows } = await this.#pool.query<PositionRow>(
      'select id, cash_minor, position, last_tick from bots where id = any($1::bigint[])',
      [bots.map(({ id }) => id)],
    )
    return new Map(rows.map((row) => [row.id, positionOf(row)]))
  }

  /** Writes trades of one tick, at most one for a bot. One transaction. */
  save(tick: number, wanted: readonly WantedTrade[]): Promise<SaveResult> {
    return this.#pool.transaction({}, async (tx) => {
      const { rows } = await tx.query<PositionRow>(
        `select id, cash_minor, position, last_tick from bots
         where id = any($1::bigint[]) and status = 'running' order by id for no key update skip locked`,
        [wanted.map(({ bot }) => bot.id)],
      )
      const locked = new Map(rows.map((row) => [row.id, positionOf(row)]))
      const held = new Set(
        await this.#leases.holdAll(
          tx,
          wanted.map(({ bot }) => bot.lease),
        ),
      )
      const mine = wanted.filter(({ bot }) => held.has(bot.lease))
      const isAsDecidedOn = ({ bot, before }: WantedTrade) => areEqual(locked.get(bot.id), before)
      const saved = mine.filter(isAsDecidedOn)
      if (saved.length > 0) await writeTrades(tx, tick, saved)
      return {
        saved,
        passed: mine.filter((each) => !isAsDecidedOn(each)),
        lost: wanted.filter(({ bot }) => !held.has(bot.lease)),
      }
    })
  }
}

interface PositionRow {
  readonly id: string
  readonly cash_minor: string
  readonly position: string
  readonly last_tick: string
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
  return { ...given, symbol: symbol satisfies MarketSymbol, strategy, lease, at, breaker: undefined }
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

function positionOf({ cash_minor, position, last_tick }: PositionRow): BotPosition {
  return { cash: Number(cash_minor), position: Number(position), lastTick: Number(last_tick) }
}

function areEqual(left: BotPosition | undefined, right: BotPosition): boolean {
  return (
    left !== undefined &&
    left.cash === right.cash &&
    left.position === right.position &&
    left.lastTick === right.lastTick
  )
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
     insert into bot_events (bot_id, user_id, kind, from_status, to_status, fence, at)
     select id, user_id, 'failed', 'running', 'failed', nextval('lease_fences'), changed_at from failed order by id`,
    [unfit.map(({ id }) => id)],
  )
}

async function writeTrades(tx: Transaction, tick: number, trades: readonly WantedTrade[]): Promise<void> {
  const column = <T>(of: (trade: WantedTrade) => T) => trades.map(of)
  await tx.query(
    `with given as (
       select * from unnest(
         $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[]
       ) as given (bot_id, user_id, side, symbol, quantity, price_minor, fence, cash_minor, position)
     ), moved as (
       update bots set cash_minor = given.cash_minor, position = given.position, last_tick = $1::bigint
       from given where bots.id = given.bot_id
     )
     insert into trades (bot_id, user_id, tick, side, symbol, quantity, price_minor, fence)
     select bot_id, user_id, $1::bigint, side, symbol, quantity, price_minor, fence from given order by bot_id`,
    [
      tick,
      column(({ bot }) => bot.id),
      column(({ bot }) => bot.userId),
      column(({ order }) => order.side),
      column(({ bot }) => bot.symbol),
      column(({ order }) => order.quantity),
      column(({ order }) => order.priceMinor),
      column(({ bot }) => String(bot.lease.fence)),
      column(({ after }) => after.cash),
      column(({ after }) => after.position),
    ],
  )
}
