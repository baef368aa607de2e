// Runners of bots on a real database, whose time a test moves by hand; the time of leases is that of the database.

import { CircuitBreakers } from '@holdfast/circuit-breaker'
import { type Health, health } from '@holdfast/health'
import { PoolGuard } from '@holdfast/pool-guard'
import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { HandClock, seededRandom, waitUntil } from '@holdfast/test-kit'
import Fastify from 'fastify'
import { Kysely } from 'kysely'
import type { Test } from 'tap'
import type { Database } from '../src/db/database.ts'
import { Leases } from '../src/db/leases.ts'
import { MarketFeed, tickAt } from '../src/market/market-feed.ts'
import type { BotOperation } from '../src/routes/bots/bot.ts'
import { BotRepository } from '../src/routes/bots/bot-repository.ts'
import { BotRunner, type BotRunnerOptions } from '../src/workers/bots/bot-runner.ts'
import type { Tell } from '../src/workers/bots/notice.ts'
import type { BotOutcome } from '../src/workers/bots/outcomes.ts'
import { demoDatabase, testGuard } from './fresh-database.ts'

export const TICK_MS = 1000

/** Notices as rows, in a table of the tests. */
export const tellInTable: Tell = async (tx, { kind, userId, payload }) => {
  await tx.query('insert into told (kind, user_id, payload) values ($1, $2, $3)', [
    kind,
    userId ?? null,
    JSON.stringify(payload),
  ])
}

/** A runner, and what it has counted. */
export interface Trader {
  readonly runner: BotRunner
  readonly leases: Leases
  readonly pool: PoolGuard
  readonly clock: HandClock
  readonly health: Health
  readonly outcomes: ReadonlyMap<BotOutcome, number>
  readonly log: readonly string[]
}

/** What a trader may be given instead. */
export interface TraderOptions
  extends Partial<Pick<BotRunnerOptions, 'maxBots' | 'leaseMs' | 'counters' | 'decisionBudgetMs'>> {
  readonly clock?: HandClock
  /** What the runner believes a lease to last, where it is another time. */
  readonly graceMs?: number
  /** Default: that of the floor. */
  readonly url?: string
}

export interface TradingBotRow {
  readonly id: string
  readonly cash: number
  readonly position: number
  readonly tick: number
  readonly status: string
}

export interface TradeRow {
  readonly bot: string
  readonly tick: number
  readonly side: 'buy' | 'sell'
  readonly quantity: number
  readonly price: number
  readonly fence: bigint
}

