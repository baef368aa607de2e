// Every way to lose PostgreSQL, PgBouncer and Redis that a service can meet, one after the other under 200 closed-loop
// clients that read themes (public), read histories (may be stale or refused) and store events (must not be lost).

import { startPgBouncer, startPostgres, startRedis, waitUntil } from '@holdfast/test-kit'
import { Client } from 'pg'
import t, { type Test } from 'tap'
import { type Fault, runTrial } from './dependency-loss.ts'
import { onConnection } from './deployed-pgbouncer.ts'
import { ServiceApp } from './service-app.ts'
import { ServiceProcess, scratchDirectory } from './service-process.ts'

t.setTimeout(900_000)

// Half of the requests need the database. The pause leaves room for the clients on the same machine.
const MIX = { clients: 200, historyShare: 30, previewShare: 20, pauseMs: 400 }
/** Transactions that are open when their backends are killed: fewer than the failures in a row that open the breaker. */
const HELD = 4
const CLEAN = { code: 0, signal: null }

async function setUp(t: Test) {
  const postgres = await startPostgres({ settings: { max_connections: '60' } })
  t.teardown(() => postgres.stop())
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const start = (environment: Record<string, string>) =>
    ServiceProcess.start(t, {
      REDIS_URL: redis.url,
      DATA_DIRECTORY: scratchDirectory(t),
      THEME_REFRESH_INTERVAL: '250ms',
      ...environment,
    })
  return { postgres, redis, start }
}

/** What can happen to a server, whatever it is. */
function faultsOf(
  name: string,
  server: {
    kill9(): Promise<void>
    restart(): Promise<void>
    freeze(): void
    thaw(): void
    blackhole(): void
    heal(): Promise<void>
  },
  freezeMs: number,
): Fault[] {
  return [
    { name: `${name} killed`, begin: () => server.kill9(), lastsMs: 2000, end: () => server.restart() },
    {
      name: `${name} frozen`,
      begin: () => server.freeze(),
      lastsMs: freezeMs,
      end: () => server.thaw(),
    },
    { name: `${name} restarted`, begin: () => server.restart(), lastsMs: 0, end: () => {} },
    {
      name: `${name} unreachable`,
      begin: () => server.blackhole(),
      lastsMs: 3000,
      end: () => server.heal(),
    },
  ]
}

t.test('PostgreSQL is lost in every way, and only what needs it notices', async (t) => {
  const { postgres, start } = await setUp(t)
  const service = await start({ DATABASE_URL: postgres.url })
  const observe = (sql: string) => onConnection(postgres.directUrl, (client) => client.query(sql))
  const hoarders: Client[] = []
  let frozen = 0
  await runTrial(t, {
    service,
    databaseUrl: postgres.directUrl,
    mix: MIX,
    faults: [
      ...faultsOf('PostgreSQL', postgres, 5000),
      {
        // Of 20 connections one falls silent: what it was about to answer fails, the rest goes on.
        name: 'one backend frozen',
        begin: async () => {
          const { rows } = await observe(
            `select pid from pg_stat_activity where application_name = 'holdfast-api' order by backend_start limit 1`,
          )
          frozen = Number(rows[0]?.pid)
          process.kill(frozen, 'SIGSTOP')
        },
        lastsMs: 4000,
        end: () => {
          process.kill(frozen, 'SIGCONT')
        },
      },
      {
        name: 'every connection ended by an administrator',
        begin: async () => {
          await observe(
            `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'holdfast%'`,
          )
        },
        lastsMs: 1000,
        end: () => {},
      },
      {
        name: 'every connection slot taken by others',
        begin: async () => {
          await observe(`create role hoarder login`).catch(() => {})
          await observe(
            `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'holdfast%'`,
          )
          const url = postgres.directUrl.replace('postgres@', 'hoarder@')
          for (;;) {
            const client = new Client({ connectionString: url })
            client.on('error', () => {})
            try {
              await client.connect()
            } catch {
              return
            }
            hoarders.push(client)
          }
        },
        lastsMs: 3000,
        end: async () => {
          await Promise.all(hoarders.splice(0).map((client) => client.end()))
        },
      },
    ],
  })
  t.strictSame(await service.stop(), CLEAN)
})

