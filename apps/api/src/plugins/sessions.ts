// Sessions of browsers: those of @holdfast/redis-session, as this service needs them.

import { systemClock, withRetryAfter } from '@holdfast/footing'
import { redisSession, TableLog, type TableQuery } from '@holdfast/redis-session'
import type { FastifyInstance } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import type { Registry } from 'prom-client'
import { ApiUserUnavailableError } from '../errors.ts'
import type { SignInCutoffs } from '../routes/auth/sign-in-cutoffs.ts'
import type { Secret } from '../secret.ts'
import { tellSessionEvents } from './session-events.ts'
import type { SessionPort } from './session-port.ts'

const RETRY_MS = 1000
const HOUR_MS = 3_600_000
const OUTAGE_MS = 900_000
/** `undefined_table` of PostgreSQL. */
const NO_TABLE = '42P01'
/** In the session: from when on it counts, by the clock of the database. */
const SINCE = 'since'
/** What a session holds: that these are all lets many be read by one command. */
const FIELDS = { [SINCE]: (value: unknown) => (typeof value === 'number' ? value : undefined) }
/** What was confirmed may have been over for so long, because nobody had read of it yet. */
const UNREAD_MS = 10_000

/** How sessions are kept. */
export interface SessionsOptions {
  readonly secrets: readonly [Secret, ...Secret[]]
  /** Whether their cookie goes over HTTPS alone. */
  readonly secure: boolean
  /** Whether there is a Redis; else they are kept in the memory of this process. */
  readonly shared: boolean
  /** Asks the database, where ends of sessions are noted that Redis cannot be told. */
  readonly query: TableQuery
  readonly registry?: Registry
}

/**
 * `request.session` and `app.redisSession`: one hour, or 24 when they are to be remembered. While Redis is away, whoever
 * brings what it has confirmed within the last 15 minutes stays signed in, as a user without further rights, and so is
 * whoever signs in then.
 */
export const sessions = fastifyPlugin<SessionsOptions>(
  async (app, { secrets, secure, shared, query, registry }) => {
    await app.register(redisSession, {
      secrets: secrets.map((secret) => secret.reveal()),
      fields: FIELDS,
      cookie: { secure },
      profiles: { default: HOUR_MS, permanent: 24 * HOUR_MS },
      onRedisDown: 'sealed-cookie',
      outageMs: OUTAGE_MS,
      outageRoles: ['user'],
      outageFields: [SINCE],
      ...(shared && { redis: app.redisGuard, revocationLog: new TableLog(emptyBeforeMigrations(query)) }),
      ...(registry !== undefined && { registry }),
    })
    app.health.addReport('check', 'sessions', () => app.redisSession.snapshot())
    app.addHook('onClose', tellSessionEvents(app.logging.event, systemClock))
  },
  { fastify: '5.x', name: '@holdfast/api/sessions', dependencies: ['@holdfast/health', '@holdfast/logging'] },
)

/** The very first start looks for ends before the migrations have made their table: then none was ever noted. */
function emptyBeforeMigrations(query: TableQuery): TableQuery {
  return async (text, values) => {
    try {
      return await query(text, values)
    } catch (error) {
      const isLook = text.startsWith('select') && (Object(error) as { code?: unknown }).code === NO_TABLE
      if (isLook) return { rows: [] }
      throw error
    }
  }
}

/** What the service does with them. */
export function sessionPort(
  { redisSession: kept }: Pick<FastifyInstance, 'redisSession'>,
  cutoffs: Pick<SignInCutoffs, 'isOver'>,
): SessionPort {
  return {
    get available() {
      return kept.available
    },
    async find({ session }) {
      await session.load()
      if (session.unavailable) throw withRetryAfter(new ApiUserUnavailableError(), RETRY_MS)
      const { id, user, degraded: believed, authenticatedAt, confirmedAt } = session
      const { userId, tenantId, roles } = user ?? {}
      // In an outage nobody knows when the password was given; it was before the session was confirmed.
      const provenAt = authenticatedAt ?? confirmedAt
      if (!(id && userId && tenantId && roles && provenAt)) return undefined
      const noted = await session.get(SINCE)
      const isExact = typeof noted === 'number'
      const sinceMs = isExact ? noted : provenAt.getTime()
      const holder = { userId, tenantId }
      if (cutoffs.isOver(holder, sinceMs)) {
        // It is over in any case; whoever keeps it has not heard of that.
        await session.logout().catch(() => undefined)
        return undefined
      }
      // It may have been over when it was confirmed, or not.
      if (!isExact && cutoffs.isOver(holder, sinceMs - UNREAD_MS)) {
        throw withRetryAfter(new ApiUserUnavailableError(), RETRY_MS)
      }
      return { id, userId, tenantId, roles, authenticatedAtMs: authenticatedAt?.getTime() ?? 0, believed }
    },
    async login({ session }, principal, { permanent, sinceMs }) {
      session.set(SINCE, sinceMs)
      await session.login({ ...principal, methods: ['pwd'] }, { permanent, keep: [SINCE] })
    },
    async elevate({ session }, sinceMs) {
      session.set(SINCE, sinceMs)
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
    // What Redis will be told later has ended all the same.
    revoke: async (userId, id) => (await kept.revoke(userId, id)) !== false,
    async revokeAll(userId, exceptId) {
      await kept.revokeAll(userId, exceptId === undefined ? {} : { except: exceptId })
    },
  }
}