/** A database with the demo users, and nobody who runs their bots yet. */
export async function tradingFloor(t: Test, serverUrl: string, clock = new HandClock()) {
  const url = await demoDatabase(serverUrl)
  const pool = testGuard(t, url, 8)
  await pool.query(
    'create table told (id bigint generated always as identity, kind text, user_id bigint, payload jsonb)',
  )
  const db = new Kysely<Database>({ dialect: guardedDialect(pool) })
  const operations = new BotRepository(pool, db)
  const random = seededRandom()
  random.announce(t)
  const feed = new MarketFeed()
  const { rows } = await pool.query<{ id: string }>(
    `select id from users where email = 'trader@acme.example'`,
  )
  const userId = rows[0]?.id ?? ''

  const addBots = async (strategies: readonly string[], status = 'running') => {
    const { rows } = await pool.query<{ id: string }>(
      `insert into bots (user_id, name, strategy, status)
       select $1, 'Bot ' || at, strategy, $3 from unnest($2::text[]) with ordinality as given (strategy, at) order by at
       returning id`,
      [userId, strategies, status],
    )
    return rows.map(({ id }) => id)
  }

  const trader = async (owner: string, options: TraderOptions = {}): Promise<Trader> => {
    const app = Fastify()
    await app.register(health)
    t.teardown(() => app.close())
    const { clock: own = clock, leaseMs, graceMs = leaseMs, counters, url: through, ...rest } = options
    const ofIts = through === undefined ? pool : new PoolGuard({ connectionString: through, max: 2, min: 0 })
    // A connection that is being opened is no trouble of the database.
    await ofIts.query('select 1')
    const leases = new Leases({ pool: ofIts, owner, clock: own, ...(leaseMs !== undefined && { leaseMs }) })
    const outcomes = new Map<BotOutcome, number>()
    const log: string[] = []
    const write = (fields: object, message: string) => void log.push(`${message} ${JSON.stringify(fields)}`)
    const runner = new BotRunner({
      pool: ofIts,
      leases,
      owner,
      feed,
      tickMs: TICK_MS,
      maxBots: 500,
      tell: tellInTable,
      counters: {
        decided: (outcome) => {
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
          counters?.decided(outcome)
        },
        traded: (side) => counters?.traded(side),
      },
      log: { info: write, warn: write },
      breakers: new CircuitBreakers(),
      health: app.health,
      clock: own,
      random: () => random.next(),
      ...(graceMs !== undefined && { leaseMs: graceMs }),
      ...rest,
    })
    t.teardown(async () => {
      await runner.stop()
      await leases.close()
      if (through !== undefined) await ofIts.close()
    })
    runner.start()
    return { runner, leases, pool: ofIts, clock: own, health: app.health, outcomes, log }
  }

  // As those of operations are: microseconds by a clock, far from those of leases, which are counted.
  let fence = 1_700_000_000_000_000
  return {
    url,
    pool,
    feed,
    clock,
    random,
    userId,
    addBots,
    trader,
    /** As the route does it. */
    operate: (operation: BotOperation, botId: string) => {
      fence += 1
      const { signal } = new AbortController()
      return operations.operate({ userId, botId: BigInt(botId), operation, fence, signal })
    },
    /** Lets that many ticks begin, one after the other, each when the one before is over. */
    step: async (traders: readonly Trader[], ticks = 1) => {
      for (let turn = 0; turn < ticks; turn += 1) {
        for (const each of new Set(traders.map(({ clock }) => clock))) await each.advance(TICK_MS)
        await waitUntil(() => traders.every(({ runner }) => !runner.snapshot().isBusy), {
          timeoutMs: 20_000,
          what: 'the tick to be over',
        })
      }
      return tickAt(clock.wallMs(), TICK_MS)
    },
    bots: async (): Promise<TradingBotRow[]> => {
      const { rows } = await pool.query(
        'select id, cash_minor, position, last_tick, status from bots where user_id = $1 order by id',
        [userId],
      )
      return rows.map((row) => ({
        id: String(row['id']),
        cash: Number(row['cash_minor']),
        position: Number(row['position']),
        tick: Number(row['last_tick']),
        status: String(row['status']),
      }))
    },
    trades: async (): Promise<TradeRow[]> => {
      const { rows } = await pool.query('select * from trades order by id')
      return rows.map((row) => ({
        bot: String(row['bot_id']),
        tick: Number(row['tick']),
        side: row['side'] === 'buy' ? 'buy' : 'sell',
        quantity: Number(row['quantity']),
        price: Number(row['price_minor']),
        fence: BigInt(String(row['fence'])),
      }))
    },
    events: async () =>
      (await pool.query('select bot_id, kind, from_status, to_status, reason from bot_events order by id'))
        .rows,
    notices: async () => (await pool.query('select kind, user_id, payload from told order by id')).rows,
  }
}

/** What is wrong with trades: what a bot has must follow from them, ticks grow, and fences never fall. */
export function faultsOf(bots: readonly TradingBotRow[], trades: readonly TradeRow[]): string[] {
  return bots.flatMap(({ id, cash, position, tick }) => {
    const own = trades.filter(({ bot }) => bot === id)
    const sign = ({ side }: TradeRow) => (side === 'buy' ? 1 : -1)
    const units = own.reduce((sum, trade) => sum + sign(trade) * trade.quantity, 0)
    const spent = own.reduce((sum, trade) => sum + sign(trade) * trade.quantity * trade.price, 0)
    return [
      units !== position && `bot ${id} holds ${position}, its trades say ${units}`,
      1_000_000 - spent !== cash && `bot ${id} has ${cash}, its trades say ${1_000_000 - spent}`,
      (own.at(-1)?.tick ?? 0) !== tick &&
        `bot ${id} has last traded at ${tick}, its trades say ${own.at(-1)?.tick}`,
      ...own.slice(1).map((trade, at) => {
        const before = own[at] ?? trade
        return (
          (trade.tick <= before.tick || trade.fence < before.fence) &&
          `bot ${id}: tick ${trade.tick}, fence ${trade.fence} after ${before.tick}, ${before.fence}`
        )
      }),
    ].filter((fault) => fault !== false)
  })
}
