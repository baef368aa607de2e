// All that runs: servers of its own, the service as processes, and who is in the database.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PoolGuard } from '@holdfast/pool-guard'
import { startPgBouncer, startPostgres, startRedis } from '@holdfast/test-kit'
import { WEB_NODE_OPTIONS } from '../deploy/kubernetes/processes.ts'
import { ProviderSimulator } from '../src/provider/simulator/simulator.ts'
import { childEnvironment } from '../test/child-environment.ts'
import { type DemoAccount, populate, signInAll } from './demo-population.ts'
import { Endings } from './endings.ts'
import { ServiceChild } from './service-child.ts'
import { WebhookReceiver } from './webhook-receiver.ts'

export const TOKEN = 'a-token-of-the-demonstration-only'
const SECRET_KEY = 'the-secret-key-of-the-demonstration-and-of-nothing-else'
const WEBHOOK_SECRET = `whsec_${Buffer.from('a-secret-of-the-demonstration').toString('base64')}`
/** What the provider may be asked in a minute. */
export const PROVIDER_CAP = 60
const SPORTS = ['football', 'tennis', 'chess'] as const
/** Events come and end all the time: one of each sport every 8 seconds, over 10 after its start. */
const FIXTURE = { everyMs: 8000, openMs: 90_000, lastsMs: 10_000, keptMs: 120_000, oddsTickMs: 3000 }

/** What workers do, each in a process of its own. */
export const WORKERS = ['worker_bots', 'worker_odds', 'worker_settlement'] as const

export interface DemoWorld {
  readonly postgres: Awaited<ReturnType<typeof startPostgres>>
  readonly bouncer: Awaited<ReturnType<typeof startPgBouncer>>
  readonly redis: Awaited<ReturnType<typeof startRedis>>
  readonly provider: ProviderSimulator
  readonly webhook: WebhookReceiver
  /** Past everything that is broken. */
  readonly sql: PoolGuard
  readonly accounts: readonly DemoAccount[]
  readonly cookies: readonly string[]
  readonly floodCookie: string
  readonly workers: readonly ServiceChild[]
  /** One more process that serves. */
  startWeb(name: string): Promise<ServiceChild>
  close(): Promise<void>
}

/** `say` is told what is being started. Everything that is begun is among the `endings` from then on. */
export async function startWorld(
  users: number,
  seed: number,
  say: (text: string) => void,
  endings = new Endings(),
): Promise<DemoWorld> {
  try {
    return await begun(users, seed, say, endings)
  } catch (error) {
    await endings.close(true)
    throw error
  }
}

