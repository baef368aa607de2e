// Mistakes of a PostgreSQL, made on a real one.

import { systemClock } from '@holdfast/footing'
import type { Finding } from '@holdfast/lifecycle'
import { PoolGuard, type PoolGuardOptions } from '@holdfast/pool-guard'
import type { PostgresServer } from '@holdfast/test-kit'
import { loadConfig } from '../src/config.ts'
import { migrateUp } from '../src/db/migrator.ts'
import { lookingPool, patientPool } from '../src/db/pool-options.ts'
import { databaseChecks, noDatabaseCheck } from '../src/deployment/database-checks.ts'
import { migrationChecks } from '../src/deployment/migration-checks.ts'
import { migrations } from '../src/migrations/index.ts'
import { Secret } from '../src/secret.ts'
import { freshDatabase, testPool } from './fresh-database.ts'
import { type Environment, findingsOf, type Mistake } from './seeded-mistakes.ts'

/** What differs from how the command looks. */
export interface Look {
  readonly environment?: Environment
  readonly pool?: PoolGuardOptions
  /** By how much our own clock is ahead. */
  readonly aheadMs?: number
}

/** What is found of a database. */
export async function findingsAt(url: string, { environment, pool: options, aheadMs = 0 }: Look = {}) {
  const { config } = loadConfig({ ...environment, DATABASE_URL: url })
  const pool = new PoolGuard({ ...lookingPool(config, new Secret(url)), ...options })
  const { databaseMigrationUrl: ownerUrl } = config
  const owner = ownerUrl && new PoolGuard(patientPool(config, ownerUrl, 'check'))
  const clock = { ...systemClock, wallMs: () => systemClock.wallMs() + aheadMs }
  try {
    return await findingsOf([...databaseChecks(config, pool, clock), ...migrationChecks(config, pool, owner)])
  } finally {
    await Promise.all([pool.close(), owner?.close()])
  }
}

/** A database of this version whose role has limits; the role is called `web`. A copy, because making one takes longer. */
export async function soundDatabase(postgres: PostgresServer): Promise<string> {
  const template = templates.get(postgres) ?? makeTemplate(postgres)
  templates.set(postgres, template)
  copies += 1
  const name = `sound_${copies}`
  await statements(postgres.directUrl, [`create database ${name} template ${await template}`])
  return as('web', withDatabase(name, postgres.directUrl))
}

const templates = new WeakMap<PostgresServer, Promise<string>>()
let copies = 0

async function makeTemplate(postgres: PostgresServer): Promise<string> {
  const url = await freshDatabase(postgres.directUrl)
  const guard = new PoolGuard({ connectionString: url, max: 1, min: 0 })
  await migrateUp(guard, migrations)
  await guard.close()
  await statements(url, [
    'create role web login',
    `alter role web set statement_timeout = '3s'`,
    `alter role web set idle_in_transaction_session_timeout = '5s'`,
    `alter role web set client_connection_check_interval = '1s'`,
    'grant select, insert, update, delete on all tables in schema public to web',
    'grant usage on all sequences in schema public to web',
    'grant usage on schema jobs to web',
    'grant select, insert, update, delete on all tables in schema jobs to web',
  ])
  return new URL(url).pathname.slice(1)
}

/** The same server, and another database. */
export function withDatabase(name: string, url: string): string {
  const other = new URL(url)
  other.pathname = `/${name}`
  return other.href
}

/** The same database for another role. */
function as(role: string, url: string): string {
  const other = new URL(url)
  other.username = role
  return other.href
}

async function statements(url: string, texts: readonly string[]): Promise<void> {
  const pool = testPool(url, 1)
  for (const text of texts) await pool.query(text)
  await pool.end()
}

/** How cases are made of a database of this version. */
export function databaseCases(postgres: PostgresServer) {
  const owner = (url: string) => as('postgres', url)
  const sound = (look?: Look) => async () => findingsAt(await soundDatabase(postgres), look)
  let plain: Promise<readonly Finding[]> | undefined
  /** That without any change, looked at once for all. */
  const asItIs = () => {
    plain ??= sound()()
    return plain
  }
  /** A sound database after these statements of its owner. */
  const after = (texts: (name: string) => readonly string[], look?: Look) => async () => {
    const url = await soundDatabase(postgres)
    await statements(owner(url), texts(new URL(url).pathname.slice(1)))
    return findingsAt(url, look)
  }
  return { owner, sound, asItIs, after }
}

