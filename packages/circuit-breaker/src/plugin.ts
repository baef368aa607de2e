import { type Clock, type MetricsRegistry, type ReplyLike, systemClock } from '@holdfast/footing'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { CircuitBreakers, type CircuitBreakersOptions } from './circuit-breakers.ts'
import { ErrorLog, type ErrorLogOptions } from './error-log.ts'
import { AlreadyRegisteredError } from './errors.ts'
import { ExpiryQueue } from './expiry-queue.ts'
import { callOf, type GuardedCall, type RequestLike, type RouteCounters } from './guarded-call.ts'
import { type Fallback, GuardedRoute } from './guarded-route.ts'
import { type CircuitBreakerOptions, checks } from './options.ts'
import { DEFAULT_TIMEOUT_MS, resolveRoute } from './route-options.ts'

/** Options of the plugin: those of `CircuitBreakers`, and its own. */
export interface CircuitBreakerPluginOptions extends CircuitBreakersOptions {
  /** Settings of `app.circuitBreaker.errorLog`. Default: its defaults. */
  readonly errorLog?: ErrorLogOptions
  /** A prom-client `Registry` for the metrics. Default: none; prom-client is not loaded. */
  readonly registry?: MetricsRegistry
  /**
   * The label `app` of the metrics. Needed when scopes or applications of one process share a registry: all but one
   * of them must have it. Default: no such label.
   */
  readonly appName?: string
}

/** Per-route setting `config.circuitBreaker`; the name of a breaker is short for `{ name }`. */
export interface CircuitBreakerRouteOptions extends CircuitBreakerOptions {
  /** A breaker that was created before. Default: one of its own, named `GET /path`, with the other options. */
  readonly name?: string
  /**
   * Milliseconds after which the request is answered, whatever the handler does. Default: that of `defaults`, else
   * 10,000; `Infinity` for no limit.
   */
  readonly timeoutMs?: number
  /** The lowest status that counts as a failure, from 500 to 600 (600: none does). Default 500. */
  readonly failureStatus?: number
  /**
   * Answers when the breaker refuses, when the time is up, and when the handler throws an error that is answered
   * with `failureStatus` or more; in the way of a handler. `reason` is the error that would be answered otherwise.
   * Has as long as the handler had. Default: none.
   */
  readonly fallback?: (request: FastifyRequest, reply: FastifyReply, reason: unknown) => unknown
}

/** `app.circuitBreaker`. */
export interface FastifyCircuitBreakers extends CircuitBreakers {
  /** What went wrong behind guarded routes, by breaker; record there what goes wrong elsewhere. */
  readonly errorLog: ErrorLog
  /** How requests of guarded routes ended other than by the answer of their handler. */
  readonly routes: { snapshot(): Readonly<RouteCounters> }
}

declare module 'fastify' {
  interface FastifyInstance {
    circuitBreaker: FastifyCircuitBreakers
  }
  interface FastifyRequest {
    /** The call of a guarded route, from when its handler is started; `null` before that, and elsewhere. */
    readonly circuitBreaker: GuardedCall | null
  }
  interface FastifyContextConfig {
    circuitBreaker?: string | CircuitBreakerRouteOptions | false
  }
}

