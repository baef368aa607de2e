// What has to happen once before the first statement: outside production the schema is brought up to date and
// an empty database gets the demo tenants; in production a database that lacks migrations is refused.

import { PoolGuard, type PoolGuardOptions } from '@holdfast/pool-guard'
import type { FastifyBaseLogger } from 'fastify'
import { ApiDatabaseUnsafeError, ApiMigrationsPendingError } from '../errors.ts'
import { migrations } from '../migrations/index.ts'
import { seedDemoTenants } from './demo-tenants.ts'
import { migrateUp, migrationStates } from './migrator.ts'

/** What a preparation did or found. */
export interface Prepared {
  /** Names of the migrations that this call applied. */
  readonly applied: readonly string[]
  /** Migrations that the database has and this version of the service does not know. */
  readonly unknown: readonly string[]
  readonly seeded: boolean
}

/**
 * Makes the database ready, or says why it is not. Any number of processes may do so at once.
 * @throws {ApiMigrationsPendingError} when `mayChange` is false and migrations are missing.
 */
export async function prepareDatabase(
  pool: PoolGuard,
  { mayChange, dataDirectory }: { mayChange: boolean; dataDirectory?: string | undefined },
): Promise<Prepared> {
  const applied = mayChange ? await migrateUp(pool, migrations) : []
  const states = await migrationStates(pool, migrations)
  const named = (wanted: string) => states.filter(({ state }) => state === wanted).map(({ name }) => name)
  const pending = named('pending')
  if (pending.length > 0) throw new ApiMigrationsPendingError(pending.join(', '))
  const seeded = mayChange && (await seedDemoTenants(pool, dataDirectory))
  return { applied, unknown: named('unknown'), seeded }
}

/** How {@link prepare} is done. */
export interface PreparationOptions {
  readonly mayChange: boolean
  /** Where the passwords of the demo accounts are written; undefined: nobody can sign in with one. */
  readonly dataDirectory: string | undefined
  /** The pool for migrations and demo data; it is opened and ended here. */
  readonly patient: PoolGuardOptions
  readonly log: FastifyBaseLogger
  /** What all processes of the service may open together: one of them could not see that they are too many. */
  readonly connections: Parameters<PoolGuard['selfCheck']>[0]
  /** Level of findings that only advise. */
  readonly adviceLevel: 'warn' | 'debug'
}

/**
 * Prepares the database with a pool of its own, then looks at what the service's pool leads to. A setting that breaks
 * what the service promises is refused in production, and told everywhere.
 * @throws {ApiMigrationsPendingError}
 * @throws {ApiDatabaseUnsafeError} never because the database is away: that is another error, and waited for.
 */
export async function prepare(
  pool: PoolGuard,
  { mayChange, dataDirectory, patient, log, connections, adviceLevel }: PreparationOptions,
): Promise<void> {
  const own = new PoolGuard(patient)
  try {
    log.info(await prepareDatabase(own, { mayChange, dataDirectory }), 'database prepared')
  } finally {
    await own.close()
  }
  const { pooler, serverVersion, findings } = await pool.selfCheck(connections)
  log.info({ pooler, serverVersion, findings: findings.length }, 'database checked')
  for (const { code, level, hint } of findings) log[level === 'fail' ? 'error' : adviceLevel]({ code }, hint)
  const failed = findings.filter(({ level }) => level === 'fail').map(({ hint }) => hint)
  if (failed.length > 0 && !mayChange) throw new ApiDatabaseUnsafeError(failed.join('; '))
}
