// Applies and reverts migrations. Guarantees: each migration runs in one transaction together with its line in
// the history, so it happens wholly or not at all; several processes may start at once, because every step
// takes a transaction-level advisory lock first (which also holds behind PgBouncer) and reads the history after
// it; an applied migration whose text has changed since is refused. It does not guess: a migration that the
// database has and this code does not know is reported, and left alone.

import { createHash } from 'node:crypto'
import type { PoolGuard, Transaction } from '@holdfast/pool-guard'
import { ApiMigrationChangedError, ApiMigrationUnknownError } from '../errors.ts'
import type { Migration } from '../migrations/migration.ts'

// One lock for this schema; any constant does, as long as every version of the service uses the same.
const ADVISORY_LOCK_KEY = 4_765_646_101
const LOCK_WAIT_MS = 60_000
const STATEMENT_TIMEOUT_MS = 600_000

/** What statements are given to: a pool, or one transaction on it. */
type Statements = Pick<PoolGuard | Transaction, 'query'>

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
  pool: PoolGuard,
  migrations: readonly Migration[],
): Promise<MigrationState[]> {
  return statesOf(migrations, await readHistory(pool))
}

/**
 * Applies every pending migration, one transaction each; answers the names that this call applied.
 * @throws {ApiMigrationChangedError} see {@link migrationStates}.
 */
export async function migrateUp(pool: PoolGuard, migrations: readonly Migration[]): Promise<string[]> {
  const applied: string[] = []
  for (;;) {
    const name = await inLockedTransaction(pool, async (tx) => {
      const states = statesOf(migrations, await readHistory(tx))
      const next = migrations.find((migration) =>
        states.some(({ name, state }) => name === migration.name && state === 'pending'),
      )
      if (next === undefined) return undefined
      await tx.query(next.up)
      await record(tx, next, 'up')
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
export async function migrateDown(
  pool: PoolGuard,
  migrations: readonly Migration[],
): Promise<string | undefined> {
  return inLockedTransaction(pool, async (tx) => {
    const applied = statesOf(migrations, await readHistory(tx)).filter(({ state }) => state !== 'pending')
    const last = applied.sort((left, right) => compareText(left.name, right.name)).at(-1)
    if (last === undefined) return undefined
    const migration = migrations.find(({ name }) => name === last.name)
    if (migration === undefined) throw new ApiMigrationUnknownError(last.name)
    await tx.query(migration.down)
    await record(tx, migration, 'down')
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

async function readHistory(statements: Statements): Promise<HistoryRow[]> {
  const exists = await statements.query<{ exists: boolean }>(
    `select to_regclass('migration_history') is not null as exists`,
  )
  if (exists.rows[0]?.exists !== true) return []
  const history = await statements.query<HistoryRow>(
    'select name, direction, checksum, at from migration_history order by id',
  )
  return history.rows
}

async function record(tx: Statements, migration: Migration, direction: 'up' | 'down'): Promise<void> {
  await tx.query(`
    create table if not exists migration_history (
      id bigint generated always as identity primary key,
      name text not null,
      direction text not null check (direction in ('up', 'down')),
      checksum text not null,
      at timestamptz not null default clock_timestamp()
    )`)
  await tx.query('insert into migration_history (name, direction, checksum) values ($1, $2, $3)', [
    migration.name,
    direction,
    checksumOf(migration),
  ])
}

/** Runs the work alone: no other process is between its own lock and commit. */
export function inLockedTransaction<T>(pool: PoolGuard, work: (tx: Transaction) => Promise<T>): Promise<T> {
  const limits = {
    lockTimeoutMs: LOCK_WAIT_MS,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    idleInTransactionTimeoutMs: STATEMENT_TIMEOUT_MS,
  }
  return pool.transaction({ criticality: 'critical', ...limits }, async (tx) => {
    await tx.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCK_KEY])
    return work(tx)
  })
}

function compareText(left: string, right: string): number {
  return left < right ? -1 : Number(left > right)
}
