/**
 * A route that answers who is signed in with a small JSON document, in a service with everything around it:
 * `stack-route.ts <stack>`.
 *
 * stack: `ours`, `peers` (@fastify/helmet, fastify-metrics with its histogram alone, pino's two lines, @fastify/session
 * and @fastify/rate-limit in Redis, opossum, maintenance as a flag in memory), `peers-read-only` (the same with sessions
 * that are only read: users who are active are then signed out), or `bare`. A thousand users ask in turn; which of them
 * a request is of is decided here, before any library looks. Everybody's lines go to a file.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import cookie from '@fastify/cookie'
import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import session from '@fastify/session'
import { securedResponse } from '@holdfast/api/secured-response'
import { STRICT_POLICY, securityHeaders } from '@holdfast/api/security-headers'
import { circuitBreaker } from '@holdfast/circuit-breaker'
import { identifiedResponse, Logs, logging, serverOptions } from '@holdfast/logging'
import { maintenance } from '@holdfast/maintenance'
import { metrics } from '@holdfast/metrics'
import { GuardedRedis } from '@holdfast/redis-guard'
import { redisSession, sessionFields } from '@holdfast/redis-session'
import { tenantRateLimit } from '@holdfast/tenant-rate-limit'
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import fastifyMetrics from 'fastify-metrics'
import { Redis } from 'ioredis'
import CircuitBreaker from 'opossum'
import { pino } from 'pino'
import { redisUrl } from '../config.ts'
import { benchDirectory } from '../harness/child.ts'
import { answerParent } from '../harness/parent.ts'
import { listen } from './listen.ts'
import { plainSessions } from './plain-sessions.ts'

const stack = process.argv[2] ?? 'bare'
const directory = join(benchDirectory, '.data', 'stack-log')
const nobody = { write() {} }

const USERS = 1000
const SECRET = 'a secret of the bench, of no use to anybody'
const DAY_SECONDS = 86_400
const WINDOW_SECONDS = 3600
/** Nobody reaches it. */
const MAX = 100_000_000
const TIMEOUT_MS = 1000
const FLAG_MS = 1000
const MAX_TRIES = 50
const TRY_AGAIN_MS = 200

interface Login {
  readonly Params: { readonly user: string }
}

const cookies: string[] = []
let requests = 0

const app = await serverOf()
if (stack !== 'bare') await signIn()
answerParent({ report: () => ({}) })
await listen(app)

async function serverOf(): Promise<FastifyInstance> {
  if (stack === 'ours') return ours()
  if (stack.startsWith('peers')) return peers()
  const server = fastify()
  server.get('/ready', async () => 'ready')
  server.get('/me', async () => profileOf('user-1'))
  return server
}

function profileOf(user: string) {
  return { user, tenant: 'acme', role: 'user', balance_minor: 123_456, currency: 'EUR', open_bets: 3 }
}

/** Each request is of the next user. */
function takeTurns(server: FastifyInstance): void {
  server.addHook('onRequest', (request, _reply, done) => {
    if (cookies.length > 0) {
      requests += 1
      request.raw.headers.cookie = cookies[requests % cookies.length]
    }
    done()
  })
}

async function signIn(): Promise<void> {
  const found: string[] = []
  for (let user = 0; user < USERS; user += 1) found.push(await cookiesOf(`user-${user}`))
  cookies.push(...found)
}

/** All cookies of somebody who has just signed in, as a browser sends them. */
async function cookiesOf(user: string): Promise<string> {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const { cookies: made, body } = await app.inject(`/login/${user}`)
    if (made.length === 0) throw new Error(`nobody was signed in: ${body}`)
    // Ours signs people in while Redis is too slow, too, for later: every request of theirs would try to make up for it.
    if (!made.some(({ value }) => value.startsWith('p1.')))
      return made.map(({ name, value }) => `${name}=${value}`).join('; ')
    await sleep(TRY_AGAIN_MS)
  }
  throw new Error(`Redis was too slow to sign ${user} in`)
}