async function begun(
  users: number,
  seed: number,
  say: (text: string) => void,
  endings: Endings,
): Promise<DemoWorld> {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-demo-'))
  endings.add(() => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }))
  const compiled = join(directory, 'compiled')
  const modulesRead = await readModules(compiled, endings)
  say('PostgreSQL, PgBouncer, Redis, a provider of odds, a webhook')
  const postgres = await endings.begin(
    () =>
      startPostgres({
        sharedPreload: ['pg_stat_statements'],
        settings: { max_connections: '120', shared_buffers: '256MB', 'pg_stat_statements.max': '2000' },
      }),
    (server) => server.stop(),
  )
  const bouncer = await endings.begin(
    () =>
      startPgBouncer({
        target: { url: postgres.directUrl },
        settings: {
          max_client_conn: '400',
          default_pool_size: '60',
          server_login_retry: '0.5',
          query_wait_timeout: '60',
          server_connect_timeout: '3',
        },
      }),
    (server) => server.stop(),
  )
  const redis = await endings.begin(
    () => startRedis(),
    (server) => server.stop(),
  )
  const provider = await endings.begin(
    () => ProviderSimulator.start({ sports: SPORTS, fixture: { ...FIXTURE, seed } }),
    (server) => server.close(),
  )
  const webhook = await endings.begin(
    () => WebhookReceiver.start(),
    (server) => server.close(),
  )

  say(`tables, ${users} users with bots and balances`)
  const sql = new PoolGuard({
    connectionString: postgres.directUrl,
    max: 4,
    min: 0,
    statementTimeoutMs: 60_000,
    guardrails: { statementTimeoutMs: 60_000, lockTimeoutMs: 30_000 },
    graceMs: 0,
  })
  endings.add(() => sql.close())
  const { accounts, flooder } = await populate(sql, users)
  say(`${users} sessions in Redis`)
  const cookies = await signInAll([...accounts, flooder], {
    redisUrl: redis.directUrl,
    secretKey: SECRET_KEY,
  })
  const floodCookie = cookies.pop() ?? ''

  await modulesRead.ended
  const environment = {
    NODE_COMPILE_CACHE: compiled,
    DATABASE_URL: bouncer.directUrl,
    DATABASE_MIGRATION_URL: postgres.directUrl,
    REDIS_URL: redis.directUrl,
    SECRET_KEY,
    API_WORKERS: '1',
    LOG_LEVEL: 'warn',
    ENABLE_METRICS: 'true',
    METRICS_TOKEN: TOKEN,
    // The crowd says whose address each request is from, as the proxy of a deployment does. All limits of addresses
    // and of users are the defaults; those of a tenant are for houses with hundreds of users each, and of the flooded
    // one as they are by default.
    TRUST_PROXY: '127.0.0.1/32',
    RATE_LIMITS_TENANT: '100000/minute',
    RATE_LIMITS_GLOBAL: '1000000/minute',
    RATE_LIMITS_OVERRIDES: JSON.stringify({ flooded: { tenant: '100 per 60s burst 100 refill 2/s' } }),
    NOTIFY_WEBHOOK_URL: webhook.url,
    NOTIFY_WEBHOOK_SECRET: WEBHOOK_SECRET,
    NOTIFY_ALLOW_PRIVATE: 'true',
    ODDS_PROVIDER_URL: provider.url,
    ODDS_SPORTS: SPORTS.join(','),
    ODDS_INTERVAL: '4s',
    ODDS_REQUESTS_PER_MINUTE: String(PROVIDER_CAP),
    SHUTDOWN_DRAIN: '4s',
    SHUTDOWN_MIN_DRAIN: '1s',
  }
  let directories = 0
  const children: Promise<ServiceChild>[] = []
  // All at once: each takes its time to end in order.
  endings.add((isHurried) => Promise.allSettled(children.map(async (child) => (await child).stop(isHurried))))
  const start = async (name: string, own: Readonly<Record<string, string>>) => {
    directories += 1
    const DATA_DIRECTORY = join(directory, String(directories))
    const spawning = endings.begin(
      () => ServiceChild.spawn(name, { ...environment, DATA_DIRECTORY, ...own }),
      () => {},
    )
    children.push(spawning)
    const child = await spawning
    await child.ready()
    return child
  }
  say(WORKERS.join(', '))
  const workers = await Promise.all(WORKERS.map((type) => start(type, { PROCESS_TYPE: type })))
  return {
    postgres,
    bouncer,
    redis,
    provider,
    webhook,
    sql,
    accounts,
    cookies,
    floodCookie,
    workers,
    startWeb: (name) => start(name, { PROCESS_TYPE: 'web', NODE_OPTIONS: WEB_NODE_OPTIONS }),
    close: () => endings.close(),
  }
}

/** Fills the cache of what Node has made of the service's modules. Where that fails, processes start slowly. */
async function readModules(cache: string, endings: Endings): Promise<{ readonly ended: Promise<unknown> }> {
  const script = fileURLToPath(new URL('./read-modules.ts', import.meta.url))
  const start = async () => {
    const child = spawn(process.execPath, ['--conditions=@holdfast/source', script], {
      env: { ...childEnvironment(), NODE_COMPILE_CACHE: cache },
      stdio: 'ignore',
    })
    return { child, ended: once(child, 'close') }
  }
  return endings.begin(start, ({ child, ended }) => {
    child.kill('SIGKILL')
    return ended
  })
}
