/**
 * A route with a little work behind a limit of 50 a second for each tenant: `flooded-route.ts <limiter>`.
 *
 * limiter: `ours`, `fastify` (@fastify/rate-limit, with ioredis), `path` (refuses the tenant that floods by its name: what
 * no limiter can undercut), `none`. The work takes 5 ms in one of 20 places, as a query of a pool of connections does:
 * whoever is let pass takes a place from the others. The tenant `acme` may ask as often as it likes, and is counted all
 * the same.
 */
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import rateLimit from '@fastify/rate-limit'
import { GuardedRedis } from '@holdfast/redis-guard'
import { tenantRateLimit } from '@holdfast/tenant-rate-limit'
import fastify, { type FastifyRequest } from 'fastify'
import { Redis } from 'ioredis'
import { redisUrl } from '../config.ts'
import { answerParent } from '../harness/parent.ts'
import type { FloodCounts } from '../harness/row.ts'
import { listen } from './listen.ts'

const MAX_PER_SECOND = 50
const AS_OFTEN_AS_IT_LIKES = 1_000_000
const PLACES = 20
const WORK_MS = 5
/** That of Fastify's own servers. */
const KEEP_ALIVE_MS = 72_000

const counted = { steady: 0, flood: 0 }
const app = fastify({
  serverFactory: (handle) =>
    createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
      if (request.url?.startsWith('/acme/') === true) counted.steady += 1
      else if (request.url !== '/ready') counted.flood += 1
      handle(request, response)
    }),
})

let free = PLACES
const waiting: (() => void)[] = []
const work = async () => {
  if (free > 0) free -= 1
  else await new Promise<void>((resolve) => waiting.push(resolve))
  await sleep(WORK_MS)
  const next = waiting.shift()
  if (next === undefined) free += 1
  else next()
  return { symbol: 'ACME', price_minor: 1234, currency: 'EUR' }
}
const tenant = (request: FastifyRequest) => (request.params as { tenant?: string }).tenant ?? ''

/** What was asked of Redis so far. */
let redisCalls = () => 0
app.get('/ready', async () => 'ready')
switch (process.argv[2]) {
  case 'ours': {
    const redis = new GuardedRedis({ url: redisUrl() ?? '' })
    if (!(await redis.ready(10_000))) throw new Error('no Redis')
    redisCalls = () => Object.values(redis.snapshot().calls).reduce((sum, calls) => sum + calls, 0)
    await app.register(tenantRateLimit, {
      redis,
      headers: ['x-ratelimit'],
      policies: { quotes: `${MAX_PER_SECOND}/s` },
      overrides: { acme: { quotes: `${AS_OFTEN_AS_IT_LIKES}/s` } },
      tenant,
    })
    app.get('/:tenant/quote', { config: { tenantRateLimit: 'quotes' } }, work)
    break
  }
  case 'fastify': {
    const redis = new Redis(redisUrl() ?? '')
    let sent = 0
    const send = redis.sendCommand.bind(redis)
    redis.sendCommand = (command, stream) => {
      sent += 1
      return send(command, stream)
    }
    redisCalls = () => sent
    await app.register(rateLimit, {
      max: (_request, key) => (key === 'acme' ? AS_OFTEN_AS_IT_LIKES : MAX_PER_SECOND),
      timeWindow: 1000,
      keyGenerator: tenant,
      redis,
      global: false,
    })
    app.get('/:tenant/quote', { config: { rateLimit: {} } }, work)
    break
  }
  case 'path':
    app.get('/acme/quote', work)
    app.get('/globex/quote', (_request, reply) => {
      reply.code(429).type('application/json; charset=utf-8').send('{"error":"Too Many Requests"}')
    })
    break
  default:
    app.get('/:tenant/quote', work)
}
answerParent({ report: (): FloodCounts => ({ ...counted, redisCalls: redisCalls() }) })
await listen(app)
