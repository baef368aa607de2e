// Sessions of browsers: those of @holdfast/redis-session, as this service needs them.

import { withRetryAfter } from '@holdfast/footing'
import { redisSession } from '@holdfast/redis-session'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import type { Registry } from 'prom-client'
import { ApiUserUnavailableError } from '../errors.ts'
import type { Secret } from '../secret.ts'
import type { SessionPort, SignedInSession } from './session-port.ts'

const RETRY_MS = 1000
const HOUR_MS = 3_600_000

/** How sessions are kept. */
export interface SessionsOptions {
  readonly secrets: readonly [Secret, ...Secret[]]
  /** Whether their cookie goes over HTTPS alone. */
  readonly secure: boolean
  /** Whether there is a Redis; else they are kept in the memory of this process. */
  readonly shared: boolean
  readonly registry?: Registry
}

/** `request.session` and `app.redisSession`: one hour, or 24 when they are to be remembered. */
export const sessions = fastifyPlugin<SessionsOptions>(
  async (app, { secrets, secure, shared, registry }) => {
    await app.register(redisSession, {
      secrets: secrets.map((secret) => secret.reveal()),
      cookie: { secure },
      profiles: { default: HOUR_MS, permanent: 24 * HOUR_MS },
      ...(shared && { redis: app.redisGuard }),
      ...(registry !== undefined && { registry }),
    })
    app.health.addReport('check', 'sessions', () => app.redisSession.snapshot())
  },
  { fastify: '5.x', name: '@holdfast/api/sessions', dependencies: ['@holdfast/health'] },
)

/** What the service does with them. */
export function sessionPort({ redisSession: kept }: Pick<FastifyInstance, 'redisSession'>): SessionPort {
  return {
    find,
    async login({ session }, principal, { permanent }) {
      await session.login({ ...principal, methods: ['pwd'] }, { permanent })
    },
    async elevate({ session }) {
      await session.elevate({ methods: ['pwd'] })
    },
    async logout({ session }) {
      await session.logout()
    },
    async list(userId) {
      const listed = await kept.list(userId)
      return listed.map(({ id, createdAt, usedAt, endsAt, device }) => ({
        id,
        createdAtMs: createdAt.getTime(),
        lastUsedAtMs: usedAt.getTime(),
        expiresAtMs: endsAt.getTime(),
        client: device.agent,
      }))
    },
    revoke: (userId, id) => kept.revoke(userId, id),
    async revokeAll(userId, exceptId) {
      await kept.revokeAll(userId, exceptId === undefined ? {} : { except: exceptId })
    },
  }
}

async function find({ session }: FastifyRequest): Promise<SignedInSession | undefined> {
  await session.load()
  if (session.unavailable) throw withRetryAfter(new ApiUserUnavailableError(), RETRY_MS)
  const { id, user, authenticatedAt } = session
  if (id === undefined || user?.tenantId === undefined || authenticatedAt === undefined) return undefined
  const { userId, tenantId, roles } = user
  return { id, userId, tenantId, roles, authenticatedAtMs: authenticatedAt.getTime() }
}
