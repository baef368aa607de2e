// What has to happen once before the first statement: outside production the schema is brought up to date and
// an empty database gets the demo tenants; in production a database that lacks migrations is refused.

import type { Pool } from 'pg'
import { ApiMigrationsPendingError } from '../errors.ts'
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
export async function prepareDatabase(pool: Pool, { mayChange }: { mayChange: boolean }): Promise<Prepared> {
  const applied = mayChange ? await migrateUp(pool, migrations) : []
  const states = await migrationStates(pool, migrations)
  const named = (wanted: string) => states.filter(({ state }) => state === wanted).map(({ name }) => name)
  const pending = named('pending')
  if (pending.length > 0) throw new ApiMigrationsPendingError(pending.join(', '))
  const seeded = mayChange && (await seedDemoTenants(pool))
  return { applied, unknown: named('unknown'), seeded }
}
