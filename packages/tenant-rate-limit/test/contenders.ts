/* One plan of limits, built with @fastify/rate-limit as it comes, with our store in it, and with our plugin. */
import rateLimit from '@fastify/rate-limit'
import { GuardedRedis } from '@holdfast/redis-guard'
import { HandClock } from '@holdfast/test-kit'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { Redis } from 'ioredis'
import { fastifyRateLimitStore, tenantRateLimit } from '../src/index.ts'

/** What is limited, and how. */
export interface Plan {
  readonly max: number
  readonly windowMs: number
  /** Each for itself, or together with those of one group. */
  readonly routes: readonly { readonly url: string; readonly group?: string }[]
  /** A second limit on all routes, of all clients together. */
  readonly ceiling?: number
  readonly exponentialBackoff?: boolean
  /** Default: in memory, by a clock that is moved by hand. */
  readonly redis?: { readonly url: string; readonly mayBeLost?: boolean }
}

/** Its routes answer 200; a client is who he says in the header `x-key`. */
export interface Limited {
  readonly app: FastifyInstance
  readonly clock: HandClock
  close(): Promise<void>
}

export interface Contender {
  readonly name: string
  start(plan: Plan): Promise<Limited>
}

/** So that a test can bring more clients than are kept one by one. @fastify/rate-limit keeps 5000 of each route. */
const FEW = 5000

export const peer: Contender = {
  name: '@fastify/rate-limit',
  async start(plan) {
    const { redis } = plan
    const client = redis === undefined ? undefined : new Redis(redis.url, peerConnection(redis))
    client?.on('error', () => {})
    if (client !== undefined && redis?.mayBeLost !== true) await client.ping()
    const app = Fastify()
    await app.register(rateLimit, {
      ...commonOptions(plan),
      ...(client === undefined ? {} : { redis: client }),
    })
    addRoutes(app, plan)
    return { app, clock: new HandClock(), close: () => closeAll(app, async () => client?.disconnect()) }
  },
}

export const ourStore: Contender = {
  name: 'our store in @fastify/rate-limit',
  async start(plan) {
    const clock = new HandClock()
    const guard = await guardFor(plan)
    const app = Fastify()
    await app.register(tenantRateLimit, {
      policies: {},
      maxKeys: FEW,
      ...(guard === undefined ? { clock } : { redis: guard }),
    })
    const store = fastifyRateLimitStore({ limiter: app.tenantRateLimit.limiter })
    await app.register(rateLimit, { ...commonOptions(plan), store })
    addRoutes(app, plan)
    return { app, clock, close: () => closeAll(app, async () => guard?.close()) }
  },
}

export const ourPlugin: Contender = {
  name: 'our plugin',
  async start(plan) {
    const clock = new HandClock()
    const guard = await guardFor(plan)
    const limit = `${plan.max} per ${plan.windowMs}ms`
    const app = Fastify()
    await app.register(tenantRateLimit, {
      policies: {
        all: limit,
        ...Object.fromEntries(plan.routes.map((_, at) => [`route-${at}`, limit])),
        ...(plan.ceiling === undefined ? {} : { ceiling: `${plan.ceiling} per ${plan.windowMs}ms` }),
      },
      groups: Object.fromEntries(
        plan.routes.flatMap(({ group }) => (group === undefined ? [] : [[group, limit]])),
      ),
      defaultRoute: { policy: 'all', by: keyOf },
      maxKeys: FEW,
      ...(guard === undefined ? { clock } : { redis: guard }),
    })
    for (const [at, { url, group }] of plan.routes.entries()) {
      const own = { policy: `route-${at}`, by: keyOf }
      const policy = plan.ceiling === undefined ? [own] : [own, { policy: 'ceiling', by: 'tenant' as const }]
      app.get(
        url,
        { config: { tenantRateLimit: group === undefined ? { policy } : { group } } },
        async () => 'ok',
      )
    }
    return { app, clock, close: () => closeAll(app, async () => guard?.close()) }
  },
}

function keyOf(request: FastifyRequest): string {
  return String(request.headers['x-key'] ?? 'somebody')
}

function commonOptions({ max, windowMs, exponentialBackoff = false }: Plan) {
  return { max, timeWindow: windowMs, exponentialBackoff, keyGenerator: keyOf, skipOnError: true }
}

/** Quick to try again, which is kind to it; and where its server is lost, quick to give up. */
function peerConnection({ mayBeLost = false }: NonNullable<Plan['redis']>) {
  return { retryStrategy: () => 5, ...(mayBeLost ? {} : { maxRetriesPerRequest: 0 }) }
}

async function guardFor({ redis }: Plan): Promise<GuardedRedis | undefined> {
  if (redis === undefined) return undefined
  // Generous: this is about what is answered, on a machine that may be busy.
  const guard = new GuardedRedis({ url: redis.url, budgetMs: 5000 })
  if (redis.mayBeLost !== true) await guard.ready(10_000)
  return guard
}

function addRoutes(app: FastifyInstance, { routes, ceiling }: Plan): void {
  for (const { url, group } of routes) {
    const config = { rateLimit: group === undefined ? {} : { groupId: group } }
    if (ceiling === undefined) {
      app.get(url, { config }, async () => 'ok')
    } else {
      const onRequest = app.rateLimit({ max: ceiling, keyGenerator: () => 'all' })
      app.get(url, { config, onRequest }, async () => 'ok')
    }
  }
}

async function closeAll(app: FastifyInstance, closeRedis: () => Promise<unknown>): Promise<void> {
  await app.close()
  await closeRedis()
}
