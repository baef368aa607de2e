import { type MetricsRegistry, withRetryAfter } from '@holdfast/footing'
import type {
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  HookHandlerDoneFunction,
  RouteOptions,
} from 'fastify'
import fp from 'fastify-plugin'
import type { Device } from './device.ts'
import {
  AlreadyRegisteredError,
  OffError,
  StaleAuthenticationError,
  UnauthenticatedError,
  UnavailableError,
} from './errors.ts'
import { type CookieOptions, checks, resolveCookie, type SessionsOptions } from './options.ts'
import type { SecondCookie } from './outage.ts'
import { Session } from './session.ts'
import { type CookieForm, clearCookie, duplicate, findCookie, isPublic, setCookie } from './session-cookie.ts'
import type { DataOf, FieldReaders } from './session-data.ts'
import type { CookieChange, SessionSource } from './session-state.ts'
import { Sessions } from './sessions.ts'
import type { UserSessions } from './user-sessions.ts'

/** Options of the plugin: those of the sessions, and its own. */
export interface RedisSessionOptions extends SessionsOptions {
  /** The cookie. Default: `__Host-Http-sid`, secure, `SameSite=Lax`. */
  readonly cookie?: CookieOptions
  /** A prom-client `Registry` for the metrics. Default: none; prom-client is not loaded. */
  readonly registry?: MetricsRegistry
  /**
   * The label `app` of the metrics. Needed when applications of one process share a registry: all but one of them must
   * have it. Default: no such label.
   */
  readonly appName?: string
}

/**
 * `lazy`: read when somebody asks. `optional`: read before the handler, when there is an id. `required`: as well, and
 * refused with 401 when nobody is signed in, and with 503 when Redis cannot say.
 */
export type SessionMode = 'lazy' | 'optional' | 'required'

/** Per-route setting `config.redisSession`. */
export interface RedisSessionRouteOptions {
  /** Default `'lazy'`, or `'required'` with `fresh`. */
  readonly mode?: SessionMode
  /** Whether this route believes who is signed in while Redis is away. Default true, and false with `fresh`. */
  readonly believe?: boolean
  /** Refuses with 401 when the user did not prove who he is within `freshAuthMs`. Default false. */
  readonly fresh?: boolean
}

/** What `app.redisSession` is. */
export interface RedisSession
  extends Pick<Sessions, 'available' | 'statistics'>,
    Pick<UserSessions, 'list' | 'revoke' | 'revokeAll'> {
  /**
   * Writes what was changed and puts the cookie on the raw answer: for a reply that is about to be hijacked, which no
   * hook sees.
   */
  commit(request: FastifyRequest, reply: FastifyReply): Promise<void>
  snapshot(): RedisSessionSnapshot
}

/** The numbers of this process, as plain data. */
export interface RedisSessionSnapshot {
  readonly available: boolean
  /** Whether this process finds Redis not usable. */
  readonly outage: boolean
  /** Ends of sessions of which Redis could not be told yet. */
  readonly untold: number
  readonly counts: Readonly<Sessions['counts']>
}

declare module 'fastify' {
  interface FastifyInstance {
    redisSession: RedisSession
  }
  interface FastifyRequest {
    /** The session of this request. Raises `HOLDFAST_ERR_REDIS_SESSION_OFF` where `config.redisSession` is false. */
    readonly session: Session
  }
  interface FastifyContextConfig {
    redisSession?: SessionMode | RedisSessionRouteOptions | false
  }
}

/** Fields with their readers, and the session of a request with the types of their values. */
export function sessionFields<const Readers extends FieldReaders>(
  readers: Readers,
): {
  /** For the option `fields`. */
  readonly fields: Readers
  readonly of: (request: FastifyRequest) => Session<DataOf<Readers>>
} {
  return { fields: readers, of: (request) => request.session as unknown as Session<DataOf<Readers>> }
}

const RETRY_AFTER_MS = 1000
const HEALTH_EVERY_MS = 1000
const kSession = Symbol('holdfast.redis-session')
/** In the config of routes that read their session by themselves. */
const kRead = Symbol('holdfast.redis-session.read')
/** What Fastify prints when there is no route. */
const NO_ROUTES = '(empty tree)'
const { control } = Session

