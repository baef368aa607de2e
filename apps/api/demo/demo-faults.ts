// What is done to the service, one thing after the other.

import { setTimeout as sleep } from 'node:timers/promises'
import { askRedis } from '@holdfast/test-kit'
import { Client } from 'pg'
import { brandOf } from '../test/service-process.ts'
import { TENANTS } from './demo-population.ts'
import type { DemoStage, Outcome } from './demo-stage.ts'
import type { Pace } from './pace.ts'
import type { Progress } from './progress.ts'
import { statusOf } from './service-child.ts'
import { scrape, sumOf } from './service-gauges.ts'
import type { Span } from './timeline.ts'

const FLOODERS = 60
const HANG_UPS = 400
/** Between an answer and the next request of each connection of the flood, at the least. */
const FLOOD_PAUSE_MS = 30
const HANG_UP_MS = 500
/** On however slow a machine. */
const READING_MS = 60_000
/** So many bets tell what becomes of them. */
const BETS = 5

/** What was seen besides what the users saw. */
export interface Seen {
  readonly outcomes: Readonly<Record<string, Outcome>>
  /** A process that was started while PostgreSQL was dead. */
  readonly newcomer: {
    readonly brand: string
    readonly themeStatus: number | undefined
    readonly redisHits: number
  }
  readonly readyWhileDead: number | undefined
  readonly providerTold: { readonly requests: number; readonly mostInAMinute: number; readonly early: number }
  readonly replaced: { readonly code: number | null; readonly signal: string | null }
  readonly webhookRefused: number
  /** The fewest connections that were in use at a moment after everybody had hung up. */
  readonly inUseAfterHangUps: number
}

