// Events with odds, users with money, and what the ledger says: for tests of bets and of their settlement.

import { PoolGuard } from '@holdfast/pool-guard'
import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { Kysely } from 'kysely'
import type { Test } from 'tap'
import type { Database } from '../src/db/database.ts'
import { migrateUp } from '../src/db/migrator.ts'
import { requestDigest } from '../src/idempotency-key.ts'
import { migrations } from '../src/migrations/index.ts'
import type { BetOrder } from '../src/routes/bets/bet.ts'
import { BetRepository } from '../src/routes/bets/bet-repository.ts'
import type { Teller } from '../src/workers/settlement/settlement.ts'
import { freshDatabase } from './fresh-database.ts'

type Queries = Pick<PoolGuard, 'query'>

/** What an event begins with, where a test does not say otherwise. */
interface NewEvent {
  /** Default: tomorrow. */
  readonly startsInSeconds?: number
  /** By market and selection, in thousandths. */
  readonly odds?: Readonly<Record<string, Readonly<Record<string, number>>>>
}

const ODDS = { winner: { home: 1850, away: 2150 }, goals: { over_2: 1900, under_3: 1900 } }

/** Writes an event with its odds, as a provider would. */
export async function newEvent(
  sql: Queries,
  { startsInSeconds = 86_400, odds = ODDS }: NewEvent = {},
): Promise<string> {
  const { rows } = await sql.query<{ id: string }>(
    `insert into sport_events (sport, provider_ref, name, starts_at)
     values ('chess', gen_random_uuid()::text, 'A - B', clock_timestamp() + $1 * interval '1 second') returning id`,
    [startsInSeconds],
  )
  const id = String(rows[0]?.id)
  for (const [market, selections] of Object.entries(odds)) {
    for (const [selection, milli] of Object.entries(selections))
      await setOdds(sql, id, market, selection, milli)
  }
  return id
}

export async function setOdds(
  sql: Queries,
  eventId: string,
  market: string,
  selection: string,
  milli: number,
): Promise<void> {
  await sql.query(
    `insert into odds (event_id, market, selection, odds_milli, provider_version) values ($1, $2, $3, $4, 1)
     on conflict (event_id, market, selection) do update set odds_milli = excluded.odds_milli`,
    [eventId, market, selection, milli],
  )
}

/** Ends an event with a result, or without one: then it is void. */
export async function endEvent(
  sql: Queries,
  eventId: string,
  result: Readonly<Record<string, string>> | undefined,
): Promise<void> {
  await sql.query(
    `update sport_events set status = $2, result = $3, provider_version = provider_version + 1 where id = $1`,
    [
      eventId,
      result === undefined ? 'void' : 'finished',
      result === undefined ? null : JSON.stringify(result),
    ],
  )
}

/** A database with the tables and as many users, each with 1,000.00. */
export async function bettingDatabase(t: Test, serverUrl: string, { users = 1, connections = 8 } = {}) {
  const url = await freshDatabase(serverUrl)
  const pool = patientPool(t, url, connections)
  await migrateUp(pool, migrations)
  const { rows } = await pool.query<{ id: string }>(
    `with tenant as (
       insert into tenants (slug, name, opening_balance_minor) values ('acme', 'Acme', 100000) returning id
     )
     insert into users (tenant_id, email) select id, n || '@acme.example' from tenant, generate_series(1, $1) as n
     returning id`,
    [users],
  )
  return { url, pool, bets: betsOf(pool), users: rows.map(({ id }) => id) }
}

/** One more pool on the database, as another process would have it. */
export function anotherProcess(t: Test, url: string, connections = 8) {
  const pool = patientPool(t, url, connections)
  return { pool, bets: betsOf(pool) }
}

/** What waits for a lock in a test waits until the test gives it. */
function patientPool(t: Test, connectionString: string, max: number): PoolGuard {
  const pool = new PoolGuard({
    connectionString,
    max,
    min: 0,
    statementTimeoutMs: 60_000,
    guardrails: { statementTimeoutMs: 60_000, lockTimeoutMs: 30_000 },
  })
  t.teardown(() => pool.close())
  return pool
}

export function betsOf(pool: PoolGuard): BetRepository {
  return new BetRepository(pool, new Kysely<Database>({ dialect: guardedDialect(pool) }))
}

let orders = 0
const nextKey = () => {
  orders += 1
  return `order-${orders}`
}

/** An order of a user, with a key of its own where none is given. */
export function orderOf(
  order: Pick<BetOrder, 'userId'> & { readonly eventId: string } & Partial<
      Omit<BetOrder, 'eventId' | 'digest'>
    >,
): BetOrder {
  const {
    userId,
    market = 'winner',
    selection = 'home',
    stakeMinor = 1000,
    seenOddsMilli,
    idempotencyKey = nextKey(),
  } = order
  const members = [order.eventId, market, selection, stakeMinor, seenOddsMilli ?? null]
  return {
    userId,
    eventId: BigInt(order.eventId),
    market,
    selection,
    stakeMinor,
    seenOddsMilli,
    idempotencyKey,
    digest: requestDigest('POST /api/bets', members),
  }
}

/** Where the money is not where the ledger says, and what was paid that should not have been; nothing when all is well. */
export async function moneyAstray(sql: Queries): Promise<readonly Record<string, unknown>[]> {
  const { rows } = await sql.query(
    `select 'balance' as what, balances.user_id as id from balances
     left join (select user_id, sum(amount_minor) as entries from ledger_entries group by user_id) as sums using (user_id)
     where balance_minor <> coalesce(entries, 0)
     union all
     select 'running balance', id from (
       select id, balance_after_minor, sum(amount_minor) over (partition by user_id order by id) as running
       from ledger_entries
     ) as entries where balance_after_minor <> running
     union all
     select 'stake', bets.id from bets
     left join ledger_entries as entry on entry.bet_id = bets.id and entry.kind = 'stake'
     where entry.amount_minor is distinct from -bets.stake_minor
     union all
     select 'end', bets.id from bets
     left join ledger_entries as entry on entry.bet_id = bets.id and entry.kind <> 'stake'
     where case bets.status
       when 'won' then (entry.kind, entry.amount_minor) is distinct from
         ('payout', floor(bets.stake_minor::numeric * odds_milli / 1000)::bigint)
       when 'void' then (entry.kind, entry.amount_minor) is distinct from ('refund', bets.stake_minor)
       else entry.id is not null end
       or bets.payout_minor is distinct from case when bets.status = 'open' then null else coalesce(entry.amount_minor, 0) end
     union all
     select 'open bet of an event that is over', bets.id from bets
     join sport_events on sport_events.id = bets.event_id
     where bets.status = 'open' and sport_events.status in ('finished', 'void')`,
  )
  return rows
}

/** Puts every notice into a table, in the transaction in which it is told. */
export async function tellingTable(pool: Queries): Promise<Teller> {
  await pool.query('create table told (user_id bigint, tenant_id bigint, kind text, payload jsonb)')
  return {
    tell: async (tx, { kind, tenantId, userId, payload }) => {
      await tx.query('insert into told (user_id, tenant_id, kind, payload) values ($1, $2, $3, $4)', [
        userId,
        tenantId,
        kind,
        JSON.stringify(payload),
      ])
    },
  }
}