/** A request of a scope that was made before this plugin has no such member; false when it was answered without. */
interface WithSession {
  [kSession]?: Session | null | false
}

/** What this plugin uses of `app.health`, without needing `@holdfast/health`. */
interface HealthChecks {
  addCheck(
    name: string,
    options: {
      readonly check: () => Promise<object>
      readonly severity: 'degrading'
      readonly intervalMs: number
    },
  ): unknown
}

async function plugin(app: FastifyInstance, options: RedisSessionOptions): Promise<void> {
  if (app.hasDecorator('redisSession')) throw new AlreadyRegisteredError()
  const { cookie, registry, appName, ...sessionsOptions } = options
  checks.having('registry', registry, ['registerMetric', 'getSingleMetric'])
  if (appName !== undefined) checks.text('appName', appName, 63)
  const first = resolveCookie(cookie)
  const forms: CookieForms = { first, second: { ...first, name: `${first.name}f` } }
  const sessions = new Sessions(sessionsOptions)
  const snapshot = () => ({
    available: sessions.available,
    outage: sessions.outage.isOn,
    untold: sessions.outage.untold,
    counts: { ...sessions.counts },
  })
  app.addHook('onClose', async () => sessions.close())

  app.decorateRequest(kSession, null)
  app.decorateRequest('session', {
    getter() {
      const known = (this as unknown as WithSession)[kSession]
      if (known) return known
      if (this.routeOptions.config.redisSession === false) throw new OffError()
      return sessionOf(this, sessions, forms)
    },
  })
  app.decorate('redisSession', {
    get available() {
      return sessions.available
    },
    list: (userId) => sessions.ofUsers.list(userId),
    revoke: (userId, id) => sessions.ofUsers.revoke(userId, id),
    revokeAll: (userId, which) => sessions.ofUsers.revokeAll(userId, which),
    statistics: () => sessions.statistics(),
    async commit(request, reply) {
      await control.underWay(request.session)
      await request.session.commit()
      signRaw(reply, cookiesOf(request.session, forms), sessions)
    },
    snapshot,
  } satisfies RedisSession)

  app.addHook('onRoute', (route) => readBefore(route, sessions, forms))
  // Without an await before it, `register()` runs when the routes that follow it are there already: no hook saw them.
  if (app.printRoutes() !== NO_ROUTES) {
    app.addHook('onRequest', (request, reply, done) => {
      const { method, url = request.url, config } = request.routeOptions
      if (config?.redisSession === undefined || kRead in config) {
        done()
        return
      }
      const setting = resolveRoute({ method, url, config })
      if (setting.mode === 'lazy') done()
      else readFor(setting, sessions, forms)(request, reply, done)
    })
  }
  const settle = (session: Session, reply: FastifyReply, done: (error?: Error) => void) => {
    if (reply.statusCode >= 500) control.drop(session)
    if (!control.isChanged(session)) {
      sign(reply, session, forms, sessions)
      done()
      return
    }
    control.flush(session).then(() => {
      sign(reply, session, forms, sessions)
      done()
    }, done)
  }
  app.addHook('onSend', (request, reply, _payload, done) => {
    const session = (request as unknown as WithSession)[kSession]
    if (!session) {
      ;(request as unknown as WithSession)[kSession] = false
      done()
      return
    }
    const changes = control.underWay(session)
    if (changes === undefined) settle(session, reply, done)
    // Nobody waited for it, and it may say which cookie the answer has, or that there can be none.
    else changes.then(() => settle(session, reply, done), done)
  })
  if (registry !== undefined) {
    // Loaded only here: prom-client is an optional peer.
    const { sharedMetrics } = await import('./metrics.ts')
    app.addHook('onClose', sharedMetrics.share(registry, appName, snapshot))
  }
  if (app.hasDecorator('health')) {
    const { onRedisDown } = sessions.options
    const check = async () => healthOf(snapshot(), await sessions.statistics(), onRedisDown)
    const health = app.getDecorator<HealthChecks>('health')
    health.addCheck('sessions', { check, severity: 'degrading', intervalMs: HEALTH_EVERY_MS })
  }
  await sessions.ready()
}