export async function runFaults(stage: DemoStage, pace: Pace, progress: Progress): Promise<Seen> {
  const { world } = stage
  const { postgres, bouncer, redis, provider, webhook } = world
  const outcomes: Record<string, Outcome> = {}
  const run = async (name: string, label: string, fault: Parameters<DemoStage['fault']>[1]) => {
    outcomes[name] = await stage.fault(label, fault, progress)
  }

  const isSeen = (during: Span) => during.count('bet') >= BETS

  // First, because its breaker stays open for two minutes, in which everything else goes on.
  await run('webhook', 'the webhook answers 503', {
    mark: 'webhook down',
    begin: () => {
      webhook.isDown = true
    },
    lastsMs: 10_000,
    end: () => {
      webhook.isDown = false
    },
  })

  let newcomer = { brand: '', themeStatus: undefined as number | undefined, redisHits: 0 }
  let readyWhileDead: number | undefined
  await run(
    'postgres killed',
    'PostgreSQL is killed (SIGKILL), and a further process of the service starts',
    {
      mark: 'PostgreSQL killed',
      begin: async () => {
        await postgres.kill9()
        readyWhileDead = await statusOf(`${stage.web.url}/readyz`)
        const before = await hitsOf(redis.directPort)
        const another = await world.startWeb('a further process')
        const [tenant = ''] = TENANTS
        newcomer = {
          brand: await brandFrom(another.url, tenant),
          themeStatus: await statusOf(`${another.url}/${tenant}/api/public/load-theme`),
          redisHits: (await hitsOf(redis.directPort)) - before,
        }
        await another.stop()
      },
      lastsMs: 3000,
      isSeen,
      end: () => postgres.restart(),
    },
  )
  await run('postgres frozen', 'PostgreSQL is frozen (SIGSTOP): connections stay open, nothing answers', {
    mark: 'PostgreSQL frozen',
    begin: () => postgres.freeze(),
    lastsMs: 8000,
    isSeen,
    end: () => postgres.thaw(),
  })
  await run('pgbouncer', 'PgBouncer is killed', {
    mark: 'PgBouncer killed',
    begin: () => bouncer.kill9(),
    lastsMs: 4000,
    isSeen,
    end: () => bouncer.restart(),
  })
  const locker = new Client({ connectionString: postgres.directUrl })
  locker.on('error', () => {})
  await locker.connect()
  await run('saturated', 'a lock on the bots: what reads them waits, and the pool fills', {
    mark: 'pool saturated',
    begin: () => locker.query('begin; lock table bots in access exclusive mode'),
    lastsMs: 6000,
    isSeen,
    end: () => locker.query('rollback'),
  })
  await locker.end()
  await run('redis killed', 'Redis is killed', {
    mark: 'Redis killed',
    begin: () => redis.kill9(),
    lastsMs: 5000,
    isSeen,
    end: () => redis.restart(),
  })
  await run('redis frozen', 'Redis is frozen', {
    mark: 'Redis frozen',
    begin: () => redis.freeze(),
    lastsMs: 5000,
    isSeen,
    end: () => redis.thaw(),
  })
  await run('provider', 'the provider of odds is down', {
    mark: 'provider down',
    begin: () => provider.behave({ mode: 'unavailable', retryAfterSeconds: 5 }),
    lastsMs: 12_000,
    end: () => provider.behave({ mode: 'well' }),
  })
  await run('flood', 'one tenant floods', {
    mark: 'tenant floods',
    begin: () => stage.crowd.flood(FLOODERS, Math.max(FLOOD_PAUSE_MS, pace.spreadMs(FLOODERS))),
    lastsMs: 10_000,
    isSeen: (during) => during.count('flood status', 'limited') > 0,
    end: () => stage.crowd.flood(0, 0),
  })
  await run('hang-ups', `${HANG_UPS} clients ask and hang up`, {
    mark: 'clients hang up',
    begin: () => stage.crowd.hangUp(HANG_UPS, Math.max(HANG_UP_MS, pace.spreadMs(HANG_UPS))),
    lastsMs: 1000,
    end: () => sleep(0),
  })
  const inUseAfterHangUps = await connectionsInUse(stage)

  let replaced: Seen['replaced'] = { code: null, signal: null }
  await run('replaced', 'the process is replaced under load: its successor serves, then SIGTERM', {
    mark: 'pod replaced',
    begin: async () => {
      const old = stage.web
      stage.web = await world.startWeb('web, its successor')
      stage.crowd.send(stage.web.port)
      old.signal('SIGTERM')
      replaced = await old.ended
    },
    lastsMs: 2000,
    end: () => {},
  })
  const { requests, mostInAMinute, early } = provider.counts()
  return {
    outcomes,
    newcomer,
    readyWhileDead,
    replaced,
    providerTold: { requests, mostInAMinute, early },
    webhookRefused: webhook.refused,
    inUseAfterHangUps,
  }
}

/** Of the tenant, once the process has read it, which it does while it serves; the default one until then. */
async function brandFrom(url: string, tenant: string): Promise<string> {
  const endMs = performance.now() + READING_MS
  for (;;) {
    const brand = await brandOf(url, tenant)
    if (brand.toLowerCase() === tenant || performance.now() > endMs) return brand
    await sleep(200)
  }
}

/** The fewest at one moment, because users go on; NaN when the service does not say. */
async function connectionsInUse({ web }: DemoStage): Promise<number> {
  const endMs = performance.now() + READING_MS
  let fewest = Number.NaN
  do {
    const found = await scrape(web.url)
    if (found !== undefined) {
      const inUse = sumOf(found, 'db_active_connections')
      fewest = Number.isNaN(fewest) ? inUse : Math.min(fewest, inUse)
    }
    if (fewest === 0) break
    await sleep(200)
  } while (performance.now() < endMs)
  return fewest
}

/** How often Redis has found what it was asked for. */
async function hitsOf(port: number): Promise<number> {
  const text = String(await askRedis(port, 'INFO', 'stats'))
  return Number(/keyspace_hits:(\d+)/.exec(text)?.[1])
}
