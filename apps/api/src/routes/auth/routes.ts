// The routes under /auth. Sign-in by a session of a browser, or by tokens that a client keeps: the same accounts, the
// same limits, and what ends one ends the other.

import { withRetryAfter } from '@holdfast/footing'
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify'
import { rolesUpTo } from '../../access-rule.ts'
import type { User } from '../../db/user.ts'
import {
  ApiClientLeftError,
  ApiMemberKindError,
  ApiSessionUnknownError,
  ApiSignInUnavailableError,
} from '../../errors.ts'
import { bearerOf, bringsToken, principalOf } from '../../plugins/identity.ts'
import type { SessionPort } from '../../plugins/session-port.ts'
import { reasonOf } from '../../reason.ts'
import { AUTH_SCHEMAS } from './auth-operations.ts'
import type { FormTokens } from './form-token.ts'
import type { RefreshRepository } from './refresh-repository.ts'
import type { Asking, SignIn, TokenPair } from './sign-in.ts'

const MAX_BODY_BYTES = 8192
const MAX_CLIENT_LENGTH = 200
/** What the database may take for one request in all. */
const BUDGET_MS = 3000
/** Of a request that waits in line with its password first: on a slow machine that alone takes longer. */
const PATIENT_BUDGET_MS = 15_000
const RETRY_MS = 1000
const FAMILY_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** What the routes need. */
export interface AuthOptions {
  readonly signIn: SignIn
  readonly refresh: RefreshRepository
  readonly sessions: SessionPort
  readonly forms: Pick<FormTokens, 'issue'>
}

interface LoginRoute {
  Body: { email: string; password: string; tenant: string; remember?: boolean; mode?: 'session' | 'token' }
}
interface RegisterRoute {
  Body: { email: string; password: string; tenant: string }
}
interface TokenRoute {
  Body: { token: string }
}
interface RefreshRoute {
  Body: { refresh_token: string }
}
interface LogoutRoute {
  Body: { refresh_token?: string } | null | undefined
}
interface PasswordRoute {
  Body: { password: string; new_password: string }
}
interface ForgotRoute {
  Body: { email: string; tenant: string }
}
interface ResetRoute {
  Body: { token: string; new_password: string }
}
interface SessionRoute {
  Params: { id: string }
}

