// Whether what was acknowledged is stored, once, and paid once.

import { setTimeout as sleep } from 'node:timers/promises'
import type { PoolGuard } from '@holdfast/pool-guard'
import { moneyAstray } from '../test/betting.ts'
import type { BetName, CrowdAccount } from './crowd-protocol.ts'
import type { DemoWorld } from './demo-world.ts'

/** On however slow a machine; a breaker of the webhook alone keeps messages for two minutes. */
const SETTLING_MS = 180_000
const DELIVERY_MS = 300_000

export interface BetAudit {
  readonly acknowledged: number
  readonly stored: number
  /** Acknowledged, and not there. */
  readonly lost: number
  /** There, and neither acknowledged nor given up by whoever had placed it. */
  readonly unknown: number
  readonly settled: number
  /** Of events that are over. */
  readonly unsettled: number
  /** What is wrong with the money. */
  readonly astray: number
}

/** Waits until what is over is settled, and looks. */
export async function auditBets(
  { sql, accounts }: Pick<DemoWorld, 'sql' | 'accounts'>,
  { acknowledged, abandoned }: Pick<CrowdAccount, 'acknowledged' | 'abandoned'>,
): Promise<BetAudit> {
  await untilZero(() => unsettledBets(sql), SETTLING_MS)
  const numbers = new Map(accounts.map(({ id }, number) => [id, number]))
  const { rows } = await sql.query<{ user_id: string; key: string; status: string }>(
    `select user_id, idempotency_key as key, status from bets`,
  )
  const stored = new Set<string>(rows.map(({ user_id, key }) => `${numbers.get(String(user_id))} ${key}`))
  const known = new Set<string>([...acknowledged, ...abandoned] satisfies BetName[])
  const astray = await moneyAstray(sql)
  return {
    acknowledged: acknowledged.length,
    stored: rows.length,
    lost: acknowledged.filter((name) => !stored.has(name)).length,
    unknown: [...stored].filter((name) => !known.has(name)).length,
    settled: rows.filter(({ status }) => status !== 'open').length,
    unsettled: await unsettledBets(sql),
    astray: astray.filter(({ what }) => what !== 'open bet of an event that is over').length,
  }
}

/** What operators and users are told: how many messages there are, and how many are still to be delivered. */
export async function auditNotices(
  sql: PoolGuard,
): Promise<{ readonly all: number; readonly pending: number }> {
  await untilZero(() => pendingNotices(sql), DELIVERY_MS)
  const { rows } = await sql.query<{ all: number }>(`select count(*)::int as all from notifications`)
  return { all: Number(rows[0]?.all), pending: await pendingNotices(sql) }
}

async function unsettledBets(sql: PoolGuard): Promise<number> {
  const { rows } = await sql.query<{ count: number }>(
    `select count(*)::int as count from bets join sport_events on sport_events.id = event_id
     where bets.status = 'open' and sport_events.status in ('finished', 'void')`,
  )
  return Number(rows[0]?.count)
}

async function pendingNotices(sql: PoolGuard): Promise<number> {
  const { rows } = await sql.query<{ count: number }>(
    `select count(*)::int as count from notifications where status = 'pending'`,
  )
  return Number(rows[0]?.count)
}

/** Or until it has lasted too long, which whoever looks then sees. */
async function untilZero(count: () => Promise<number>, longestMs: number): Promise<void> {
  const endMs = performance.now() + longestMs
  while ((await count()) > 0 && performance.now() < endMs) await sleep(250)
}
