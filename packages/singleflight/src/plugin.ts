import { types } from 'node:util'
import type { MetricsRegistry } from '@holdfast/footing'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { CoalescedRoute, type ReplyLike, type ResponseCounters } from './coalesced-route.ts'
import {
  AlreadyRegisteredError,
  KeyFunctionError,
  KeyInvalidError,
  KeyTooLongError,
  UnsafeMethodError,
} from './errors.ts'
import { encodeKey, type FlightKey } from './key.ts'
import { checks, refuse, refuseUnknown, resolveOptions, type SingleflightOptions } from './options.ts'
import { copyError } from './shared-error.ts'
import { carriesCredentials, PER_REQUEST_HEADERS, preconditionsOf } from './shared-response.ts'
import { Singleflight, type SingleflightSnapshot } from './singleflight.ts'

/** Options of the plugin: those of `Singleflight`, which hold for `run` and for routes, and its own. */
export interface SingleflightPluginOptions extends SingleflightOptions {
  /** Where the metrics are registered. Default: nowhere; prom-client is not loaded. */
  readonly registry?: MetricsRegistry
  /**
   * The label `app` of the metrics. Needed when scopes or applications of one process share a registry: all but one
   * of them must have it. Default: no such label.
   */
  readonly appName?: string
  /**
   * More response headers that belong to one request even when a handler sets them. Default: none beyond
   * correlation ids, trace context, `Server-Timing`, `Date` and the headers of the connection.
   */
  readonly perRequestHeaders?: readonly string[]
}

/** Per-route setting `config.singleflight`. */
export interface SingleflightRouteOptions {
  /**
   * What makes two requests of this route equal; the route, the method and conditional headers are part of
   * the key already. `false`: this request runs on its own. Called after the hooks and the validation of the
   * request, so each request is authorized by itself.
   */
  readonly key: (request: FastifyRequest) => FlightKey | false
  /**
   * Whether requests with `Authorization` or `Cookie` are coalesced too, and answers shared that say
   * `Cache-Control: private` or `no-store` or that allow one origin. Set it only when the answer is the same for
   * everybody, or the key names the principal. Default false: such requests run on their own.
   */
  readonly shared?: boolean
}

/** The flights of coalesced routes, and how their requests were answered. */
export type ResponsesSnapshot = SingleflightSnapshot & Readonly<ResponseCounters>

/** `app.singleflight`: a `Singleflight` for the application, and a view on the coalesced routes. */
export interface FastifySingleflight extends Singleflight {
  readonly responses: { snapshot(): ResponsesSnapshot }
}

declare module 'fastify' {
  interface FastifyInstance {
    singleflight: FastifySingleflight
  }
  interface FastifyContextConfig {
    singleflight?: SingleflightRouteOptions | false
  }
}

async function plugin(app: FastifyInstance, options: SingleflightPluginOptions): Promise<void> {
  if (app.hasDecorator('singleflight')) throw new AlreadyRegisteredError()
  const { registry, appName, perRequestHeaders = [], ...flightOptions } = options
  refuseUnknown('', options, [...Object.keys(resolveOptions()), 'registry', 'appName', 'perRequestHeaders'])
  checks.having('registry', registry, ['registerMetric', 'getSingleMetric'])
  if (appName !== undefined) checks.text('appName', appName, 63)
  const flights = new Singleflight(flightOptions)
  const routes = routeCoalescer(flightOptions, headerNames(perRequestHeaders))
  const decorator = Object.assign(flights, { responses: { snapshot: routes.snapshot } })
  app.decorate('singleflight', decorator)
  app.addHook('onRoute', routes.onRoute)
  app.addHook('onClose', async () => {
    // Fastify comes here after its server has closed: the last requests have landed.
    flights.close()
    routes.close()
    await flights.drained()
  })
  if (registry !== undefined) {
    const { sharedMetrics } = await import('./metrics.ts')
    app.addHook(
      'onClose',
      sharedMetrics.share(registry, appName, () => ({
        run: flights.snapshot(),
        responses: routes.snapshot(),
      })),
    )
  }
}