/** Users stay signed in while Redis is away: less than usual, but nothing to take the process out of service for. */
function healthOf(
  snapshot: RedisSessionSnapshot,
  statistics: object | undefined,
  onRedisDown: SessionsOptions['onRedisDown'],
): object {
  const data = { ...snapshot, statistics }
  if (snapshot.available) return { status: 'healthy', data }
  const what =
    onRedisDown === 'deny' ? 'nobody can say who is signed in' : 'who is signed in is believed for a while'
  return { status: 'degraded', reason: `Redis is away: ${what}`, data }
}

function sessionOf(request: FastifyRequest, sessions: Sessions, forms: CookieForms): Session {
  const holder = request as unknown as WithSession
  const known = holder[kSession]
  if (known) return known
  const source = new RequestSource(request, forms)
  if (source.hasTwo) sessions.odd('duplicate-cookie')
  const session = control.open(sessions, source)
  // Of the answer that has gone nothing can follow any more.
  if (known === false) control.seal(session)
  holder[kSession] = session
  return session
}

/** What a request brings along; what is seldom asked for is found when it is. */
class RequestSource implements SessionSource {
  readonly cookie: string | undefined
  readonly isAnonymous: boolean
  /** Two cookies of our name: somebody has put one of them there, and nobody can say which. */
  readonly hasTwo: boolean
  readonly #request: FastifyRequest
  readonly #forms: CookieForms
  #second: SecondCookie | undefined

  constructor(request: FastifyRequest, forms: CookieForms) {
    const found = findCookie(request.raw.headers.cookie, forms.first.name)
    this.#request = request
    this.#forms = forms
    this.hasTwo = found === duplicate
    this.cookie = found === duplicate ? undefined : found
    this.isAnonymous = this.cookie === undefined && isRead(request.routeOptions.config.redisSession)
  }

