import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type PostgresOptions,
  type PostgresServer,
  type RealServer,
  startPgBouncer,
  startPostgres,
} from '@holdfast/test-kit'
import { Client } from 'pg'
import type { Test } from 'tap'

const FILES = new URL('../deploy/pgbouncer/', import.meta.url)
const ROLES = ['holdfast_owner', 'holdfast_web', 'holdfast_worker']
const PASSWORD = 'only-a-test'

/** PostgreSQL and PgBouncer as `deploy/pgbouncer/` sets them up, and who may use what. */
export interface Deployment {
  readonly postgres: PostgresServer
  readonly bouncer: RealServer
  /** The URL of a role, through PgBouncer; `holdfast_worker` is also the name of the workers' pool. */
  pooledUrl(role: string, database?: string): string
  /** The URL of a role at PostgreSQL itself. */
  directUrl(role: string, database?: string): string
}

/** One file of `deploy/pgbouncer/`. */
export function deployedFile(name: string): string {
  return readFileSync(new URL(name, FILES), 'utf8')
}

/**
 * Starts both, with passwords everywhere: the roles of `roles.sql`, and a PgBouncer with `pgbouncer.ini`, whose users
 * come from the query in `userlist.txt.template`.
 */
export async function startDeployment(
  t: Test,
  settings: Readonly<Record<string, string>> = {},
  options: PostgresOptions = {},
): Promise<Deployment> {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-hba-'))
  chmodSync(directory, 0o755)
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const rules = join(directory, 'pg_hba.conf')
  writeFileSync(rules, 'host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n')
  const postgres = await startPostgres({ ...options, settings: { hba_file: rules } })
  t.teardown(() => postgres.stop())
  await asSuperuser(postgres, 'postgres', async (client) => {
    await client.query('create database holdfast')
  })
  const users = await asSuperuser(postgres, 'holdfast', async (client) => {
    await client.query(deployedFile('roles.sql'))
    await client.query(deployedFile('roles.sql'))
    for (const role of ROLES) await client.query(`alter role ${role} password '${PASSWORD}'`)
    const [, query = ''] = /^;; +(select .*;)$/m.exec(deployedFile('userlist.txt.template')) ?? []
    const { rows } = await client.query(query)
    return rows.flatMap((row: object) => Object.values(row))
  })
  const bouncer = await startPgBouncer({
    target: postgres,
    settings,
    configuration: {
      text: deployedFile('pgbouncer.ini'),
      users: [...users, `"holdfast_stats" "${PASSWORD}"`, ''].join('\n'),
    },
  })
  t.teardown(() => bouncer.stop())
  return {
    postgres,
    bouncer,
    pooledUrl: (role, database = 'holdfast') =>
      `postgres://${role}:${PASSWORD}@127.0.0.1:${bouncer.port}/${database}`,
    directUrl: (role, database = 'holdfast') =>
      `postgres://${role}:${PASSWORD}@127.0.0.1:${postgres.directPort}/${database}`,
  }
}

/** Runs some statements on a connection of their own. */
export async function onConnection<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 3000, query_timeout: 5000 })
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** Statements of a superuser, in one of its databases. */
export function asSuperuser<T>(
  { directUrl }: PostgresServer,
  database: string,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const url = new URL(directUrl)
  url.pathname = `/${database}`
  return onConnection(url.href, work)
}