function routeCoalescer(flightOptions: SingleflightOptions, perRequestHeaders: readonly string[]) {
  // What travels through these flights are outcomes of handlers, never values or errors of the application.
  const {
    copyValue: _,
    errorTtlMs: __,
    whenAbandoned: ___,
    redis: ____,
    fleet: _____,
    ...limits
  } = flightOptions
  const flights = new Singleflight({ ...limits, copyErrors: true })
  const counters: ResponseCounters = { replayed: 0, ranAlone: 0, bypassed: 0, takenOver: 0 }
  let routesSeen = 0

  function onRoute(route: RouteOptions): void {
    const setting = route.config?.singleflight
    if (setting === undefined || setting === false) return
    const name = `${route.method} ${route.url}`
    const { key, shared } = resolveRoute(setting, route, name)
    const number = ++routesSeen
    const coalesced = new CoalescedRoute({
      flights,
      counters,
      shared,
      perRequestHeaders: new Set([...PER_REQUEST_HEADERS, ...perRequestHeaders]),
      copyError: flightOptions.copyErrors === false ? (error) => error : copyError,
    })
    const { handler } = route
    route.preSerialization = [
      ...[route.preSerialization ?? []].flat(),
      async (_request: FastifyRequest, reply: FastifyReply, payload: unknown) => {
        coalesced.captureObject(reply as ReplyLike)
        return payload
      },
    ]
    route.handler = function (request, reply) {
      const run = () => handler.call(this, request, reply)
      const parts = shared || !carriesCredentials(request.headers) ? keyOf(request) : false
      if (parts !== false) return coalesced.answer(parts, request, reply as ReplyLike, run)
      counters.bypassed += 1
      return run()
    }

    function keyOf(request: FastifyRequest): FlightKey | false {
      try {
        const parts = key(request)
        if (parts === false) return false
        // An async key function is refused; that it may fail as well must not end the process.
        if (types.isPromise(parts)) parts.catch(() => undefined)
        if (!Array.isArray(parts)) throw new KeyInvalidError('the key is no array', String(parts))
        const whole = [...parts, number, request.method, preconditionsOf(request.headers)]
        // Encoded here, so that a complaint names the route.
        encodeKey(whole)
        return whole
      } catch (error) {
        // A long query or a long list of ETags is the client's right: such a request runs on its own.
        if (error instanceof KeyTooLongError) return false
        throw new KeyFunctionError(name, { cause: error })
      }
    }
  }

  return { onRoute, snapshot: () => ({ ...flights.snapshot(), ...counters }), close: () => flights.close() }
}

function resolveRoute(setting: SingleflightRouteOptions, route: RouteOptions, name: string) {
  if (typeof setting !== 'object' || setting === null)
    refuse(`config.singleflight of ${name}`, 'an object or false', setting)
  refuseUnknown(`config.singleflight of ${name}: `, setting, ['key', 'shared'])
  const { key, shared = false } = setting
  if (typeof key !== 'function') refuse(`config.singleflight.key of ${name}`, 'a function', key)
  if (typeof shared !== 'boolean') refuse(`config.singleflight.shared of ${name}`, 'true or false', shared)
  const methods = [route.method].flat()
  if (!methods.every((method) => method === 'GET' || method === 'HEAD')) throw new UnsafeMethodError(name)
  return { key, shared }
}

function headerNames(names: readonly string[]): string[] {
  if (!Array.isArray(names)) refuse('perRequestHeaders', 'an array of header names', names)
  return names.map((name) => {
    if (typeof name !== 'string') refuse('perRequestHeaders', 'an array of header names', name)
    return name.toLowerCase()
  })
}

/** The Fastify plugin; decorates the instance with `singleflight` and reads `config.singleflight` of routes. */
export const singleflight = fp(plugin, { fastify: '5.x', name: '@holdfast/singleflight' })

export default singleflight
