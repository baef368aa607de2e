// The servers of the chaos test: PostgreSQL and Redis, and, where that is the way, PgBouncer with the files of deploy/.
// Whatever has faults is reached through the proxy of each, and what the test itself looks at past all of them.

import { PoolGuard } from '@holdfast/pool-guard'
import { type RealServer, startPostgres, startRedis } from '@holdfast/test-kit'
import type { Test } from 'tap'
import { prepareDatabase } from '../../src/db/preparation.ts'
import { startDeployment } from '../deployed-pgbouncer.ts'

/** How the service reaches its database. */
export type Way = 'direct' | 'through PgBouncer'

/** They end with the test. */
export interface Servers {
  readonly postgres: RealServer
  readonly redis: RealServer
  readonly pooler: RealServer | undefined
  /** Past everything that has faults, and with all rights. */
  readonly directUrl: string
  /** The settings by which a process that answers people, or one that works, reaches its database. */
  databaseOf(kind: 'web' | 'worker'): Readonly<Record<string, string>>
}

/** Starts them, with the tables and the demo accounts, whose passwords are kept in the directory. */
export async function startServers(t: Test, way: Way, directory: string): Promise<Servers> {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const { ownerUrl, ...servers } = await (way === 'direct' ? straight(t) : pooled(t))
  const owner = new PoolGuard({ connectionString: ownerUrl, max: 2, min: 0 })
  await prepareDatabase(owner, { mayChange: true, dataDirectory: directory })
  await owner.close()
  return { ...servers, redis }
}

async function straight(t: Test) {
  const postgres = await startPostgres()
  t.teardown(() => postgres.stop())
  return {
    postgres,
    pooler: undefined,
    directUrl: postgres.directUrl,
    ownerUrl: postgres.directUrl,
    databaseOf: () => ({ DATABASE_URL: postgres.url }),
  }
}

async function pooled(t: Test) {
  const { postgres, bouncer, pooledUrl, directUrl } = await startDeployment(t)
  const through = new URL(postgres.url)
  through.pathname = '/holdfast'
  const past = new URL(postgres.directUrl)
  past.pathname = '/holdfast'
  const migrations = new URL(directUrl('holdfast_owner'))
  migrations.port = through.port
  const roles = {
    web: pooledUrl('holdfast_web'),
    worker: pooledUrl('holdfast_worker', 'holdfast_worker'),
  }
  return {
    postgres,
    pooler: bouncer,
    directUrl: past.href,
    ownerUrl: directUrl('holdfast_owner'),
    databaseOf: (kind: 'web' | 'worker') => ({
      DATABASE_URL: roles[kind],
      DATABASE_MIGRATION_URL: migrations.href,
      PGBOUNCER_ADMIN_URL: pooledUrl('holdfast_stats', 'pgbouncer'),
    }),
  }
}
