// A database with the tables, and what tests of odds need of it.

import type { PoolGuard } from '@holdfast/pool-guard'
import type { Test } from 'tap'
import { migrateUp } from '../src/db/migrator.ts'
import { migrations } from '../src/migrations/index.ts'
import type { SettleQueue } from '../src/workers/odds/save-feed.ts'
import { freshDatabase, testGuard } from './fresh-database.ts'

/** Jobs as rows, of the transaction that puts them in: one waits for each key. */
export const tableQueue: SettleQueue = {
  async enqueue(tx, queue, payload, { key }) {
    const { rows } = await tx.query<{ id: string }>(
      `insert into test_jobs (queue, payload, key) values ($1, $2, $3) on conflict (key) do nothing returning id::text`,
      [queue, JSON.stringify(payload), key],
    )
    return rows[0]?.id
  },
}

/** A migrated database on that server, with `test_jobs`; its pool ends with the test. */
export async function oddsDatabase(
  t: Test,
  serverUrl: string,
  max = 8,
): Promise<{ url: string; pool: PoolGuard }> {
  const url = await freshDatabase(serverUrl)
  const pool = testGuard(t, url, max)
  await migrateUp(pool, migrations)
  await pool.query(
    'create table test_jobs (id bigint generated always as identity, queue text, payload jsonb, key text unique)',
  )
  return { url, pool }
}

/** The plan of a statement, as text. */
export async function planOf(
  pool: PoolGuard,
  text: string,
  values: readonly unknown[] = [],
): Promise<string> {
  const { rows } = await pool.query<{ 'QUERY PLAN': string }>(
    `explain (analyze, buffers off) ${text}`,
    values,
  )
  return rows.map((row) => row['QUERY PLAN']).join('\n')
}

/** 100,000 events of 50 sports, of which most are over, and the odds of two selections of each. */
export async function fill(pool: PoolGuard): Promise<void> {
  const patiently = (text: string) => pool.query(text, [], { timeoutMs: 60_000 })
  await patiently(`insert into sport_events (sport, provider_ref, name, starts_at, status, result, provider_version)
    select 'sport_' || (n % 50), 'e' || n, 'A - B', timestamptz '2026-11-22 12:00Z' + n * interval '1 second',
      case when n % 10 = 0 then 'scheduled' else 'finished' end,
      case when n % 10 = 0 then null else '{"winner": "home"}'::jsonb end, 5
    from generate_series(1, 100000) as n`)
  await patiently(`insert into odds (event_id, market, selection, odds_milli, provider_version)
    select id, 'winner', selection, 2000, 5 from sport_events, unnest(array['home', 'away']) as selection`)
  await patiently('analyze sport_events')
  await patiently('analyze odds')
}
