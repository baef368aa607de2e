// Applies and reverts migrations. Guarantees: each migration runs in one transaction together with its line in
// the history, so it happens wholly or not at all; several processes may start at once, because every step
// takes a transaction-level advisory lock first (which also holds behind PgBouncer) and reads the history after
// it; an applied migration whose text has changed since is refused. It does not guess: a migration that the
// database has and this code does not know is reported, and left alone.

import { createHash } from 'node:crypto'
import type { Pool, PoolClient } from 'pg'
import { ApiMigrationChangedError, ApiMigrationUnknownError } from '../errors.ts'
import type { Migration } from '../migrations/migration.ts'

// One lock for this schema; any constant does, as long as every version of the service uses the same.
const ADVISORY_LOCK_KEY = 4_765_646_101
const LOCK_WAIT_MS = 60_000

/** Where one migration stands. */
export interface MigrationState {
  readonly name: string
  readonly state: 'applied' | 'pending' | 'unknown'
  /** When it was applied last; undefined when it is pending. */
  readonly appliedAt?: Date
}

interface HistoryRow {
  readonly name: string
  readonly direction: 'up' | 'down'
  readonly checksum: string
  readonly at: Date
}

/** The checksum that is recorded for a migration: SHA-256 over both of its texts. */
export function checksumOf({ up, down }: Migration): string {
  return createHash('sha256').update(up).update('\0').update(down).digest('hex')
}

/**
 * What is applied and what is not, in order; last come those that only the database knows.
 * @throws {ApiMigrationChangedError} when an applied migration no longer has the text it was applied with.
 */
export async function migrationStates(
  pool: Pool,
  migrations: readonly Migration[],
): Promise<MigrationState[]> {
  return statesOf(migrations, await readHistory(pool))
}

/**
 * Applies every pending migration, one transaction each; answers the names that this call applied.
 * @throws {ApiMigrationChangedError} see {@link migrationStates}.
 */
export async function migrateUp(pool: Pool, migrations: readonly Migration[]): Promise<string[]> {
  const applied: string[] = []
  for (;;) {
    const name = await inLockedTransaction(pool, async (client) => {
      const states = statesOf(migrations, await readHistory(client))
      const next = migrations.find((migration) =>
        states.some(({ name, state }) => name === migration.name && state === 'pending'),
      )
      if (next === undefined) return undefined
      await client.query(next.up)
      await record(client, next, 'up')
      return next.name
    })
    if (name === undefined) return applied
    applied.push(name)
  }
}

/**
 * Takes back the migration that was applied last; answers its name, or undefined when there is none.
 * @throws {ApiMigrationUnknownError} when the last one is unknown to this code, which then cannot revert it.
 */
export async function migrateDown(pool: Pool, migrations: readonly Migration[]): Promise<string | undefined> {
  return inLockedTransaction(pool, async (client) => {
    const applied = statesOf(migrations, await readHistory(client)).filter(({ state }) => state !== 'pending')
    const last = applied.sort((left, right) => compareText(left.name, right.name)).at(-1)
    if (last === undefined) return undefined
    const migration = migrations.find(({ name }) => name === last.name)
    if (migration === undefined) throw new ApiMigrationUnknownError(last.name)
    await client.query(migration.down)
    await record(client, migration, 'down')
    return migration.name
  })
}

function statesOf(migrations: readonly Migration[], history: readonly HistoryRow[]): MigrationState[] {
  const latest = new Map(history.map((row) => [row.name, row]))
  const known = migrations.map((migration): MigrationState => {
    const row = latest.get(migration.name)
    latest.delete(migration.name)
    if (row?.direction !== 'up') return { name: migration.name, state: 'pending' }
    if (row.checksum !== checksumOf(migration)) throw new ApiMigrationChangedError(migration.name)
    return { name: migration.name, state: 'applied', appliedAt: row.at }
  })
  const unknown = [...latest.values()]
    .filter(({ direction }) => direction === 'up')
    .map(({ name, at }): MigrationState => ({ name, state: 'unknown', appliedAt: at }))
  return [...known, ...unknown]
}

async function readHistory(client: Pool | PoolClient): Promise<HistoryRow[]> {
  const exists = await client.query<{ exists: boolean }>(
    `select to_regclass('migration_history') is not null as exists`,
  )
  if (exists.rows[0]?.exists !== true) return []
  const history = await client.query<HistoryRow>(
    'select name, direction, checksum, at from migration_history order by id',
  )
  return history.rows
}

async function record(client: PoolClient, migration: Migration, direction: 'up' | 'down'): Promise<void> {
  await client.query(`
    create table if not exists migration_history (
      id bigint generated always as identity primary key,
      name text not null,
      direction text not null check (direction in ('up', 'down')),
      checksum text not null,
      at timestamptz not null default clock_timestamp()
    )`)
  await client.query('insert into migration_history (name, direction, checksum) values ($1, $2, $3)', [
    migration.name,
    direction,
    checksumOf(migration),
  ])
}

/** Runs the work alone: no other process is between its own lock and commit. */
export async function inLockedTransaction<T>(
  pool: Pool,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  let broken: Error | undefined
  try {
    await client.query('begin')
    await client.query(`set local lock_timeout = ${LOCK_WAIT_MS}`)
    await client.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCK_KEY])
    const answer = await work(client)
    await client.query('commit')
    return answer
  } catch (error) {
    broken = error instanceof Error ? error : new Error(String(error))
    throw error
  } finally {
    // A transaction that failed is not worth repairing: closing the connection rolls it back.
    client.release(broken)
  }
}

function compareText(left: string, right: string): number {
  return left < right ? -1 : Number(left > right)
}
