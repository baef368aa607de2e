import { Authorisation, type Clock, isProbe, RefusalPages } from '@holdfast/footing'
import type {
  FastifyInstance,
  FastifyPluginAsync,
  FastifyReply,
  FastifyRequest,
  HookHandlerDoneFunction,
  RouteOptions,
} from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { AlreadyRegisteredError, ForbiddenError, UnauthenticatedError } from './errors.ts'
import { Maintenance } from './maintenance.ts'
import { MemoryStore } from './memory-store.ts'
import { type Around, type Asked, MAX_BODY_BYTES, operatorRoutes } from './operator-routes.ts'
import {
  checkRoute,
  type MaintenanceOptions,
  type MaintenanceRouteOptions,
  type ResolvedAdmin,
  resolveOptions,
} from './options.ts'
import { type ActiveRule, beginsWith, isWrite, type RouteFacts } from './plan.ts'
import { publicRoutes } from './public-routes.ts'
import { RedisStore } from './redis-store.ts'
import { PROBLEM_TYPE, problemOf, refusalOf } from './refusal.ts'
import { type AskerSources, RequestAsker } from './request-asker.ts'
import type { Write } from './writes-in-flight.ts'

/** What a request knows of maintenance. */
export interface RequestMaintenance {
  /** Whether it must change nothing: a rule `read-only` or `drain-writes` is about it, and does not let it pass. */
  readonly readOnly: boolean
}

declare module 'fastify' {
  interface FastifyInstance {
    maintenance: Maintenance
  }
  interface FastifyRequest {
    readonly maintenance: RequestMaintenance
  }
  interface FastifyContextConfig {
    /** `false`: no rule ever closes the route. */
    maintenance?: MaintenanceRouteOptions | false
  }
}

/** What this plugin uses of `app.health`, without needing `@holdfast/health`. */
interface HealthReports {
  addReport(page: 'check', name: string, produce: () => object): unknown
}

/** The most characters of who changed something, and with which request. */
const MAX_NOTE = 200
const WRITING = { readOnly: false }
const READING = { readOnly: true }
const NOWHERE: RouteFacts = { group: undefined, path: undefined, open: false }

const plugin: FastifyPluginAsync<MaintenanceOptions<FastifyRequest>> = async (app, given) => {
  if (app.hasDecorator('maintenance')) throw new AlreadyRegisteredError()
  const options = resolveOptions(given)
  const { redis, name, clock, registry, appName, admin, status, bypass } = options
  const store = redis === undefined ? new MemoryStore(clock) : new RedisStore(redis, name)
  const maintenance = new Maintenance(options, { log: app.log, store })
  const gate = new RequestGate(maintenance, options)
  app.decorate('maintenance', maintenance)
  app.decorateRequest('maintenance', {
    getter() {
      if (maintenance.plan === undefined) return WRITING
      return gate.isReadOnly(this as FastifyRequest) ? READING : WRITING
    },
  })

  if (registry !== undefined) {
    // Loaded only here: prom-client is an optional peer.
    const { sharedMetrics } = await import('./metrics.ts')
    app.addHook(
      'onClose',
      sharedMetrics.share(registry, appName, () => maintenance.snapshot()),
    )
  }
  if (app.hasDecorator('health')) {
    app.getDecorator<HealthReports>('health').addReport('check', 'maintenance', () => maintenance.snapshot())
  }

  app.addHook('onRoute', (route) => gate.guard(route))
  // Before it is known who asks: whoever is refused costs nothing more.
  app.addHook('onRequest', (request, reply, done) => {
    if (maintenance.plan === undefined) done()
    else gate.enter(request, reply, false, done)
  })
  for (const { method, path, open, answer } of publicRoutes(maintenance, { status, bypass })) {
    app.route({
      method,
      url: path,
      bodyLimit: MAX_BODY_BYTES,
      config: open,
      handler: (request, reply) => answer(request, reply),
    })
  }
  if (admin !== undefined)
    await addOperatorRoutes(app, maintenance, admin, { ...options, groups: gate.groupsInUse })
  app.addHook('onReady', () => maintenance.start())
  app.addHook('onClose', () => maintenance.close())
}

/** Lets requests in, or refuses them. */
class RequestGate {
  readonly #maintenance: Maintenance
  readonly #sources: AskerSources<FastifyRequest>
  readonly #groups: readonly (readonly [group: string, paths: readonly string[]])[]
  /** Those that routes belong to. */
  readonly groupsInUse = new Set<string>()
  readonly #open: readonly string[]
  readonly #pages: RefusalPages<FastifyRequest>
  /** By the `config` of the route, which is one object for all of its requests. */
  readonly #routes = new WeakMap<object, RouteFacts>()

