// Looks at a database at the end, when nobody writes any more: what was acknowledged is there once, what is settled was
// paid once, the money is where the ledger says, no job is lost, and what was written was written by who owned it.
//
// It believes the clients and the rows, never the service.

import type { PoolGuard } from '@holdfast/pool-guard'
import { moneyAstray } from '../betting.ts'
import { ownershipFaults } from '../ownership-witness.ts'
import { faultsOf } from '../trading-floor.ts'

type Queries = Pick<PoolGuard, 'query'>

/** A bet as a client was told of it. */
export interface AcknowledgedBet {
  /** `<tenant>/<e-mail>`. */
  readonly user: string
  readonly key: string
  readonly betId: string
  readonly eventId: string
  readonly stakeMinor: number
}

/** What clients know. */
export interface Acknowledged {
  readonly bets: readonly AcknowledgedBet[]
  /** Keys whose last word was a refusal. */
  readonly refused: readonly Pick<AcknowledgedBet, 'user' | 'key'>[]
  /** The ids of the events of operations on bots that were answered 200. */
  readonly operations: readonly string[]
}

/** What of it is not right, each in one line; nothing when all is well. */
export async function audit(sql: Queries, acknowledged: Acknowledged): Promise<string[]> {
  const faults = [
    ...(await betFaults(sql, acknowledged)),
    ...(await operationFaults(sql, acknowledged.operations)),
    ...(await moneyAstray(sql)).map((row) => `money: ${JSON.stringify(row)}`),
    ...(await paidTwice(sql)),
    ...(await unsettled(sql)),
    ...(await jobFaults(sql)),
    ...(await tradeFaults(sql)),
    ...(await ownershipFaults(sql)),
  ]
  return faults
}

/** Clients insist until they know, so that there is no bet that nobody knows of either. */
async function betFaults(sql: Queries, { bets, refused }: Acknowledged): Promise<string[]> {
  const { rows } = await sql.query<{ id: string; event_id: string; stake_minor: string; order: string }>(
    `select bets.id, event_id, stake_minor, slug || '/' || email || ' ' || idempotency_key as order
     from bets join users on users.id = user_id join tenants on tenants.id = tenant_id`,
  )
  const stored = Map.groupBy(rows, ({ order }) => order)
  const orderOf = ({ user, key }: Pick<AcknowledgedBet, 'user' | 'key'>) => `${user} ${key}`
  const known = new Set(bets.map(orderOf))
  const isAs = (bet: AcknowledgedBet) => (row: (typeof rows)[number]) =>
    row.id === bet.betId && row.event_id === bet.eventId && Number(row.stake_minor) === bet.stakeMinor
  return [
    ...bets.flatMap((bet) => {
      const found = stored.get(orderOf(bet)) ?? []
      if (found.length === 1 && found.every(isAs(bet))) return []
      return [`bet ${bet.betId} of ${orderOf(bet)} was acknowledged, and there is ${JSON.stringify(found)}`]
    }),
    ...refused
      .filter((order) => stored.has(orderOf(order)))
      .map((order) => `${orderOf(order)} was refused, and there is a bet`),
    ...rows
      .filter(({ order }) => !known.has(order))
      .map(({ id, order }) => `bet ${id} of ${order} is there, and nobody was told`),
  ]
}

async function operationFaults(sql: Queries, operations: readonly string[]): Promise<string[]> {
  const { rows } = await sql.query<{ id: string }>('select id from bot_events')
  const stored = new Set(rows.map(({ id }) => id))
  return [
    ...operations
      .filter((id) => !stored.has(id))
      .map((id) => `operation ${id} was acknowledged, and is not there`),
    ...[...Map.groupBy(operations, (id) => id)]
      .filter(([, same]) => same.length > 1)
      .map(([id]) => `operation ${id} was acknowledged twice`),
  ]
}

/** Constraints forbid it; they are not what is believed here. */
async function paidTwice(sql: Queries): Promise<string[]> {
  const { rows } = await sql.query<{ bet_id: string; entries: string }>(
    `select bet_id, count(*) as entries from ledger_entries where bet_id is not null
     group by bet_id, kind = 'stake' having count(*) > 1`,
  )
  return rows.map(({ bet_id, entries }) => `bet ${bet_id} has ${entries} entries of one kind`)
}

async function unsettled(sql: Queries): Promise<string[]> {
  const { rows } = await sql.query<{ id: string; event_id: string }>(
    `select id, event_id from bets where status = 'open'`,
  )
  return rows.map(({ id, event_id }) => `bet ${id} on the event ${event_id} is open`)
}

/** Every event that is over has had its job, and every message its delivery; none waits, and none is dead. */
async function jobFaults(sql: Queries): Promise<string[]> {
  const { rows } = await sql.query<{ fault: string }>(
    `select format('job %s of %s is %s', id, name, state) as fault from jobs.job_common where state <> 'completed'
     union all
     select format('event %s is over, and there was no job for it', id) from sport_events as event
     where status in ('finished', 'void') and not exists (
       select from jobs.job_common
       where name = 'settle' and state = 'completed' and data -> 'payload' ->> 'event_id' = event.id::text
     )
     union all
     select format('notification %s is %s', id, status) from notifications where status <> 'sent'
     union all
     select format('notification %s was sent without a job', id) from notifications as notification
     where not exists (
       select from jobs.job_common
       where name = 'notify' and state = 'completed' and data -> 'payload' ->> 'notification_id' = notification.id::text
     )
     limit 50`,
  )
  return rows.map(({ fault }) => fault)
}

async function tradeFaults(sql: Queries): Promise<string[]> {
  const bots = await sql.query<{ id: string; cash: string; position: string; tick: string; status: string }>(
    'select id, cash_minor as cash, position, last_tick as tick, status from bots order by id',
  )
  const trades = await sql.query<{
    bot: string
    tick: string
    side: 'buy' | 'sell'
    quantity: string
    price: string
    fence: string
  }>('select bot_id as bot, tick, side, quantity, price_minor as price, fence from trades order by id')
  return faultsOf(
    bots.rows.map(({ id, cash, position, tick, status }) => ({
      id,
      cash: Number(cash),
      position: Number(position),
      tick: Number(tick),
      status,
    })),
    trades.rows.map(({ bot, tick, side, quantity, price, fence }) => ({
      bot,
      tick: Number(tick),
      side,
      quantity: Number(quantity),
      price: Number(price),
      fence: BigInt(fence),
    })),
  )
}
