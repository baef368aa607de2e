/**
 * A small asynchronous route behind a rate limit: `limited-route.ts <limiter> <store> <clients> <limit>`.
 *
 * limiter: `bare` (none), `ours`, `our-store` (in @fastify/rate-limit), `fastify` (@fastify/rate-limit), `flexible`
 * (rate-limiter-flexible), `express` (the store of express-rate-limit); the last two have no plugin for Fastify, and get
 * the cheapest hook there is. store: `memory`, `redis`, `auto-pipelining` (Redis, with that option of ioredis), `lease`
 * (Redis, ours only). Everybody sends the three headers of @fastify/rate-limit; `all-headers` is memory with ours as they
 * are by default. clients: `new` (each request is one that was never seen), `some` (a thousand in turn), `one`.
 * limit: `open`, which nobody reaches, or `closed`, which the first request uses up.
 */
import rateLimit from '@fastify/rate-limit'
import { GuardedRedis } from '@holdfast/redis-guard'
import { fastifyRateLimitStore, tenantRateLimit } from '@holdfast/tenant-rate-limit'
import { MemoryStore } from 'express-rate-limit'
import fastify, { type FastifyReply } from 'fastify'
import { Redis } from 'ioredis'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import { redisUrl } from '../config.ts'
import { listen } from './listen.ts'

const [limiter = '', store = '', clients = '', limit = ''] = process.argv.slice(2)

const WINDOW_SECONDS = 3600
const max = limit === 'open' ? 100_000_000 : 1

let requests = 0
const names: Readonly<Record<string, () => string>> = {
  new: () => `client-${++requests}`,
  some: () => `client-${++requests % 1000}`,
  one: () => 'client',
}
const client = names[clients] ?? (() => '')

const app = fastify()
const handler = async () => ({ symbol: 'ACME', price_minor: 1234, currency: 'EUR' })
const policy = `${max} per ${WINDOW_SECONDS}s`

switch (limiter) {
  case 'ours': {
    const redis = store === 'memory' || store === 'all-headers' ? {} : { redis: await guard() }
    await app.register(tenantRateLimit, {
      ...redis,
      ...(store === 'all-headers' ? {} : { headers: ['x-ratelimit'] }),
      policies: { quotes: policy },
      leases: store === 'lease',
    })
    app.get('/quote', { config: { tenantRateLimit: { policy: 'quotes', by: client } } }, handler)
    break
  }
  case 'our-store': {
    const redis = store === 'memory' ? {} : { redis: await guard() }
    await app.register(tenantRateLimit, { ...redis, policies: {} })
    const ours = fastifyRateLimitStore({ limiter: app.tenantRateLimit.limiter })
    await app.register(rateLimit, {
      max,
      timeWindow: WINDOW_SECONDS * 1000,
      keyGenerator: client,
      store: ours,
    })
    app.get('/quote', handler)
    break
  }
  case 'fastify': {
    const redis = store === 'memory' ? {} : { redis: ioredis() }
    await app.register(rateLimit, {
      max,
      timeWindow: WINDOW_SECONDS * 1000,
      keyGenerator: client,
      ...redis,
    })
    app.get('/quote', handler)
    break
  }
  case 'flexible': {
    const plan = { points: max, duration: WINDOW_SECONDS }
    const flexible =
      store === 'memory'
        ? new RateLimiterMemory(plan)
        : new RateLimiterRedis({ ...plan, storeClient: ioredis(), inMemoryBlockOnConsumed: max })
    app.addHook('onRequest', (_request, reply, done) => {
      flexible.consume(client()).then(
        ({ remainingPoints, msBeforeNext }) => {
          tell(reply, remainingPoints, msBeforeNext)
          done()
        },
        (refused: unknown) => {
          if (refused instanceof RateLimiterRes) refuse(reply, refused.msBeforeNext)
          else done(refused as Error)
        },
      )
    })
    app.get('/quote', handler)
    break
  }
  case 'express': {
    const counts = new MemoryStore()
    counts.init({ windowMs: WINDOW_SECONDS * 1000 } as Parameters<MemoryStore['init']>[0])
    app.addHook('onRequest', (_request, reply, done) => {
      counts.increment(client()).then(({ totalHits, resetTime }) => {
        const leftMs = Number(resetTime) - Date.now()
        if (totalHits > max) {
          refuse(reply, leftMs)
        } else {
          tell(reply, max - totalHits, leftMs)
          done()
        }
      }, done)
    })
    app.get('/quote', handler)
    break
  }
  default:
    app.get('/quote', handler)
}
await listen(app)

function ioredis(): Redis {
  return new Redis(redisUrl() ?? '', { enableAutoPipelining: store === 'auto-pipelining' })
}

async function guard(): Promise<GuardedRedis> {
  const redis = new GuardedRedis({ url: redisUrl() ?? '' })
  if (!(await redis.ready(10_000))) throw new Error('no Redis')
  return redis
}

/** The headers that @fastify/rate-limit sends. */
function tell(reply: FastifyReply, remaining: number, resetMs: number): void {
  reply
    .header('x-ratelimit-limit', max)
    .header('x-ratelimit-remaining', remaining)
    .header('x-ratelimit-reset', Math.ceil(resetMs / 1000))
}

function refuse(reply: FastifyReply, resetMs: number): void {
  tell(reply, 0, resetMs)
  reply
    .header('retry-after', Math.ceil(resetMs / 1000))
    .code(429)
    .type('application/json; charset=utf-8')
    .send('{"statusCode":429,"error":"Too Many Requests"}')
}
