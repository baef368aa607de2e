// Who asks, and whether he may: `request.principal` and `config.access`, before anything that counts requests of users.
//
// A bearer token is verified here and its family asked about, at most every five seconds in each process; a session is
// asked for where sessions are kept. A request with a bearer token has no cookies, as far as this is concerned.

import { type Clock, withRetryAfter } from '@holdfast/footing'
import { runInScope } from '@holdfast/pool-guard'
import type { StaleCache } from '@holdfast/stale-cache'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { type Principal, refusal, roleOf } from '../access-rule.ts'
import type { User } from '../db/user.ts'
import { ApiCrossSiteError, ApiStaleSignInError, ApiUserUnavailableError } from '../errors.ts'
import type { AccessTokens } from '../routes/auth/access-token.ts'
import { type CrossSiteRules, type CrossSiteVerdict, judgeProvenance } from '../routes/auth/cross-site.ts'
import type { FormTokens } from '../routes/auth/form-token.ts'
import type { RefreshRepository } from '../routes/auth/refresh-repository.ts'
import type { SessionPort } from './session-port.ts'

/** Where a form's token stands. */
export const FORM_TOKEN_HEADER = 'x-csrf-token'

/** A user who is suspended, becomes another role, or is signed out elsewhere, is so for requests after this. */
const FRESH_MS = 5000
/** While the database is away, whoever was known stays known, as long as his token is good. */
const STALE_MS = 600_000
const UNKNOWN_MS = 5000
const BUDGET_MS = 1000
const RETRY_MS = 1000
const BEARER = /^Bearer +(\S{1,4096}) *$/i
const ANY_BEARER = /^Bearer\b/i
const UUID = /^[0-9a-f-]{36}$/

declare module 'fastify' {
  interface FastifyInstance {
    /** Notes that families of tokens have ended, so that it shows at once in this process. */
    endFamilies(familyIds: readonly string[]): void
  }
}

/** Where principals come from. */
export interface IdentityOptions {
  readonly tokens: Pick<AccessTokens, 'verify'>
  readonly refresh: Pick<RefreshRepository, 'standing'>
  readonly sessions: Pick<SessionPort, 'find'>
  readonly forms: Pick<FormTokens, 'isFor'>
  readonly crossSite: CrossSiteRules
  readonly clock: Pick<Clock, 'wallMs'>
}

/** Sets `request.principal`, and refuses whom `config.access` does not let in and what another site has sent. */
export const identity = fastifyPlugin<IdentityOptions>(
  async (app, { tokens, refresh, sessions, forms, crossSite, clock }) => {
    const families = rememberFamilies(app, refresh)
    app.decorate('endFamilies', (familyIds: readonly string[]) => {
      // Not invalidated: that would serve what was known while the database is away.
      for (const id of familyIds) families.set(id, { value: undefined })
    })

    async function bearer(token: string): Promise<Principal | null> {
      const claims = await tokens.verify(token)
      if (claims === undefined) return null
      const user = await find(claims.familyId, families)
      if (user === undefined || user.id !== claims.userId) return null
      const { id, tenant, role } = user
      return {
        id,
        tenant,
        role,
        authenticatedAtMs: claims.authenticatedAtMs,
        by: { family: claims.familyId },
        believed: false,
      }
    }

    async function session(request: FastifyRequest): Promise<Principal | null> {
      const found = await sessions.find(request)
      const role = roleOf(found?.roles.at(-1))
      if (found === undefined || role === undefined) return null
      const { id, userId, tenantId: tenant, authenticatedAtMs, believed } = found
      return { id: userId, tenant, role, authenticatedAtMs, by: { session: id }, believed }
    }

    async function admit(request: FastifyRequest): Promise<void> {
      const { access = 'admin' } = request.routeOptions.config
      const isBearer = bringsToken(request)
      const provenance: CrossSiteVerdict = isBearer
        ? { verdict: 'allow' }
        : judgeProvenance(provenanceOf(request), crossSite)
      if (provenance.verdict === 'refuse') throw new ApiCrossSiteError(provenance.why)
      if (access === 'public') return
      const token = bearerOf(request)
      const asking = isBearer ? (token === undefined ? null : bearer(token)) : session(request)
      // A route that decides by itself has other ways in.
      request.principal =
        access === 'guarded' ? await Promise.resolve(asking).catch(() => null) : await asking
      const { principal } = request
      const needsToken = provenance.verdict === 'token' && principal !== null && 'session' in principal.by
      if (needsToken && !forms.isFor(principal.by.session, request.headers[FORM_TOKEN_HEADER])) {
        throw new ApiCrossSiteError(
          `this needs ${FORM_TOKEN_HEADER}, or a browser that says where it comes from`,
        )
      }
      const { tenant } = Object(request.params) as { tenant?: string }
      const refused = refusal(access, principal, { tenant, nowMs: clock.wallMs() })
      if (refused !== undefined) throw refused
    }

    // Not a hook of the route: those of plugins that are registered before would come first.
    app.addHook('onRequest', (request, reply, done) => {
      // What is not there has no rule, and what everybody may see is not held up.
      if (request.is404 || (request.method === 'GET' && request.routeOptions.config.access === 'public')) {
        done()
        return
      }
      admit(request).then(
        () => done(),
        (error) => {
          challenge(error, reply)
          done(error)
        },
      )
    })
  },
  {
    fastify: '5.x',
    name: '@holdfast/api/identity',
    dependencies: ['@holdfast/stale-cache', '@holdfast/api/stated-access'],
  },
)

