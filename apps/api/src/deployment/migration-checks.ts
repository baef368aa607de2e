// Whether the database has the tables of this version, each migration with the text it has here, and whether the role
// may use them.

import type { DeploymentCheck, Finding } from '@holdfast/lifecycle'
import type { PoolGuard } from '@holdfast/pool-guard'
import type { Config } from '../config.ts'
import { migrationStates } from '../db/migrator.ts'
import { ApiMigrationChangedError } from '../errors.ts'
import { migrations } from '../migrations/index.ts'
import { reasonOf } from '../reason.ts'
import { adviceOf } from './away.ts'
import { DATABASE } from './database-checks.ts'
import { unasked } from './pool-findings.ts'
import { failed, passed, strict, warned } from './rules.ts'

const UP = 'pnpm --filter @holdfast/api migrate up'
const OWNER = { server: 'PostgreSQL', setting: 'DATABASE_MIGRATION_URL' } as const

/** What is asked about migrations. `owner` is the pool of who may change tables. */
export function migrationChecks(
  config: Config,
  pool: PoolGuard,
  owner: PoolGuard | undefined,
): DeploymentCheck[] {
  return [
    {
      name: 'migrations',
      run: () => migrationFindings(config, pool),
      hint: adviceOf('no answer', DATABASE),
    },
    ...(owner === undefined
      ? []
      : [
          {
            name: 'migration-url',
            run: () => ownerFindings(pool, owner),
            hint: adviceOf('no answer', OWNER),
          },
        ]),
  ]
}

async function migrationFindings(config: Config, pool: PoolGuard): Promise<Finding[]> {
  let applied: readonly string[]
  let pending: readonly string[]
  let unknown: readonly string[]
  let forbidden: readonly string[]
  try {
    const states = await migrationStates(pool, migrations)
    const named = (wanted: string) => states.filter(({ state }) => state === wanted).map(({ name }) => name)
    ;[applied, pending, unknown] = [named('applied'), named('pending'), named('unknown')]
    forbidden = applied.length === 0 ? [] : await forbiddenTables(pool)
  } catch (error) {
    const message = reasonOf(error)
    if (error instanceof ApiMigrationChangedError) {
      const hint =
        'Its text must stay what it was when it was applied: put it back, and write a new migration.'
      return [failed('migration-changed', message, hint)]
    }
    const isForbidden = /permission denied/.test(message)
    const hint = `As the owner: grant select on migration_history to the role of DATABASE_URL (deploy/pgbouncer/roles.sql grants by default).`
    return [isForbidden ? failed('migrations-unreadable', message, hint) : unasked()]
  }
  const data = { applied: applied.length, pending: pending.length, unknown: unknown.length }
  const findings: Finding[] = []
  if (pending.length > 0) {
    const isProduction = config.environment === 'production'
    const hint = isProduction ? UP : `The next start applies them; or: ${UP}`
    const message = `the database lacks ${pending.join(', ')}`
    findings.push({ ...warned('migrations-pending', message, hint, data), verdict: strict(config) })
  }
  if (unknown.length > 0) {
    findings.push(
      warned(
        'migrations-unknown',
        `the database has ${unknown.join(', ')}, which this version does not know`,
        'That is so after going back to an older version. Go forward again, or take them back with the newer one.',
        data,
      ),
    )
  }
  if (forbidden.length > 0) {
    findings.push(
      failed(
        'tables-forbidden',
        `the role of DATABASE_URL may not use ${forbidden.join(', ')}`,
        'As the owner: grant select, insert, update, delete on all tables in schema public and in schema jobs to that role, and usage on schema jobs and on all sequences; deploy/pgbouncer/roles.sql does all of it, also for tables to come.',
        { tables: forbidden.length },
      ),
    )
  }
  return passed(findings, `all ${applied.length} migrations are applied, as they are here`, data)
}

/**
 * Tables of the service's schema that its role cannot read or add to, and sequences that it cannot count with; those of
 * identity columns need no right. Of the schema of jobs, tables that it cannot change in every way, or all of it.
 */
async function forbiddenTables(pool: PoolGuard): Promise<readonly string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `select c.relname as name
       from pg_class c join pg_class h on h.relnamespace = c.relnamespace
      where h.oid = to_regclass('migration_history') and c.oid <> h.oid
        and case c.relkind
              when 'r' then not (has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert'))
              when 'S' then not has_sequence_privilege(c.oid, 'usage')
                and not exists (select from pg_depend where objid = c.oid and deptype = 'i')
              else false
            end
     union all
     select 'jobs.' || c.relname
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'jobs' and c.relkind in ('r', 'p') and has_schema_privilege(n.oid, 'usage')
        and not (has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert')
          and has_table_privilege(c.oid, 'update') and has_table_privilege(c.oid, 'delete'))
     union all
     select 'the schema jobs' from pg_namespace n
      where n.nspname = 'jobs' and not has_schema_privilege(n.oid, 'usage')
      order by 1`,
  )
  return rows.map(({ name }) => name)
}

interface Place extends Record<string, unknown> {
  readonly place: string
}

/** A name may be the same on two servers; when each was started is not. */
const PLACE = `select current_database() || ' of ' || pg_postmaster_start_time() as place`

async function ownerFindings(pool: PoolGuard, owner: PoolGuard): Promise<Finding[]> {
  let theirs: string | undefined
  try {
    theirs = (await owner.query<Place>(PLACE)).rows[0]?.place
  } catch (error) {
    const message = `the database cannot be reached for migrations: ${reasonOf(error)}`
    return [failed('migration-url-away', message, adviceOf(error, OWNER))]
  }
  const ours = (await pool.query<Place>(PLACE)).rows[0]?.place
  if (ours === theirs) return passed([], 'migrations go to the database of the service')
  return [
    failed(
      'migration-url-elsewhere',
      'DATABASE_MIGRATION_URL and DATABASE_URL lead to two databases: migrations would change one that nobody uses',
      'Correct the one that is wrong; both have the same host in the end, and the same name.',
    ),
  ]
}