/** The routes. */
export const auth: FastifyPluginCallback<AuthOptions> = (app, options, done) => {
  const { signIn, refresh, sessions, forms } = options
  const shared = {
    bodyLimit: MAX_BODY_BYTES,
    preValidation: refuseOtherKinds,
  }
  const poolGuard = { criticality: 'critical', budgetMs: BUDGET_MS } as const
  const open = { access: 'public', poolGuard } as const
  const patient = { criticality: 'critical', budgetMs: PATIENT_BUDGET_MS } as const
  const hashing = { access: 'public', poolGuard: patient, hashes: true } as const
  const known = { access: 'user', poolGuard } as const

  const tell = (event: string, fields: object, level?: 'info') =>
    app.logging.event('SECURITY_EVENT', event, fields, level)

  /** At once, where that can be told; the database has noted it in any case, and every process reads that. */
  const endSessions = async ({ log }: FastifyRequest, userId: string, exceptId?: string): Promise<void> => {
    try {
      await sessions.revokeAll(userId, exceptId)
    } catch (error) {
      log.warn({ reason: reasonOf(error), user_id: userId }, 'sessions end a little later')
    }
  }

  /** The password is another one by now: when that cannot be noted in the session, its holder signs in with it. */
  const stay = async (request: FastifyRequest, sinceMs: number): Promise<string | undefined> => {
    try {
      await sessions.elevate(request, sinceMs)
      return (await sessions.find(request))?.id
    } catch (error) {
      request.log.warn({ reason: reasonOf(error) }, 'a session ends with its password')
      await sessions.logout(request).catch(() => undefined)
      return undefined
    }
  }

  app.addHook('onSend', (_request, reply, payload, next) => {
    reply.header('cache-control', 'no-store')
    next(null, payload)
  })

  app.post<RegisterRoute>(
    '/auth/register',
    { ...shared, config: hashing, schema: AUTH_SCHEMAS.register },
    async (request, reply) => {
      const { tenant, email, password } = request.body
      await signIn.register({ tenant, email: mailbox(email), password, ...asking(request, reply) })
      return accepted(reply)
    },
  )

  app.post<TokenRoute>(
    '/auth/verify',
    { ...shared, config: open, schema: AUTH_SCHEMAS.verify },
    async (request) => {
      const { id, tenant, email } = await signIn.verify(request.body.token, request.ip)
      return { user_id: id, tenant, email }
    },
  )

  app.post<LoginRoute>(
    '/auth/login',
    { ...shared, config: hashing, schema: AUTH_SCHEMAS.login },
    async (request, reply) => {
      const { tenant, email, password, remember = false, mode = 'session' } = request.body
      const user = await signIn.authenticate({
        tenant,
        email: mailbox(email),
        password,
        ...asking(request, reply),
      })
      const answer =
        mode === 'token'
          ? tokenAnswer(await signIn.startTokens(user, clientOf(request)))
          : { user_id: user.id, tenant, role: user.role }
      if (mode === 'session') {
        await sessions.login(request, sessionOf(user), { permanent: remember, sinceMs: user.since.atMs })
      }
      tell(
        'sign-in.accepted',
        { user_id: user.id, tenant, role: user.role, mode, address: request.ip },
        'info',
      )
      return answer
    },
  )

  app.post<RefreshRoute>(
    '/auth/refresh',
    { ...shared, config: open, schema: AUTH_SCHEMAS.refresh },
    async (request) => {
      return tokenAnswer(await signIn.refreshTokens(request.body.refresh_token))
    },
  )

  app.post<LogoutRoute>(
    '/auth/logout',
    { ...shared, config: { access: 'guarded', poolGuard }, schema: AUTH_SCHEMAS.logout },
    async (request, reply) => {
      const { body } = request
      // Also whoever is not signed in any more is signed out now, and whoever nobody can be asked about is not told so.
      const token = bearerOf(request)
      if (token !== undefined) await signIn.endToken(token)
      if (body?.refresh_token !== undefined) await signIn.endFamilyOf(body.refresh_token)
      if (!bringsToken(request)) await sessions.logout(request)
      const { principal } = request
      if (principal !== null) tell('sign-out', { user_id: principal.id }, 'info')
      return reply.code(204).send()
    },
  )

  app.get('/auth/me', { config: { access: 'user' }, schema: AUTH_SCHEMAS.me }, async (request) => {
    const { id, tenant, role, authenticatedAtMs, by, believed } = principalOf(request)
    const form = 'session' in by ? { csrf_token: forms.issue(by.session) } : {}
    // In an outage nobody knows.
    const authenticated_at = believed ? null : new Date(authenticatedAtMs).toISOString()
    return { user_id: id, tenant, role, authenticated_at, ...form }
  })

  app.get('/auth/sessions', { config: known, schema: AUTH_SCHEMAS.sessions }, async (request) => {
    const principal = principalOf(request)
    const [families, kept] = await Promise.all([refresh.families(principal.id), sessions.list(principal.id)])
    const items = [
      ...kept.map(({ id, client, createdAtMs, lastUsedAtMs, expiresAtMs }) => ({
        id,
        kind: 'session',
        client: client ?? null,
        created_at: new Date(createdAtMs).toISOString(),
        last_used_at: new Date(lastUsedAtMs).toISOString(),
        expires_at: new Date(expiresAtMs).toISOString(),
        current: 'session' in principal.by && principal.by.session === id,
      })),
      ...families.map(({ id, client, createdAt, lastUsedAt, expiresAt }) => ({
        id,
        kind: 'token',
        client: client ?? null,
        created_at: createdAt.toISOString(),
        last_used_at: lastUsedAt.toISOString(),
        expires_at: expiresAt.toISOString(),
        current: 'family' in principal.by && principal.by.family === id,
      })),
    ]
    return { items, next_cursor: null }
  })

  app.delete<SessionRoute>(
    '/auth/sessions/:id',
    { config: known, schema: AUTH_SCHEMAS.endSession },
    async (request, reply) => {
      const { id: userId } = principalOf(request)
      const { id } = request.params
      const ended =
        (FAMILY_ID.test(id) && (await signIn.endFamily(userId, id, 'revoked'))) ||
        (await sessions.revoke(userId, id))
      if (!ended) throw new ApiSessionUnknownError()
      tell('session.revoked', { user_id: userId }, 'info')
      return reply.code(204).send()
    },
  )

  app.post(
    '/auth/sessions/revoke-all',
    { ...shared, config: known, schema: AUTH_SCHEMAS.endSessions },
    async (request, reply) => {
      const { id, by } = principalOf(request)
      // Both, whatever becomes of either; what the database has noted ends sessions, too, within seconds.
      const [noted] = await Promise.allSettled([signIn.endAll(id), endSessions(request, id)])
      if (noted.status === 'rejected') throw noted.reason
      if ('session' in by) await sessions.logout(request)
      tell('sessions.revoked', { user_id: id })
      return reply.code(204).send()
    },
  )

  app.post<PasswordRoute>(
    '/auth/password',
    {
      ...shared,
      config: { access: 'user', poolGuard: patient, hashes: true },
      schema: AUTH_SCHEMAS.password,
    },
    async (request, reply) => {
      const { id, by } = principalOf(request)
      const { password, new_password: newPassword } = request.body
      // Whoever asks stays signed in, which cannot be noted without.
      if ('session' in by) refuseWithout(sessions)
      const exceptFamilyId = 'family' in by ? by.family : undefined
      const asked = { password, newPassword, exceptFamilyId, ...asking(request, reply) }
      const { atMs } = await signIn.changePassword(id, asked)
      await endSessions(request, id, 'session' in by ? await stay(request, atMs) : undefined)
      return reply.code(204).send()
    },
  )

  app.post<ForgotRoute>(
    '/auth/password/forgot',
    { ...shared, config: open, schema: AUTH_SCHEMAS.forgot },
    async (request, reply) => {
      const { tenant, email } = request.body
      await signIn.forgot({ tenant, email: mailbox(email) }, request.ip)
      return accepted(reply)
    },
  )

  app.post<ResetRoute>(
    '/auth/password/reset',
    { ...shared, config: hashing, schema: AUTH_SCHEMAS.reset },
    async (request, reply) => {
      const { token, new_password: newPassword } = request.body
      const { id } = await signIn.reset(token, newPassword, asking(request, reply))
      await endSessions(request, id)
      return reply.code(204).send()
    },
  )
  done()
}

