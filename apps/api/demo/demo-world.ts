// All that runs: servers of its own, the service as processes, and who is in the database.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PoolGuard } from '@holdfast/pool-guard'
import { startPgBouncer, startPostgres, startRedis } from '@holdfast/test-kit'
import { ProviderSimulator } from '../src/provider/simulator/simulator.ts'
import { type DemoAccount, populate, signInAll } from './demo-population.ts'
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

/** `say` is told what is being started. */
export async function startWorld(
  users: number,
  seed: number,
  say: (text: string) => void,
): Promise<DemoWorld> {
  const endings: (() => Promise<unknown> | unknown)[] = []
  const close = async () => {
    for (const end of endings.splice(0).reverse()) await end()
  }
  try {
    say('PostgreSQL, PgBouncer, Redis, a provider of odds, a webhook')
    const postgres = await startPostgres({
      sharedPreload: ['pg_stat_statements'],
      settings: { max_connections: '120', shared_buffers: '256MB', 'pg_stat_statements.max': '2000' },
    })
    endings.push(() => postgres.stop())
    const bouncer = await startPgBouncer({
      target: { url: postgres.directUrl },
      settings: {
        max_client_conn: '400',
        default_pool_size: '60',
        server_login_retry: '0.5',
        query_wait_timeout: '60',
        server_connect_timeout: '3',
      },
    })
    endings.push(() => bouncer.stop())
    const redis = await startRedis()
    endings.push(() => redis.stop())
    const provider = await ProviderSimulator.start({ sports: SPORTS, fixture: { ...FIXTURE, seed } })
    endings.push(() => provider.close())
    const webhook = await WebhookReceiver.start()
    endings.push(() => webhook.close())

    say(`tables, ${users} users with bots and balances`)
    const sql = new PoolGuard({
      connectionString: postgres.directUrl,
      max: 4,
      min: 0,
      statementTimeoutMs: 60_000,
      guardrails: { statementTimeoutMs: 60_000, lockTimeoutMs: 30_000 },
    })
    endings.push(() => sql.close())
    const { accounts, flooder } = await populate(sql, users)
    say(`${users} sessions in Redis`)
    const cookies = await signInAll([...accounts, flooder], {
      redisUrl: redis.directUrl,
      secretKey: SECRET_KEY,
    })
    const floodCookie = cookies.pop() ?? ''

    const directory = mkdtempSync(join(tmpdir(), 'holdfast-demo-'))
    endings.push(() => rmSync(directory, { recursive: true, force: true }))
    const environment = {
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
    const start = async (name: string, own: Readonly<Record<string, string>>) => {
      directories += 1
      const DATA_DIRECTORY = join(directory, String(directories))
      const child = await ServiceChild.start(name, { ...environment, DATA_DIRECTORY, ...own })
      endings.push(() => child.stop())
      return child
    }
    say(WORKERS.join(', '))
    // All of them have an end that is known before one of them can fail.
    const started = await Promise.allSettled(WORKERS.map((type) => start(type, { PROCESS_TYPE: type })))
    const workers = started.map((each) => {
      if (each.status === 'rejected') throw each.reason
      return each.value
    })
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
      startWeb: (name) => start(name, { PROCESS_TYPE: 'web' }),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
