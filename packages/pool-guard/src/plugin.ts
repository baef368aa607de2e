import type { MetricsRegistry } from '@holdfast/footing'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { AlreadyRegisteredError } from './errors.ts'
import { type FallbackContext, GuardedRoute } from './guarded-route.ts'
import { checks } from './option-checks.ts'
import type { PoolGuardOptions } from './options.ts'
import { PoolGuard } from './pool-guard.ts'
import type { Criticality } from './request-scope.ts'

/** Options of the plugin: those of `PoolGuard`, and its own. */
export interface PoolGuardPluginOptions extends PoolGuardOptions {
  /** Where the metrics are registered. Default: nowhere; prom-client is not loaded. */
  readonly registry?: MetricsRegistry
  /** Whose work a request is, for fairness. Called when the request first needs a connection. Default: nobody's. */
  readonly tenant?: (request: FastifyRequest) => string | undefined
  /**
   * Whether a request must change nothing: the server then refuses whatever it writes (SQLSTATE 25006). Asked whenever it
   * needs a connection. For example `({ maintenance }) => maintenance.readOnly` of `@holdfast/maintenance`. Default: no.
   */
  readonly readOnly?: (request: FastifyRequest) => boolean
}

/** Per-route setting `config.poolGuard`. */
export interface PoolGuardRouteOptions {
  /** How much depends on the work of this route. Default `normal`. */
  readonly criticality?: Criticality
  /**
   * Whether the database is tried while the pool is saturated or under pressure: `wait` takes what admission gives,
   * `fallback` leaves the database to others. Default `wait`.
   */
  readonly onSaturated?: 'wait' | 'fallback'
  /**
   * Answers instead of the handler when the database cannot: cached or stale data, or a default. What it returns is
   * sent with `Warning: 110 - "Response is Stale"`. Only for GET and HEAD, and not for critical work. Default: none,
   * the error of the database is the answer.
   */
  readonly fallback?: (request: FastifyRequest, reply: FastifyReply, context: FallbackContext) => unknown
  /**
   * How long the database may take for one request in all, in ms; never longer than `handlerTimeout`. Default: what is
   * left of `handlerTimeout`.
   */
  readonly budgetMs?: number
}

declare module 'fastify' {
  interface FastifyInstance {
    poolGuard: PoolGuard
  }
  interface FastifyContextConfig {
    poolGuard?: PoolGuardRouteOptions | false
  }
}

/** As `app.health` is used here, when it is registered before. */
interface HealthDecorator {
  addCheck(name: string, options: { check: (context: { signal: AbortSignal }) => unknown }): unknown
}

async function plugin(app: FastifyInstance, options: PoolGuardPluginOptions): Promise<void> {
  if (app.hasDecorator('poolGuard')) throw new AlreadyRegisteredError()
  const { registry, tenant, readOnly, ...own } = options
  checks.having('registry', registry, ['registerMetric', 'getSingleMetric'])
  checks.callable('tenant', tenant)
  checks.synchronous('readOnly', readOnly)
  const guard = new PoolGuard({ log: app.log, ...own })
  app.decorate('poolGuard', guard)
  const { handlerTimeout } = app.initialConfig as { readonly handlerTimeout?: number }
  app.addHook('onRoute', (route) => guardRoute(route, guard, { tenant, readOnly }, handlerTimeout))
  app.addHook('onClose', () => guard.close())
  if (registry !== undefined) {
    const { sharedMetrics } = await import('./metrics.ts')
    app.addHook(
      'onClose',
      sharedMetrics.share(registry, guard.name, () => guard.snapshot()),
    )
  }
  if (app.hasDecorator('health')) {
    const { health } = app as unknown as { readonly health: HealthDecorator }
    const name = ['main', 'database'].includes(guard.name) ? 'database' : `database-${guard.name}`
    health.addCheck(name, guard.healthCheck())
  }
}

/** What is asked about a request when it needs a connection. */
interface RequestQuestions {
  readonly tenant: PoolGuardPluginOptions['tenant'] | undefined
  readonly readOnly: PoolGuardPluginOptions['readOnly'] | undefined
}

function guardRoute(
  route: RouteOptions,
  guard: PoolGuard,
  { tenant, readOnly }: RequestQuestions,
  handlerTimeoutMs: number | undefined,
): void {
  const setting = route.config?.poolGuard
  if (setting === undefined || setting === false) return
  const name = `${[route.method].flat().join(',')} ${route.url}`
  const resolved = resolveRoute(setting, route, name)
  const budgetMs = Math.min(
    resolved.budgetMs ?? Number.POSITIVE_INFINITY,
    // 0 is Fastify's "none".
    route.handlerTimeout || handlerTimeoutMs || Number.POSITIVE_INFINITY,
  )
  const guarded = new GuardedRoute<FastifyRequest, FastifyReply>({
    ...resolved,
    clock: guard.clock,
    routeMode: (criticality, onSaturated) => guard.routeMode(criticality, onSaturated),
    tenant,
    readOnly,
    route: name,
    budgetMs: budgetMs === Number.POSITIVE_INFINITY ? undefined : budgetMs,
  })
  // After the body has been read, for that loses the scope; before the handler and the hooks of the route's own.
  route.preValidation = [
    (request, reply, done) => guarded.enter(request, reply, done),
    ...[route.preValidation ?? []].flat(),
  ]
  if (resolved.fallback === undefined) return
  const { handler } = route
  route.handler = function (request, reply) {
    return guarded.answer(request, reply, () => handler.call(this, request, reply))
  }
}

function resolveRoute(setting: PoolGuardRouteOptions, route: RouteOptions, name: string) {
  const owner = `config.poolGuard of ${name}`
  checks.object(owner, setting)
  checks.onlyKnown(`${owner}: `, setting, ['criticality', 'onSaturated', 'fallback', 'budgetMs'])
  const criticality = checks.oneOf(`${owner}: criticality`, setting.criticality ?? 'normal', [
    'critical',
    'normal',
    'background',
  ])
  const onSaturated = checks.oneOf(`${owner}: onSaturated`, setting.onSaturated ?? 'wait', [
    'wait',
    'fallback',
  ])
  const fallback = checks.callable(`${owner}: fallback`, setting.fallback)
  const { budgetMs } = setting
  if (budgetMs !== undefined) checks.duration(`${owner}: budgetMs`, budgetMs, 1)
  const reads = [route.method].flat().every((method) => method === 'GET' || method === 'HEAD')
  if (fallback !== undefined && (criticality === 'critical' || !reads)) {
    checks.refuse(`${owner}: fallback`, 'left out: it is for GET and HEAD that are not critical', fallback)
  }
  if (onSaturated === 'fallback' && fallback === undefined) {
    checks.refuse(`${owner}: onSaturated`, "'wait' without a fallback", onSaturated)
  }
  return { criticality, onSaturated, fallback, budgetMs }
}

/**
 * The plugin; decorates the instance with `poolGuard` and reads `config.poolGuard` of routes.
 *
 * Raises `HOLDFAST_ERR_POOL_GUARD_OPTION` for a wrong option, at `register()` and when a route is added.
 */
export const poolGuard = fp(plugin, { fastify: '5.x', name: '@holdfast/pool-guard' })

export default poolGuard