  constructor(
    maintenance: Maintenance,
    {
      tenant,
      roles,
      address,
      bypass,
      groups,
      open,
      page,
      clock,
    }: ReturnType<typeof resolveOptions<FastifyRequest>>,
  ) {
    this.#maintenance = maintenance
    const findBypass = maintenance.findBypass.bind(maintenance)
    this.#sources = { tenant, roles, address, bypass, findBypass }
    this.#groups = Object.entries(groups)
    this.#open = open
    this.#pages = new RefusalPages(page, clock)
  }

  /** Goes on, or answers. `isKnown`: whether it is found out already who asks. */
  enter(request: FastifyRequest, reply: FastifyReply, isKnown: boolean, done: HookHandlerDoneFunction): void {
    const asker = new RequestAsker(request, this.#sources, isKnown)
    const verdict = this.#maintenance.judge(this.#factsOf(request), asker)
    if (verdict.pass === false) {
      this.#refuse(request, reply, verdict.active)
      return
    }
    if (isKnown && verdict.pass === true && verdict.by !== undefined) {
      this.#maintenance.countPassed(verdict.by)
      if (verdict.by === 'bypass') {
        request.log.info({ bypass: asker.bypass()?.id }, 'a bypass of maintenance was used')
      }
    }
    done()
  }

  /** The same for a request that was let in before: true when it may go on. */
  mayBegin(request: FastifyRequest, reply: FastifyReply): boolean {
    const asker = new RequestAsker(request, this.#sources, true)
    const verdict = this.#maintenance.judge(this.#factsOf(request), asker)
    if (verdict.pass === false) this.#refuse(request, reply, verdict.active)
    return verdict.pass !== false
  }

  isReadOnly(request: FastifyRequest): boolean {
    const asker = new RequestAsker(request, this.#sources, true)
    return this.#maintenance.isReadOnly(this.#factsOf(request), asker)
  }

  /** A route asks once more when it is known who asks; one that changes something also before it begins. */
  guard(route: RouteOptions): void {
    const maintenance = this.#maintenance
    const { url, config, method, handler, onRequest } = route
    const setting = config?.maintenance
    if (setting !== undefined && setting !== false) checkRoute(url, setting)
    const facts = this.#read(config, url)
    if (facts.group !== undefined) this.groupsInUse.add(facts.group)
    const hooks = [onRequest ?? []].flat()
    // What answers in its first hook does nothing that could be closed.
    if (hooks.some((hook) => (hook as unknown) === handler)) return
    route.onRequest = [
      (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction) => {
        if (maintenance.plan === undefined) done()
        else this.enter(request, reply, true, done)
      },
      ...hooks,
    ]
    if (![method].flat().some(isWrite)) return
    const mayBegin = this.mayBegin.bind(this)
    const { tenant } = this.#sources
    route.handler = function (request, reply) {
      if (!isWrite(request.method)) return handler.call(this, request, reply)
      // A body takes its time, and a rule may have begun meanwhile.
      if (maintenance.plan !== undefined && !mayBegin(request, reply)) return reply
      const write = new RequestWrite(request, facts.group, tenant)
      maintenance.beginWrite(write)
      return untilEnd(
        () => handler.call(this, request, reply),
        reply,
        () => maintenance.endWrite(write),
      )
    }
  }

  #refuse(request: FastifyRequest, reply: FastifyReply, active: ActiveRule): void {
    const maintenance = this.#maintenance
    maintenance.countRefused(active, request.method, this.#factsOf(request).path)
    const refusal = refusalOf(maintenance.messageOf(active), maintenance.retryAfterMs(active))
    const { statusCode, retryAfterSeconds } = refusal
    reply.code(statusCode).header('content-type', PROBLEM_TYPE).header('cache-control', 'no-store')
    if (retryAfterSeconds !== undefined) reply.header('retry-after', String(retryAfterSeconds))
    const page = this.#pages.find(request, refusal)
    if (page === undefined) reply.send(problemOf(refusal, active, String(request.id)))
    else reply.headers(page.headers).send(page.body)
  }

  #factsOf(request: FastifyRequest): RouteFacts {
    if (request.is404) return NOWHERE
    const { config, url } = request.routeOptions
    const known = this.#routes.get(config)
    if (known !== undefined) return known
    const facts = this.#read(config, url ?? '')
    this.#routes.set(config, facts)
    return facts
  }

  #read(config: RouteOptions['config'], url: string): RouteFacts {
    const setting = config?.maintenance
    const named = setting === undefined || setting === false ? undefined : setting.group
    return {
      group: named ?? this.#groups.find(([, paths]) => beginsWith(url, paths))?.[0],
      path: url,
      open: setting === false || isProbe(config) || beginsWith(url, this.#open),
    }
  }
}

/** A request that changes something. Whose it is is asked only when a rule wants to know. */
class RequestWrite implements Write {
  readonly group: string | undefined
  readonly #request: FastifyRequest
  readonly #tenant: ((request: FastifyRequest) => string | undefined) | undefined

  constructor(
    request: FastifyRequest,
    group: string | undefined,
    tenant: ((request: FastifyRequest) => string | undefined) | undefined,
  ) {
    this.#request = request
    this.group = group
    this.#tenant = tenant
  }

  get tenant(): string | undefined {
    try {
      return this.#tenant?.(this.#request)
    } catch {
      // Asked in the background, where nobody is answered: it may be one for any tenant.
      return undefined
    }
  }
}

/**
 * Runs a handler and calls back at its end: that of its promise, which comes also after the client has left, or that of
 * the answer where there is no promise.
 */
function untilEnd(work: () => unknown, reply: FastifyReply, end: () => void): unknown {
  let result: unknown
  try {
    result = work()
  } catch (error) {
    end()
    throw error
  }
  if (result !== reply && typeof (Object(result) as { then?: unknown }).then === 'function') {
    ;(result as PromiseLike<unknown>).then(end, end)
    return result
  }
  if (result !== undefined && result !== reply) end()
  else if (reply.raw.destroyed || reply.raw.writableFinished) end()
  else reply.raw.once('close', end)
  return result
}

/** Whether a body follows. HTTP/2 need not say how long it is. */
function hasBody({ headers, raw }: FastifyRequest): boolean {
  const { stream } = raw as { stream?: { endAfterHeaders?: boolean } }
  const length = headers['transfer-encoding'] ?? headers['content-length']
  return length === undefined ? stream?.endAfterHeaders === false : length !== '0'
}

/** Nobody may use these routes without `authorize`, which is asked late, so that it can read who asks. */
async function addOperatorRoutes(
  app: FastifyInstance,
  maintenance: Maintenance,
  { prefix, authorize, authorizeTimeoutMs, actor }: ResolvedAdmin<FastifyRequest>,
  { clock, ...around }: Omit<Around, 'note'> & { readonly clock: Clock },
): Promise<void> {
  const authorisation = new Authorisation(authorize, authorizeTimeoutMs, clock)
  await app.register(
    async (scope) => {
      scope.addHook('onRequest', (request, _reply, done) => {
        // Who has nothing to say may say that it is JSON all the same.
        if (!hasBody(request)) delete request.headers['content-type']
        done()
      })
      scope.addHook(
        'preHandler',
        authorisation.preHandler({
          realm: 'maintenance',
          Unauthenticated: UnauthenticatedError,
          Forbidden: ForbiddenError,
        }),
      )
      for (const { method, path, answer } of operatorRoutes) {
        scope.route({
          method,
          url: path,
          bodyLimit: MAX_BODY_BYTES,
          // Whoever closes the service must be able to open it.
          config: { maintenance: false },
          async handler(request, reply) {
            const { params, query, body: given } = request
            const asked = { params: params as Asked['params'], query, body: given }
            // Whatever he is called, he can open what is closed.
            const by = actor?.(request)?.slice(0, MAX_NOTE) || undefined
            const note = { by, requestId: String(request.id).slice(0, MAX_NOTE) }
            const { statusCode = 200, body } = await answer(maintenance, asked, { ...around, note })
            return reply.code(statusCode).header('cache-control', 'no-store').send(body)
          },
        })
      }
    },
    { prefix },
  )
}

/**
 * Closes parts of a service: `app.maintenance`. Register it before what costs something, and before the routes it is to
 * close. Raises `HOLDFAST_ERR_MAINTENANCE_OPTION` and `..._ALREADY_REGISTERED` at `register()`.
 */
export const maintenance: FastifyPluginAsync<MaintenanceOptions<FastifyRequest>> = fastifyPlugin(plugin, {
  fastify: '5.x',
  name: '@holdfast/maintenance',
})
export default maintenance
