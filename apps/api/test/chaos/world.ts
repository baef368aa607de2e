// All that there is in the chaos test: the servers, the fleet, and what they talk to.

import { join } from 'node:path'
import { PoolGuard } from '@holdfast/pool-guard'
import { haproxyStatus, type RealServer, waitUntil } from '@holdfast/test-kit'
import type { Test } from 'tap'
import { WebhookReceiver } from '../../demo/webhook-receiver.ts'
import { ProviderSimulator } from '../../src/provider/simulator/simulator.ts'
import { newPlace, startDeployedHaproxy } from '../deployed-proxy.ts'
import { installWitness } from '../ownership-witness.ts'
import { scratchDirectory } from '../service-process.ts'
import { type DemoAccount, demoAccounts } from '../sign-in-client.ts'
import { COMPRESSED_SETTINGS, compressedFixture } from './compressed-time.ts'
import { Member } from './member.ts'
import { type Servers, startServers, type Way } from './servers.ts'

/** What is killed and frozen, of each two. */
export const KINDS = ['web', 'worker_bots', 'worker_odds', 'worker_settlement'] as const
export type Kind = (typeof KINDS)[number]
export type Pair = readonly [Member, Member]

/** It ends with the test. */
export interface World extends Servers {
  /** Where people ask: HAProxy. */
  readonly url: string
  readonly fleet: Readonly<Record<Kind, Pair>>
  readonly members: readonly Member[]
  readonly provider: ProviderSimulator
  readonly webhook: WebhookReceiver
  readonly accounts: readonly DemoAccount[]
  /** Past everything that has faults. */
  readonly sql: PoolGuard
  /** Resolves when HAProxy sees it like that. */
  isSeen(web: Member, status: 'UP' | 'DOWN'): Promise<void>
}

export const BOT_LEASE_MS = 2000
/** What the provider may be asked in a minute. */
export const PROVIDER_CAP = 240
const SPORTS = ['football', 'tennis', 'chess']
/** Of each user, besides those that he has. */
const BOTS = 4
/** Trades at every tick. */
const RESTLESS = 'position > 2 ? sell(3) : buy(1)'
const UNLIMITED = '1000000/minute'
const SETTINGS = {
  ...COMPRESSED_SETTINGS,
  BOT_LEASE: `${BOT_LEASE_MS}ms`,
  ODDS_SPORTS: SPORTS.join(','),
  ODDS_REQUESTS_PER_MINUTE: String(PROVIDER_CAP),
  JOBS_POLL: '200ms',
  API_PROCESSES: '8',
  // Both webs, those that end and those that begin: fewer than PostgreSQL has room for.
  DB_WEB_POOL_MAX: '8',
  DB_MAX_OVERFLOW: '4',
  // As long as HAProxy needs to notice.
  SHUTDOWN_DRAIN: '6s',
  TRUST_PROXY: '127.0.0.1/32',
  ENABLE_METRICS: 'true',
  METRICS_TOKEN: 'a-token-for-tests-only',
  NOTIFY_ALLOW_PRIVATE: 'true',
  NOTIFY_WEBHOOK_SECRET: `whsec_${Buffer.from('a-secret-of-the-chaos-test').toString('base64')}`,
  // A few people ask as a house full of them would.
  ...Object.fromEntries(
    ['START', 'STOP', 'RECOVER', 'STATUS', 'GLOBAL', 'BET', 'READ'].map((name) => [
      `RATE_LIMITS_${name}`,
      UNLIMITED,
    ]),
  ),
}

export async function startWorld(t: Test, way: Way, seed: number): Promise<World> {
  const directory = scratchDirectory(t)
  const servers = await startServers(t, way, directory)
  const sql = new PoolGuard({ connectionString: servers.directUrl, max: 6, min: 0 })
  t.teardown(() => sql.close())
  await sql.query(
    `insert into bots (user_id, name, strategy, status) select users.id, 'Bot ' || n, $1, 'running'
     from users, generate_series(1, $2) as n where email like '%trader@%'`,
    [RESTLESS, BOTS],
  )
  await installWitness(sql)
  const provider = await ProviderSimulator.start({ sports: SPORTS, fixture: compressedFixture(seed) })
  t.teardown(() => provider.close())
  const webhook = await WebhookReceiver.start()
  t.teardown(() => webhook.close())

  const places = [await newPlace(), await newPlace()] as const
  const begin = async (kind: Kind, name: string, place = newPlace()) =>
    Member.start(t, {
      name: `${kind} ${name}`,
      kind,
      place: await place,
      environment: {
        ...SETTINGS,
        ...servers.databaseOf(kind === 'web' ? 'web' : 'worker'),
        REDIS_URL: servers.redis.url,
        NOTIFY_WEBHOOK_URL: webhook.url,
        ODDS_PROVIDER_URL: provider.url,
      },
    })
  const pairOf = (kind: Kind) =>
    Promise.all([
      begin(kind, 'first', kind === 'web' ? Promise.resolve(places[0]) : newPlace()),
      begin(kind, 'second', kind === 'web' ? Promise.resolve(places[1]) : newPlace()),
    ] as const)
  const [web, worker_bots, worker_odds, worker_settlement] = await Promise.all([
    pairOf('web'),
    pairOf('worker_bots'),
    pairOf('worker_odds'),
    pairOf('worker_settlement'),
  ])
  const fleet = { web, worker_bots, worker_odds, worker_settlement }
  const proxy = await startDeployedHaproxy('layer-7.cfg', places)
  t.teardown(() => proxy.stop())
  const isSeen = (member: Member, status: 'UP' | 'DOWN') => untilSeen(proxy, member, status)
  await Promise.all(web.map((member) => isSeen(member, 'UP')))
  return {
    ...servers,
    url: proxy.directUrl,
    fleet,
    members: KINDS.flatMap((kind) => fleet[kind]),
    provider,
    webhook,
    accounts: demoAccounts(directory),
    sql,
    isSeen,
  }
}

/** `UP 1/2` is one that is going down. */
function untilSeen({ directory }: RealServer, { name }: Member, status: 'UP' | 'DOWN'): Promise<void> {
  const server = name.slice('web '.length)
  return waitUntil(
    async () => {
      const seen = await haproxyStatus(join(directory, 'stats.sock'), 'service', server)
      return status === 'UP' ? seen === 'UP' : seen.startsWith('DOWN')
    },
    { timeoutMs: 60_000, intervalMs: 50, what: `HAProxy to see that ${name} is ${status}` },
  )
}
