// Mistakes of a PgBouncer before PostgreSQL, made on real ones.

import type { Finding } from '@holdfast/lifecycle'
import { type PostgresServer, type RealServer, startPgBouncer } from '@holdfast/test-kit'
import { findingsAt, type Look, soundDatabase, withDatabase } from './seeded-database.ts'
import type { Environment, Mistake } from './seeded-mistakes.ts'

/** Those of a PgBouncer before it. `start` remembers what it has started. */
export function poolerMistakes(
  postgres: PostgresServer,
  start: (settings: Environment) => Promise<RealServer>,
): readonly Mistake[] {
  const behind = (settings: Environment, { environment, pool }: Look = {}, query = '') => {
    return async (): Promise<readonly Finding[]> => {
      const database = new URL(await soundDatabase(postgres)).pathname.slice(1)
      const { directUrl } = await start(settings)
      const seen = { PGBOUNCER_ADMIN_URL: withDatabase('pgbouncer', directUrl), ...environment }
      const url = withDatabase(database, directUrl)
      return findingsAt(`${url}${query}`, { environment: seen, ...(pool && { pool }) })
    }
  }
  const roomy = { default_pool_size: '40', max_client_conn: '200' }
  const sound = behind(roomy)
  const options = '?options=-c%20statement_timeout%3D2500'
  return [
    {
      rule: 'connections-exceed-pooler',
      verdict: 'fail',
      title: 'more connections than it takes',
      found:
        /may open 30 connections, and PgBouncer takes 29 \(max_client_conn\) -> Raise that to 30, and to twice as many for restarts/,
      broken: behind({ ...roomy, max_client_conn: '29' }),
      sound: behind({ ...roomy, max_client_conn: '30' }),
    },
    {
      rule: 'connections-exceed-server',
      verdict: 'fail',
      title: 'a pool that the server has not',
      found:
        /one pool of PgBouncer may open 98 connections, and the server has 97.*-> Lower its pool_size \(or default_pool_size\) and reserve_pool_size to 97 together/,
      broken: behind({ ...roomy, default_pool_size: '98' }),
      sound: behind({ ...roomy, default_pool_size: '97' }),
    },
    {
      rule: 'restart-crowded',
      verdict: 'warn',
      title: 'no client more while one is replaced',
      found:
        /enough for one process, but not while it is replaced: .*may open 60 connections, and PgBouncer takes 59/,
      broken: behind({ ...roomy, max_client_conn: '59' }),
      sound: behind({ ...roomy, max_client_conn: '60' }),
    },
    {
      rule: 'pooler-pool-small',
      verdict: 'warn',
      title: 'fewer connections than the pools hold',
      found:
        /the pools of all processes hold 20 connections, and PgBouncer has 19 .*-> Raise pool_size \(or default_pool_size\) to 20, or lower DB_WEB_POOL_MAX \(20\)/,
      broken: behind({ ...roomy, default_pool_size: '19' }),
      sound: behind({ ...roomy, default_pool_size: '20' }),
    },
    {
      rule: 'pooler-mode',
      verdict: 'fail',
      title: 'sessions, and fewer connections than them',
      found:
        /pool_mode = session, where a client keeps a connection for good, and 29 of them for the 30.*-> Set pool_mode = transaction/,
      broken: behind({ ...roomy, pool_mode: 'session', default_pool_size: '29' }),
      sound: behind({ ...roomy, pool_mode: 'session', default_pool_size: '30' }),
    },
    {
      rule: 'pooler-mode',
      verdict: 'fail',
      title: 'statements',
      found: /pool_mode = statement, which refuses transactions -> Set pool_mode = transaction/,
      broken: behind({ ...roomy, pool_mode: 'statement' }),
      sound,
    },
    {
      rule: 'pooler-unseen',
      verdict: 'warn',
      title: 'a console that nobody has named',
      found: /a pooler stands between, and PGBOUNCER_ADMIN_URL is unset: .*-> Set PGBOUNCER_ADMIN_URL/,
      broken: behind(roomy, { environment: { PGBOUNCER_ADMIN_URL: '' } }),
      sound,
    },
    {
      rule: 'pooler-unseen',
      verdict: 'warn',
      title: 'a console that does not answer',
      found: /its console does not answer/,
      broken: behind(roomy, {
        environment: { PGBOUNCER_ADMIN_URL: 'postgres://a:hidden-from-all@127.0.0.1:1/pgbouncer' },
      }),
      sound,
    },
    {
      rule: 'pooler-timeout-short',
      verdict: 'warn',
      title: 'statements that it ends first',
      found: /PgBouncer has query_timeout = 3, which comes before the 3000 ms.*-> Make it longer/,
      broken: behind({ ...roomy, query_timeout: '3' }),
      sound: behind({ ...roomy, query_timeout: '4' }),
    },
    {
      rule: 'parameter-refused',
      verdict: 'fail',
      title: 'a startup parameter that it refuses',
      found: /PgBouncer refuses the startup parameter options -> Take it out of DATABASE_URL/,
      broken: behind(roomy, {}, options),
      sound,
    },
    {
      rule: 'parameter-ignored',
      verdict: 'fail',
      title: 'one that it ignores',
      found: /statement_timeout = 2500 ms is not in force.*-> Take it out of the connection settings/,
      broken: behind({ ...roomy, ignore_startup_parameters: 'extra_float_digits,options' }, {}, options),
      sound,
    },
    {
      rule: 'parameter-pooled',
      verdict: 'warn',
      title: 'one that is in force by luck',
      found: /statement_timeout is a matter of luck behind a pooler -> Take it out/,
      broken: behind(
        { ...roomy, ignore_startup_parameters: 'extra_float_digits,options' },
        {},
        '?options=-c%20lock_timeout%3D0%20-c%20statement_timeout%3D0',
      ),
      sound,
    },
    {
      rule: 'named-statements',
      verdict: 'fail',
      title: 'names that it does not know',
      found: /PgBouncer 1\.18\.0 does not know named statements.*-> Leave DB_PREPARE_THRESHOLD at 0/,
      broken: behind(roomy, { pool: { namedStatements: true } }),
      sound,
    },
  ]
}

/** Starts each kind of PgBouncer once. */
export function bouncers(postgres: PostgresServer) {
  const started = new Map<string, Promise<RealServer>>()
  return {
    start(settings: Environment): Promise<RealServer> {
      const key = JSON.stringify(settings)
      const server = started.get(key) ?? startPgBouncer({ target: postgres, settings })
      started.set(key, server)
      return server
    },
    async stop(): Promise<void> {
      for (const server of started.values()) await (await server).stop()
    },
  }
}