/** All of them. */
export function databaseMistakes(postgres: PostgresServer): readonly Mistake[] {
  const { owner, sound, asItIs, after } = databaseCases(postgres)
  /** One in which a function of the server says something else. */
  const pretending = (definition: string) =>
    after((name) => [
      'create schema made_up',
      'grant usage on schema made_up to web',
      `create function made_up.${definition}`,
      `alter role web in database ${name} set search_path = made_up, pg_catalog, public`,
    ])
  const settingIs = (setting: string, value: string) =>
    pretending(
      `current_setting(text) returns text language sql as $$ select case $1 when '${setting}' then '${value}' else pg_catalog.current_setting($1) end $$`,
    )
  const crowd = (count: number) => async () => {
    const url = await soundDatabase(postgres)
    const others = testPool(owner(url), count)
    await Promise.all(Array.from({ length: count }, () => others.query('select pg_sleep(0.1)')))
    const environment = { API_PROCESSES: '2', DB_WEB_POOL_MAX: '20', DB_MAX_OVERFLOW: '10' }
    try {
      return await findingsAt(url, { environment })
    } finally {
      await others.end()
    }
  }
  const machines = (count: number) =>
    sound({ environment: { API_PROCESSES: `${count}`, API_WORKERS: '2', REDIS_URL: 'redis://127.0.0.1' } })
  const processes = (count: number) => sound({ environment: { API_PROCESSES: String(count) } })
  return [
    {
      rule: 'database-unset',
      verdict: 'warn',
      title: 'no database at all',
      found: /DATABASE_URL is unset.*-> Set it; or start the service once/,
      broken: () => findingsOf([noDatabaseCheck()]),
      sound: asItIs,
    },
    {
      rule: 'database-away',
      verdict: 'fail',
      title: 'nothing listens',
      found:
        /cannot connect to 127\.0\.0\.1:1: connect ECONNREFUSED.*-> Nothing listens there\. Start PostgreSQL/,
      broken: () => findingsAt('postgres://web:hidden-from-all@127.0.0.1:1/none'),
      sound: asItIs,
    },
    {
      rule: 'database-away',
      verdict: 'fail',
      title: 'a database that there is not',
      found: /database "nowhere" does not exist -> Create it \(createdb\)/,
      broken: () => findingsAt(withDatabase('nowhere', postgres.directUrl)),
      sound: asItIs,
    },
    {
      rule: 'database-away',
      verdict: 'fail',
      title: 'a role that there is not',
      found: /role "nobody" does not exist -> It lets nobody in with these words\. Correct user and password/,
      broken: () => findingsAt(as('nobody', postgres.directUrl)),
      sound: asItIs,
    },
    {
      rule: 'database-away',
      verdict: 'fail',
      title: 'TLS to one that speaks none',
      found:
        /does not support SSL connections -> It speaks no TLS there: switch it on \(ssl = on\), or take it out of DATABASE_URL/,
      broken: () => findingsAt(`${postgres.directUrl}?sslmode=verify-full`),
      sound: asItIs,
    },
    {
      rule: 'database-away',
      verdict: 'fail',
      title: 'a role with no connection left',
      found: /no connection slot left -> All its connections are taken\. .*pg_stat_activity/,
      broken: async () => {
        const url = await soundDatabase(postgres)
        await statements(owner(url), [
          'drop role if exists "full"',
          'create role "full" login connection limit 0',
        ])
        return findingsAt(as('full', url))
      },
      sound: asItIs,
    },
    {
      rule: 'database-slow',
      verdict: 'warn',
      title: 'an answer that takes its time',
      found: /the database takes \d{3} ms to answer -> More than 100 ms count as degraded/,
      broken: pretending(
        `pg_is_in_recovery() returns boolean language sql as $$ select pg_sleep(0.15) is null $$`,
      ),
      sound: asItIs,
    },
    {
      rule: 'database-old',
      verdict: 'fail',
      title: 'one that is too old',
      found: /PostgreSQL is older than 14 \(139999\) -> Upgrade/,
      broken: settingIs('server_version_num', '139999'),
      sound: settingIs('server_version_num', '140000'),
    },
    {
      rule: 'database-read-only',
      verdict: 'fail',
      title: 'a database that was closed',
      found: /takes no writes \(default_transaction_read_only\) -> .*reset default_transaction_read_only/,
      broken: after((name) => [`alter database ${name} set default_transaction_read_only = on`]),
      sound: after((name) => [`alter database ${name} set default_transaction_read_only = off`]),
    },
    {
      rule: 'database-read-only',
      verdict: 'fail',
      title: 'a replica',
      found: /the database is a replica, and takes no writes -> Let DATABASE_URL lead to the primary/,
      broken: pretending('pg_is_in_recovery() returns boolean language sql as $$ select true $$'),
      sound: pretending('pg_is_in_recovery() returns boolean language sql as $$ select false $$'),
    },
    {
      rule: 'database-careless',
      verdict: 'warn',
      title: 'a server that does not write through',
      found: /fsync or full_page_writes is off.*-> Set both on in postgresql\.conf/,
      broken: settingIs('fsync', 'off'),
      sound: asItIs,
    },
    {
      rule: 'database-encoding',
      verdict: 'fail',
      title: 'another encoding',
      found: /its encoding is SQL_ASCII, not UTF8 -> Create the database anew/,
      broken: async () => {
        const name = `ascii_${process.pid}_${performance.now().toFixed(0)}`
        const locale = `template template0 encoding SQL_ASCII lc_collate 'C' lc_ctype 'C'`
        await statements(postgres.directUrl, [`create database ${name} ${locale}`])
        return findingsAt(withDatabase(name, postgres.directUrl))
      },
      sound: asItIs,
    },
    {
      rule: 'database-crowded',
      verdict: 'warn',
      title: 'others that have connections',
      found:
        /may open 60 connections, others have 38 now, and the server has 97 -> See who they are .*; raise max_connections by 1,/,
      broken: crowd(38),
      sound: crowd(37),
    },
    {
      rule: 'restart-crowded',
      verdict: 'warn',
      title: 'no room for one that is replaced',
      found:
        /enough for 3 processes, but not while one of them is replaced: .* 120 connections.*-> Lower DB_WEB_POOL_MAX/,
      broken: processes(3),
      sound: processes(2),
    },
    {
      rule: 'restart-crowded',
      verdict: 'warn',
      title: 'no room for all workers of one that is replaced',
      found:
        /enough for 5 processes, but not while 2 of them, those of one machine, are replaced: .* 105 connections.*-> Lower DB_WEB_POOL_MAX \(20\) or DB_MAX_OVERFLOW \(10\), or have what takes them take 105: 30 more/,
      broken: machines(5),
      sound: machines(4),
    },
    {
      rule: 'connections-exceed-server',
      verdict: 'fail',
      title: 'more processes than connections',
      found:
        /all processes together may open 120 connections, and the server has 97.*-> Raise max_connections to 123, lower DB_WEB_POOL_MAX \(20\) or DB_MAX_OVERFLOW \(10\), or put PgBouncer/,
      broken: processes(4),
      sound: processes(3),
    },
    {
      rule: 'role-unbounded',
      verdict: 'warn',
      title: 'a role without time-outs',
      found: /web has no statement_timeout.*-> Alter role web set statement_timeout = '3000ms'/,
      broken: after((name) => [`alter role web in database ${name} set statement_timeout = 0`]),
      sound: asItIs,
    },
    {
      rule: 'statements-abandoned',
      verdict: 'warn',
      title: 'statements of nobody',
      found:
        /statements go on when their client is gone -> Alter role web set client_connection_check_interval/,
      broken: after((name) => [
        `alter role web in database ${name} set client_connection_check_interval = 0`,
      ]),
      sound: asItIs,
    },
    {
      rule: 'role-superuser',
      verdict: 'warn',
      title: 'a superuser',
      found: /postgres is a superuser.*-> Use a role that owns only its data/,
      broken: async () => findingsAt(owner(await soundDatabase(postgres))),
      sound: asItIs,
    },
    {
      rule: 'idle-timeout-short',
      verdict: 'warn',
      title: 'a pause that ends before a lock',
      found:
        /DB_IDLE_IN_TRANSACTION_TIMEOUT \(900 ms\) is shorter than DB_LOCK_TIMEOUT \(1000 ms\).*-> Raise it to 1000 ms/,
      broken: sound({ environment: { DB_IDLE_IN_TRANSACTION_TIMEOUT: '900ms' } }),
      sound: sound({ environment: { DB_IDLE_IN_TRANSACTION_TIMEOUT: '1s' } }),
    },
    {
      rule: 'clock-off',
      verdict: 'fail',
      title: 'a clock of another time',
      found:
        /the clock of this machine is 6\d\.\d s ahead of that of PostgreSQL -> See which of the two is right/,
      broken: sound({ aheadMs: 61_000 }),
      sound: sound({ aheadMs: -1500 }),
    },
    {
      rule: 'clock-off',
      verdict: 'warn',
      title: 'a clock that is late',
      found: /the clock of this machine is [34]\.\d s behind that of PostgreSQL/,
      broken: sound({ aheadMs: -4000 }),
      sound: sound({ aheadMs: 1500 }),
    },
  ]
}