/** As apps/api puts it together. */
async function ours(): Promise<FastifyInstance> {
  const headers = await securityHeaders({ contentSecurityPolicy: STRICT_POLICY, xssProtection: '0' })
  // With the one field of apps/api.
  const { fields, of } = sessionFields({ since: (value) => (typeof value === 'number' ? value : undefined) })
  const user = (request: FastifyRequest) => of(request).user?.userId
  const logs = new Logs<FastifyRequest>({
    destination: nobody,
    files: { directory },
    tenant: () => 'acme',
    user,
  })
  const options = serverOptions(logs)
  const secured = securedResponse(headers, (request) => logs.idHeadersOf(request))
  const server = fastify({ ...options, http: { ServerResponse: identifiedResponse(logs, secured) } })
  takeTurns(server)
  const redis = new GuardedRedis({ url: redisUrl() ?? '' })
  if (!(await redis.ready(10_000))) throw new Error('no Redis')
  await server.register(logging, { logs })
  await server.register(metrics)
  await server.register(circuitBreaker)
  await server.register(maintenance, { redis, tenant: () => 'acme', roles: () => ['user'] })
  await server.register(tenantRateLimit, {
    redis,
    policies: { profile: `${MAX} per ${WINDOW_SECONDS}s` },
    headers: ['x-ratelimit'],
    tenant: () => 'acme',
    user,
  })
  await server.register(redisSession, { redis, secrets: [SECRET], fields, cookie: { secure: false } })
  server.get('/ready', async () => 'ready')
  server.get<Login>('/login/:user', async (request) => {
    of(request).set('since', Date.now())
    await of(request).login({ userId: request.params.user, roles: ['user'] }, { keep: ['since'] })
  })
  const config = {
    redisSession: 'required',
    tenantRateLimit: { policy: 'profile', by: 'user' },
    circuitBreaker: { timeoutMs: TIMEOUT_MS },
  } as const
  server.get('/me', { config }, async (request) => profileOf(user(request) ?? ''))
  return server
}

/** As their documentation has it, and as cheap as it may be where there is a choice. */
async function peers(): Promise<FastifyInstance> {
  mkdirSync(directory, { recursive: true })
  const stream = pino.destination({ dest: join(directory, 'peers.log'), append: false, sync: false })
  const server = fastify({ logger: { level: 'info', stream } })
  takeTurns(server)
  const redis = new Redis(redisUrl() ?? '')
  const kept = (request: FastifyRequest) => request.session as unknown as { userId?: string }
  await server.register(helmet)
  // A module of CommonJS, whose types say that it is one of the other kind.
  await server.register(fastifyMetrics.default as never, {
    endpoint: '/metrics',
    routeMetrics: { enabled: { histogram: true, summary: false } },
  })
  let closed = (await redis.get('maintenance')) === '1'
  setInterval(async () => {
    closed = (await redis.get('maintenance')) === '1'
  }, FLAG_MS).unref()
  server.addHook('onRequest', (_request, reply, done) => {
    if (closed) reply.code(503).send({ error: 'Maintenance' })
    else done()
  })
  await server.register(cookie)
  await server.register(session, {
    secret: SECRET,
    cookie: { secure: false, maxAge: DAY_SECONDS * 1000 },
    store: plainSessions(redis, DAY_SECONDS),
    ...(stack === 'peers-read-only' ? { rolling: false, saveUninitialized: false } : {}),
  })
  // It refuses by Redis whoever it has let pass before; who asks is known after the session.
  await server.register(rateLimit, {
    global: false,
    hook: 'preHandler',
    max: MAX,
    timeWindow: WINDOW_SECONDS * 1000,
    keyGenerator: (request) => kept(request).userId ?? request.ip,
    redis,
  })
  const breaker = new CircuitBreaker(async (user: string) => profileOf(user), { timeout: TIMEOUT_MS })
  server.get('/ready', async () => 'ready')
  server.get<Login>('/login/:user', async (request) => {
    kept(request).userId = request.params.user
  })
  server.get('/me', { config: { rateLimit: {} } }, async (request, reply) => {
    const { userId } = kept(request)
    return userId === undefined ? reply.code(401).send() : breaker.fire(userId)
  })
  return server
}