t.test('backends that are killed between two statements of a transaction disturb nobody else', async (t) => {
  const postgres = await startPostgres({ settings: { max_connections: '60' } })
  t.teardown(() => postgres.stop())
  // In this process, because only code of the service holds a transaction open; no route does.
  const service = await ServiceApp.start(t, { DATABASE_URL: postgres.url, LOG_LEVEL: 'info' })
  const { poolGuard } = service.app.fastify
  const observe = (sql: string) => onConnection(postgres.directUrl, (client) => client.query(sql))
  await observe('create table half_done (value int)')
  let outcomes: Promise<PromiseSettledResult<unknown>[]> = Promise.resolve([])
  await runTrial(t, {
    service,
    databaseUrl: postgres.directUrl,
    mix: { clients: 40, historyShare: 30, previewShare: 20, pauseMs: 400 },
    faults: [
      {
        name: 'backends killed while idle in a transaction',
        begin: async () => {
          const killed = Promise.withResolvers<void>()
          const open = Array.from({ length: HELD }, (_, value) =>
            poolGuard.transaction({}, async (tx) => {
              await tx.query('insert into half_done values ($1)', [value])
              await killed.promise
              await tx.query('insert into half_done values ($1)', [value])
            }),
          )
          outcomes = Promise.allSettled(open)
          const idle = `application_name = 'holdfast-api' and state = 'idle in transaction'`
          await waitUntil(async () => {
            const { rows } = await observe(`select count(*)::int as n from pg_stat_activity where ${idle}`)
            return rows[0]?.n === HELD
          })
          await observe(`select pg_terminate_backend(pid, 5000) from pg_stat_activity where ${idle}`)
          killed.resolve()
        },
        lastsMs: 2000,
        end: () => {},
        unnoticed: true,
      },
    ],
  })
  for (const outcome of await outcomes) {
    t.match(outcome, { status: 'rejected', reason: { code: 'HOLDFAST_ERR_POOL_GUARD_CONNECTION_LOST' } })
  }
  t.strictSame((await observe('select value from half_done')).rows, [], 'nothing is half done')
  t.notMatch(service.stdout, /closed off/, 'connections that were lost are no reason to close the pool')
})

t.test('PgBouncer is lost in every way, and PostgreSQL behind it', async (t) => {
  const { postgres, start } = await setUp(t)
  const bouncer = await startPgBouncer({
    target: postgres,
    settings: {
      max_client_conn: '400',
      default_pool_size: '30',
      server_login_retry: '0.5',
      query_wait_timeout: '60',
      server_connect_timeout: '3',
    },
  })
  t.teardown(() => bouncer.stop())
  const service = await start({ DATABASE_URL: bouncer.url })
  const console = bouncer.directUrl.replace(/\/[^/]*$/, '/pgbouncer')
  const tell = (command: string) => onConnection(console, (client) => client.query(command))
  await runTrial(t, {
    service,
    databaseUrl: postgres.directUrl,
    mix: MIX,
    faults: [
      ...faultsOf('PgBouncer', bouncer, 3000),
      ...faultsOf('PostgreSQL behind PgBouncer', postgres, 5000),
      {
        name: 'PgBouncer paused',
        begin: () => {
          void tell('pause').catch(() => {})
        },
        lastsMs: 3000,
        end: async () => {
          await tell('resume')
        },
      },
    ],
  })
  t.strictSame(await service.stop(), CLEAN)
})

t.test('Redis is lost in every way, and nobody notices', async (t) => {
  const { postgres, redis, start } = await setUp(t)
  const service = await start({ DATABASE_URL: postgres.url })
  const faults = faultsOf('Redis', redis, 5000).map((fault) => ({ ...fault, unnoticed: true }))
  await runTrial(t, { service, databaseUrl: postgres.directUrl, mix: MIX, faults })
  t.strictSame(await service.stop(), CLEAN)
})