/** Whether a request comes with a token, good or not: then its cookies stand for nobody. */
export function bringsToken({ headers }: Pick<FastifyRequest, 'headers'>): boolean {
  return headers.authorization !== undefined && ANY_BEARER.test(headers.authorization)
}

/** The token that a request comes with; undefined where there is none, or what is there can be none. */
export function bearerOf({ headers }: Pick<FastifyRequest, 'headers'>): string | undefined {
  return BEARER.exec(headers.authorization ?? '')?.[1]
}

/** Whoever asks at a route that lets in nobody unknown: throws at another, which is a mistake of ours. */
export function principalOf({ principal }: Pick<FastifyRequest, 'principal'>): Principal {
  if (principal === null) throw new Error('the route has no config.access that asks who it is')
  return principal
}

type KnownFamilies = StaleCache<User | undefined, undefined>

function provenanceOf({ method, headers, host, protocol }: FastifyRequest) {
  const one = (value: string | string[] | undefined) => (typeof value === 'string' ? value : undefined)
  return {
    method,
    secFetchSite: one(headers['sec-fetch-site']),
    origin: headers.origin,
    referer: headers.referer,
    host,
    isHttps: protocol === 'https',
    hasCookies: headers.cookie !== undefined,
  }
}

/** RFC 6750, 3, and RFC 9470, 3: what a 401 asks for; nothing for other errors. */
export function challenge(error: unknown, reply: FastifyReply, realm = 'api'): void {
  if ((Object(error) as { statusCode?: unknown }).statusCode !== 401) return
  const why =
    error instanceof ApiStaleSignInError ? ', error="insufficient_user_authentication", max_age="900"' : ''
  reply.header('www-authenticate', `Bearer realm="${realm}"${why}`)
}

async function find(familyId: string, families: KnownFamilies): Promise<User | undefined> {
  try {
    return await families.get(familyId)
  } catch (error) {
    const { statusCode } = Object(error) as { statusCode?: unknown }
    // The cache has waited for long enough, or has just been refused.
    if (statusCode !== 503 && statusCode !== 504) throw error
    throw withRetryAfter(new ApiUserUnavailableError({ cause: error }), RETRY_MS)
  }
}

function rememberFamilies(app: FastifyInstance, refresh: IdentityOptions['refresh']): KnownFamilies {
  return app.staleCache.create<User | undefined>('token-families', {
    load: async (familyIds) => {
      // What cannot be done without knowing who asks is as important as the most important of it.
      const found = await runInScope({ criticality: 'critical', route: 'token families' }, () =>
        refresh.standing(familyIds),
      )
      return found.map(({ familyId, user }) => ({ key: familyId, value: user }))
    },
    fallback: () => undefined,
    represent: false,
    isKey: (key) => UUID.test(key),
    maxKeyLength: 36,
    freshMs: FRESH_MS,
    staleMs: STALE_MS,
    negativeMs: UNKNOWN_MS,
    // What is out of date stands in only where nothing newer is to be had.
    softTimeoutMs: BUDGET_MS,
    hardTimeoutMs: BUDGET_MS,
  })
}