async function plugin(app: FastifyInstance, options: CircuitBreakerPluginOptions): Promise<void> {
  if (app.hasDecorator('circuitBreaker')) throw new AlreadyRegisteredError()
  const { errorLog: errorLogOptions, registry, appName, ...registryOptions } = options
  const breakers = new CircuitBreakers(registryOptions)
  const clock = options.defaults?.clock ?? systemClock
  const errorLog = new ErrorLog({ clock, ...checks.object('errorLog', errorLogOptions ?? {}) })
  const timeoutMs = options.defaults?.timeoutMs ?? DEFAULT_TIMEOUT_MS
  const routes = routeGuard({ breakers, errorLog, clock, timeoutMs })
  app.decorate('circuitBreaker', Object.assign(breakers, { errorLog, routes: { snapshot: routes.snapshot } }))
  app.decorateRequest('circuitBreaker', {
    getter() {
      return callOf(this as RequestLike) ?? null
    },
  })
  app.addHook('onRoute', routes.onRoute)
  // Fastify comes here after its server has closed: the breakers of the last requests have judged.
  app.addHook('onClose', async () => breakers.close())
  checks.having('registry', registry, ['registerMetric', 'getSingleMetric'])
  if (appName !== undefined) checks.text('appName', appName, 63)
  if (registry !== undefined) {
    const { sharedMetrics } = await import('./metrics.ts')
    app.addHook(
      'onClose',
      sharedMetrics.share(registry, appName, () => breakers.snapshot()),
    )
  }
}

interface Guarding {
  readonly breakers: CircuitBreakers
  readonly errorLog: ErrorLog
  readonly clock: Clock
  readonly timeoutMs: number
}

function routeGuard({ breakers, errorLog, clock, timeoutMs: defaultTimeoutMs }: Guarding) {
  const counters: RouteCounters = { refused: 0, timedOut: 0, fellBack: 0, fallbackFailed: 0, abandoned: 0 }
  const queues = new Map<number, ExpiryQueue>()
  /** GET routes by address: the HEAD route that Fastify adds to one shares its breaker. */
  const guards = new Map<string, { readonly setting: unknown; readonly guard: GuardedRoute }>()

  function onRoute(route: RouteOptions): void {
    const setting = route.config?.circuitBreaker
    if (setting === undefined || setting === false) return
    const guard = guardOf(route, setting)
    const { handler } = route
    route.handler = function (request, reply) {
      return guard.answer(request as RequestLike, reply as ReplyLike, () =>
        handler.call(this, request, reply),
      )
    }
    route.onError = [...[route.onError ?? []].flat(), onError]
  }

  function guardOf(route: RouteOptions, setting: string | CircuitBreakerRouteOptions): GuardedRoute {
    const key = `${route.url} ${JSON.stringify(route.constraints ?? {})}`
    const methods = [route.method].flat()
    // `/prefix/` is another name of a route at `/prefix`, which its HEAD route is made for, too.
    const known = guards.get(key) ?? guards.get(key.replace(/\/ /, ' '))
    if (route.method === 'HEAD' && known?.setting === setting) return known.guard
    const constrained = Object.keys(route.constraints ?? {}).length > 0
    const name = `${methods.join(',')} ${constrained ? key : route.url}`
    const { breaker, timeoutMs, failureStatus, fallback } = resolveRoute(
      { name, setting },
      breakers,
      defaultTimeoutMs,
    )
    const queue = timeoutMs === Number.POSITIVE_INFINITY ? undefined : queueOf(timeoutMs)
    const guard = new GuardedRoute(
      { name, breaker, timeoutMs, queue, failureStatus, errorLog, counters },
      fallback as Fallback | undefined,
    )
    if (methods.includes('GET')) guards.set(key, { setting, guard })
    return guard
  }

  function queueOf(timeoutMs: number): ExpiryQueue {
    const known = queues.get(timeoutMs)
    if (known !== undefined) return known
    const queue = new ExpiryQueue(timeoutMs, clock)
    queues.set(timeoutMs, queue)
    return queue
  }

  return { onRoute, snapshot: () => ({ ...counters }) }
}

/** Costs nothing while all goes well. */
function onError(request: FastifyRequest, _reply: FastifyReply, error: Error, done: () => void): void {
  callOf(request as RequestLike)?.failed(error)
  done()
}

/** The Fastify plugin; decorates the instance with `circuitBreaker` and reads `config.circuitBreaker` of routes. */
export const circuitBreaker = fp(plugin, { fastify: '5.x', name: '@holdfast/circuit-breaker' })

export default circuitBreaker