/** The same to everybody: whether there is such an account is told to the mailbox alone. */
function accepted(reply: FastifyReply): FastifyReply {
  return reply.code(202).send({ message: 'If this address can be used, a mail is on its way to it.' })
}

function tokenAnswer({ accessToken, refreshToken, expiresInSeconds }: TokenPair) {
  return {
    token_type: 'Bearer',
    access_token: accessToken,
    refresh_token: refreshToken,
    expires_in: expiresInSeconds,
  }
}

/** With all that the role includes, of which an outage leaves the least. */
function sessionOf({ id, tenant, role }: User) {
  return { userId: id, tenantId: tenant, roles: rolesUpTo(role) }
}

/** Before a password is verified for what cannot be done. */
function refuseWithout({ available }: SessionPort): void {
  if (!available) throw withRetryAfter(new ApiSignInUnavailableError(), RETRY_MS)
}

/** Not `request.signal`: in Fastify 5.12 that one aborts as soon as the body has been read. */
function asking({ ip, log }: FastifyRequest, { raw }: FastifyReply): Asking {
  const left = new AbortController()
  raw.once('close', () => {
    if (!raw.writableEnded) left.abort(new ApiClientLeftError())
  })
  return { address: ip, signal: left.signal, log }
}

/** One mailbox is one account, however it is written. */
function mailbox(email: string): string {
  return email.normalize('NFC').toLowerCase()
}

/** What the client calls itself, without what does not belong into a list. */
function clientOf({ headers }: FastifyRequest): string | undefined {
  const name = headers['user-agent']?.replaceAll(/[\p{C}]/gu, '').trim()
  return name === undefined || name === '' ? undefined : name.slice(0, MAX_CLIENT_LENGTH)
}

/** The schema refuses it, too, and would not say how to mend it. */
function refuseOtherKinds(
  { body }: FastifyRequest,
  _reply: FastifyReply,
  done: (error?: Error) => void,
): void {
  const wrong = Object.entries(Object(body)).find(([name, value]) => typeof value !== kindOf(name))
  if (wrong === undefined) {
    done()
    return
  }
  const kind = kindOf(wrong[0]) === 'boolean' ? 'true or false' : 'text'
  done(new ApiMemberKindError(wrong[0].slice(0, 50), kind))
}

function kindOf(name: string): 'boolean' | 'string' {
  return name === 'remember' ? 'boolean' : 'string'
}