  get second(): SecondCookie {
    if (this.#second !== undefined) return this.#second
    const { name } = this.#forms.second
    const value = findCookie(this.#request.raw.headers.cookie, name)
    this.#second = { name, value: value === duplicate ? undefined : value }
    return this.#second
  }

  /** Whether this route believes who is signed in without Redis. */
  get believes(): boolean {
    const setting = this.#request.routeOptions.config.redisSession
    if (typeof setting !== 'object') return true
    return setting.believe ?? setting.fresh !== true
  }

  get device(): Device {
    return { agent: this.#request.raw.headers['user-agent'], address: this.#request.ip }
  }
}

/** Of the id, and of what is believed while Redis is away. */
interface CookieForms {
  readonly first: CookieForm
  readonly second: CookieForm
}

/** Whether a route has its session read before its handler. */
function isRead(setting: SessionMode | RedisSessionRouteOptions | false | undefined): boolean {
  if (typeof setting !== 'object') return setting === 'optional' || setting === 'required'
  return setting.fresh === true || setting.mode === 'optional' || setting.mode === 'required'
}

/** Routes that need their session have it before anything of their own runs. */
function readBefore(route: RouteOptions, sessions: Sessions, forms: CookieForms): void {
  const setting = resolveRoute(route)
  if (route.config?.redisSession === undefined) return
  // A copy: routes may share their config, also with one that was there before this plugin.
  route.config = Object.assign({}, route.config, { [kRead]: true })
  if (setting.mode === 'lazy') return
  route.onRequest = [readFor(setting, sessions, forms), ...[route.onRequest ?? []].flat()]
}

type ReadingHook = (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction) => void

function readFor({ mode, fresh }: RouteSetting, sessions: Sessions, forms: CookieForms): ReadingHook {
  return (request, reply, done) => {
    // Who brings no cookie at all is nobody, and nothing has to be read.
    if (mode === 'optional' && request.raw.headers.cookie === undefined) {
      done()
      return
    }
    const session = sessionOf(request, sessions, forms)
    session.load().then(() => {
      const refusal = mode === 'required' ? refusalOf(session, fresh) : undefined
      if (refusal !== undefined && 'retryAfterSeconds' in refusal) {
        reply.header('retry-after', String(refusal.retryAfterSeconds))
      }
      done(refusal)
    }, done)
  }
}

function refusalOf(session: Session, fresh: boolean): Error | undefined {
  if (session.user === undefined) return session.unavailable ? unavailable() : new UnauthenticatedError()
  return fresh && !session.isFresh ? new StaleAuthenticationError() : undefined
}

function unavailable(): Error {
  return withRetryAfter(new UnavailableError('nobody can say who is signed in'), RETRY_AFTER_MS)
}

interface RouteSetting {
  readonly mode: SessionMode
  readonly fresh: boolean
}

function resolveRoute(route: Pick<RouteOptions, 'config'> & { method?: unknown; url: string }): RouteSetting {
  const setting = route.config?.redisSession
  if (setting === undefined || setting === false) return { mode: 'lazy', fresh: false }
  const name = `config.redisSession of ${route.method} ${route.url}`
  const modes = ['lazy', 'optional', 'required'] as const
  if (typeof setting === 'string') return { mode: checks.oneOf(name, setting, modes), fresh: false }
  const given = checks.object(name, setting)
  checks.onlyKnown(`${name}: `, given, ['mode', 'fresh', 'believe'])
  if (given.believe !== undefined) checks.flag(`${name}: believe`, given.believe)
  const fresh = checks.flag(`${name}: fresh`, given.fresh ?? false)
  const mode = checks.oneOf(`${name}: mode`, given.mode ?? (fresh ? 'required' : 'lazy'), modes)
  if (fresh && mode !== 'required') checks.refuse(`${name}: mode`, "'required' with fresh", mode)
  return { mode, fresh }
}

/** Puts on the answer what the session adds to it. */
function sign(reply: FastifyReply, session: Session, forms: CookieForms, sessions: Sessions): void {
  const cookies = cookiesOf(session, forms)
  if (!control.wasUsed(session)) return
  const cacheControl = reply.getHeader('cache-control')
  if (isPublic(cacheControl)) {
    // A cache in between would hand the cookie of one user to all others.
    if (cookies.length > 0) sessions.odd('cookie-on-public')
    return
  }
  for (const cookie of cookies) reply.header('set-cookie', cookie)
  if (cacheControl === undefined || cookies.length > 0) reply.header('cache-control', 'private, no-store')
  const vary = reply.getHeader('vary')
  if (vary === undefined) reply.header('vary', 'Cookie')
  else if (!/(^|[\s,])(cookie|\*)($|[\s,])/i.test(String(vary))) reply.header('vary', `${vary}, Cookie`)
}

/** As well, on an answer of which Fastify knows no more. */
function signRaw({ raw }: FastifyReply, cookies: readonly string[], sessions: Sessions): void {
  if (cookies.length === 0) return
  if (isPublic(raw.getHeader('cache-control'))) {
    sessions.odd('cookie-on-public')
    return
  }
  for (const cookie of cookies) raw.appendHeader('set-cookie', cookie)
  raw.setHeader('cache-control', 'private, no-store')
}

const none: readonly string[] = []

function cookiesOf(session: Session, forms: CookieForms): readonly string[] {
  const { session: first, shadow } = control.seal(session)
  if (first === undefined && shadow === undefined) return none
  return [...cookieOf(first, forms.first), ...cookieOf(shadow, forms.second)]
}

function cookieOf(change: CookieChange | undefined, form: CookieForm): readonly string[] {
  if (change === undefined) return []
  return [change.kind === 'clear' ? clearCookie(form) : setCookie(form, change.value, change.maxAgeMs)]
}

/** The Fastify plugin; decorates requests with `session` and the instance with `redisSession`. */
export const redisSession = fp(plugin, { fastify: '5.x', name: '@holdfast/redis-session' })

export default redisSession
