import type { Clock } from '@holdfast/footing'
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { AbuseGuard } from './abuse-guard.ts'
import { adminRoutes } from './admin-routes.ts'
import { answerBlocked } from './blocked-answer.ts'
import { AlreadyRegisteredError } from './errors.ts'
import { believesAnybody } from './forwarding.ts'
import { type AbuseGuardOptions, checks, resolveOptions } from './options.ts'
import { RedisStore } from './redis-store.ts'

/** Settings of one route. */
export interface RouteOptions {
  /** What a request counts; 0 counts nothing. Default 1. */
  readonly cost?: number
  /** Lets blocked clients in, too. Default false. */
  readonly admitBlocked?: boolean
}

declare module 'fastify' {
  interface FastifyInstance {
    abuseGuard: AbuseGuard
  }
  interface FastifyContextConfig {
    /** `false`: requests to this route are neither counted nor refused. */
    abuseGuard?: RouteOptions | false
  }
}

/** What this plugin uses of `app.health`, without needing `@holdfast/health`. */
interface HealthReports {
  addReport(page: 'security', name: string, produce: () => object): unknown
}

const MAX_COST = 1000

const plugin: FastifyPluginAsync<AbuseGuardOptions<FastifyRequest>> = async (app: FastifyInstance, given) => {
  if (app.hasDecorator('abuseGuard')) throw new AlreadyRegisteredError()
  const options = resolveOptions(given)
  const { redis, policy, maxBlocks, weights, clock, registry, appName, startupWaitMs, admin } = options
  const store = redis && new RedisStore(redis, policy, maxBlocks)
  const guard = new AbuseGuard(options, { log: app.log, store })
  const addressOf = options.address ?? ((request: FastifyRequest) => request.ip)
  const doubting = options.address === undefined && options.onDoubt === 'refuse'
  app.decorate('abuseGuard', guard)

  if (registry !== undefined) {
    // Loaded only here: prom-client is an optional peer.
    const { sharedMetrics } = await import('./metrics.ts')
    app.addHook(
      'onClose',
      sharedMetrics.share(registry, appName, () => guard.snapshot()),
    )
  }
  if (app.hasDecorator('health')) {
    app.getDecorator<HealthReports>('health').addReport('security', 'abuse-guard', () => guard.snapshot())
  }

  app.addHook('onRoute', ({ config, url }) => {
    const settings = config?.abuseGuard
    if (settings === undefined || settings === false) return
    checks.object(`config.abuseGuard of ${url}`, settings)
    checks.onlyKnown(`config.abuseGuard of ${url}: `, settings, ['cost', 'admitBlocked'])
    checks.count(`config.abuseGuard.cost of ${url}`, settings.cost ?? 1, 0, MAX_COST)
    checks.flag(`config.abuseGuard.admitBlocked of ${url}`, settings.admitBlocked ?? false)
  })

  let examined = !doubting
  app.addHook('onRequest', (request, reply, done) => {
    const settings = settingsOf(request)
    if (settings === false) {
      done()
      return
    }
    if (!examined) {
      examined = true
      if (believesAnybody(request)) guard.anybodyIsBelieved()
    }
    const headers = doubting ? request.headers : undefined
    const block = guard.arrive(addressOf(request), settings?.cost, headers)
    if (block === undefined || settings?.admitBlocked === true) {
      done()
      return
    }
    reply.hijack()
    answerBlocked(request.raw, reply.raw, block.untilMs - clock.nowMs())
  })

  if (weights.size > 0) {
    app.addHook('onResponse', (request, reply, done) => {
      const weight = weights.get(reply.statusCode)
      // The request itself was counted when it came.
      if (weight !== undefined && weight > 1 && settingsOf(request) !== false) {
        guard.charge(addressOf(request), weight - 1, doubting ? request.headers : undefined)
      }
      done()
    })
  }

  if (admin !== undefined) await adminRoutes(app, guard, { ...admin, clock })

  let forget: () => void = () => {}
  app.addHook('onReady', async () => {
    guard.start()
    if (redis === undefined) return
    forget = redis.onStateChange((state) => {
      if (state === 'up') guard.reconnected()
    })
    if (redis.available) await withinTime(startupWaitMs, clock, guard.sync())
  })
  app.addHook('onClose', async () => {
    forget()
    guard.close()
  })
}

/** Those of the route; `false` where it is not guarded. Probes of `@holdfast/health` are not. */
function settingsOf(request: FastifyRequest): RouteOptions | false | undefined {
  const { config } = request.routeOptions
  return (config as { readonly health?: string }).health === 'probe' ? false : config.abuseGuard
}

/** Waits for `work`, but no longer than `timeoutMs`. */
function withinTime(timeoutMs: number, clock: Clock, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.schedule(timeoutMs, resolve)
    void work.then(() => {
      cancel()
      resolve()
    })
  })
}

/**
 * Blocks addresses that flood the service: `app.abuseGuard`. Register it before what costs something, and after
 * `@holdfast/health`. Raises `HOLDFAST_ERR_ABUSE_GUARD_OPTION` and `..._ALREADY_REGISTERED` at `register()`.
 */
export const abuseGuard: FastifyPluginAsync<AbuseGuardOptions<FastifyRequest>> = fastifyPlugin(plugin, {
  fastify: '5.x',
  name: '@holdfast/abuse-guard',
})
export default abuseGuard
