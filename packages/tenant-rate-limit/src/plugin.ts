import { isProbe } from '@holdfast/footing'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { composeLimiter } from './compose-limiter.ts'
import { AlreadyRegisteredError } from './errors.ts'
import type { RateLimiter } from './limiter.ts'
import { resolveOptions, type TenantRateLimitOptions } from './options.ts'
import type { Policies, PolicySet } from './policies.ts'
import type { RouteGuard } from './route-guard.ts'
import { RouteGuards, type TenantRateLimitSnapshot } from './route-guards.ts'
import { byHand, type RouteLimitOptions, type RouteSetting } from './route-options.ts'
import type { Decision } from './store.ts'

/** The options of the plugin, for Fastify. */
export type TenantRateLimitPluginOptions = TenantRateLimitOptions<FastifyRequest, FastifyReply>

/** Per-route setting `config.tenantRateLimit`. */
export type TenantRateLimitRouteSetting = RouteSetting<FastifyRequest, FastifyReply>

/** What of a route's setting a limit by hand has: the rest is about answers. */
export type TenantRateLimitByHand =
  | string
  | Pick<RouteLimitOptions<FastifyRequest, FastifyReply>, 'policy' | 'by' | 'group' | 'cost'>

/** A limit that is asked by hand. */
export interface RequestLimit {
  /** What is left for this request, and whether it would pass; nothing is taken. */
  peek(request: FastifyRequest): Decision | Promise<Decision>
  /** Takes what this request costs. What follows from a refusal is the caller's business. */
  take(request: FastifyRequest): Decision | Promise<Decision>
}

/** What `app.tenantRateLimit` is. */
export interface TenantRateLimit {
  readonly policies: Pick<Policies, 'get' | 'group' | 'version' | 'snapshot'>
  /** For claims of your own. */
  readonly limiter: RateLimiter
  /**
   * A limit to be asked by hand, also about requests that are exempt. Make it once, not for each request. Raises
   * what a wrong setting of a route raises.
   */
  limit(setting: TenantRateLimitByHand): RequestLimit
  /**
   * Replaces all policies, groups and overrides; what is used of a bucket stays used, as a share of it. Raises
   * `HOLDFAST_ERR_TENANT_RATE_LIMIT_` + `POLICY`, `OPTION`, `UNKNOWN_POLICY` when one is missing that a route names,
   * and `RULE` when one cannot hold what a route costs; then nothing has changed.
   */
  update(set: PolicySet): void
  /** Raises what `update()` would, and changes nothing. */
  check(set: PolicySet): void
  snapshot(): TenantRateLimitSnapshot
}

declare module 'fastify' {
  interface FastifyInstance {
    tenantRateLimit: TenantRateLimit
  }
  interface FastifyRequest {
    /** What was decided about this request; `null` before that, and where there is no limit. */
    tenantRateLimit: Decision | null
  }
  interface FastifyContextConfig {
    tenantRateLimit?: TenantRateLimitRouteSetting
  }
}

type Guards = RouteGuards<FastifyRequest, FastifyReply>
type Guard = RouteGuard<FastifyRequest, FastifyReply>

async function plugin(app: FastifyInstance, options: TenantRateLimitPluginOptions): Promise<void> {
  if (app.hasDecorator('tenantRateLimit')) throw new AlreadyRegisteredError()
  const settings = resolveOptions(options)
  const { policies, defaultRoute, notFound, registry, appName } = settings
  const limiter = composeLimiter(settings)
  const guards: Guards = new RouteGuards<FastifyRequest, FastifyReply>(settings, limiter)
  const guardOf = (name: string, setting: Exclude<TenantRateLimitRouteSetting, false>) =>
    guards.create({ name, where: name, methods: [], setting })
  app.decorate('tenantRateLimit', {
    policies,
    limiter,
    limit: (setting) => guardOf('limit()', byHand(setting)).guard,
    update: (set) => guards.update(set),
    check: (set) => guards.check(set),
    snapshot: () => guards.snapshot(),
  })
  app.decorateRequest('tenantRateLimit', null)
  // Also where there will be no such route: a wrong setting fails here.
  if (defaultRoute !== false) guardOf('defaultRoute', defaultRoute)
  app.addHook('onRoute', (route) => guardRoute(route, guards, defaultRoute))
  if (notFound !== false) {
    const { guard, phase } = guardOf('notFound', notFound)
    const hook: Hook = (request, reply, done) => {
      if (request.is404) guard.handle(request, reply, done)
      else done()
    }
    if (phase === 'onRequest') app.addHook('onRequest', hook)
    else app.addHook('preHandler', hook)
  }
  // Fastify comes here after its server has closed: what the last requests took is settled.
  app.addHook('onClose', () => limiter.close())
  if (registry !== undefined) {
    const { sharedMetrics } = await import('./metrics.ts')
    app.addHook(
      'onClose',
      sharedMetrics.share(registry, appName, () => guards.snapshot()),
    )
  }
}

function guardRoute(route: RouteOptions, guards: Guards, defaultRoute: TenantRateLimitRouteSetting): void {
  // For what is left out only: null is refused, lest a setting that got lost lifts a limit.
  const { tenantRateLimit: setting = defaultRoute } = route.config ?? {}
  if (setting === false) return
  // Probes of @holdfast/health are how a cluster sees whether we live: only a route's own setting limits them.
  if (isProbe(route.config) && route.config?.tenantRateLimit === undefined) return
  const methods = [route.method].flat()
  const { guard, phase } = guards.create({ name: `${methods.join(',')} ${route.url}`, methods, setting })
  const hook: Hook = (request, reply, done) => guard.handle(request, reply, done)
  // New lists: Fastify makes a HEAD route of the same options, which must not be counted twice.
  if (phase === 'onRequest') route.onRequest = [hook, ...[route.onRequest ?? []].flat()]
  else route.preHandler = [...[route.preHandler ?? []].flat(), hook]
}

type Hook = (request: FastifyRequest, reply: FastifyReply, done: Parameters<Guard['handle']>[2]) => void

/**
 * The Fastify plugin; decorates the instance with `tenantRateLimit` and reads `config.tenantRateLimit` of the routes that
 * come after it.
 */
export const tenantRateLimit = fp(plugin, { fastify: '5.x', name: '@holdfast/tenant-rate-limit' })
