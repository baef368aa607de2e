import { Authorisation, type Clock, ignoreRejection, isProbe, RefusalPages } from '@holdfast/footing'
import type { FastifyBaseLogger, FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { AbuseGuard } from './abuse-guard.ts'
import { answerBlocked } from './blocked-answer.ts'
import { AlreadyRegisteredError, ForbiddenError, UnauthenticatedError } from './errors.ts'
import { believesAnybody } from './forwarding.ts'
import { type Asked, MAX_BODY_BYTES, operatorRoutes } from './operator-routes.ts'
import {
  type AbuseGuardOptions,
  type AbuseGuardRouteOptions,
  checkRoute,
  type ResolvedOptions,
  resolveOptions,
} from './options.ts'
import { RedisStore } from './redis-store.ts'

declare module 'fastify' {
  interface FastifyInstance {
    abuseGuard: AbuseGuard
  }
  interface FastifyContextConfig {
    /** `false`: requests to this route are neither counted nor refused. */
    abuseGuard?: AbuseGuardRouteOptions | false
  }
}

/** What this plugin uses of `app.health`, without needing `@holdfast/health`. */
interface HealthReports {
  addReport(page: 'security', name: string, produce: () => object): unknown
}

const plugin: FastifyPluginAsync<AbuseGuardOptions<FastifyRequest>> = async (app: FastifyInstance, given) => {
  if (app.hasDecorator('abuseGuard')) throw new AlreadyRegisteredError()
  const options = resolveOptions(given)
  const { redis, policy, maxBlocks, weights, clock, registry, appName, startupWaitMs, admin, page } = options
  const store = redis && new RedisStore(redis, policy, maxBlocks)
  const guard = new AbuseGuard(options, { log: app.log, store })
  const pages = new RefusalPages(page, clock)
  const addressOf = options.address === undefined ? ipOf : told(options.address, app.log)
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
    checkRoute(url, settings)
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
    const { cost, admitBlocked } = settings ?? unset
    const block = guard.arrive(addressOf(request), cost, doubting ? request : undefined, admitBlocked)
    if (block === undefined) {
      done()
      return
    }
    reply.hijack()
    answerBlocked(request.raw, reply.raw, {
      retryAfterMs: block.untilMs - clock.nowMs(),
      pageOf: (refused) => pages.find(request, refused),
    })
  })

  if (weights.size > 0) {
    app.addHook('onResponse', (request, reply, done) => {
      const weight = weights.get(reply.statusCode)
      // The request itself was counted when it came.
      if (weight !== undefined && weight > 1 && settingsOf(request) !== false) {
        guard.charge(addressOf(request), weight - 1)
      }
      done()
    })
  }

  if (admin !== undefined) await addOperatorRoutes(app, guard, admin, clock)

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

/**
 * Nobody may use these routes without `authorize`, which is asked as late as possible, so that it can read what the
 * application's own hooks found out. An operator whose own address is blocked gets through, lest he be locked out of the
 * way back.
 */
async function addOperatorRoutes(
  app: FastifyInstance,
  guard: AbuseGuard,
  { prefix, authorize, authorizeTimeoutMs }: NonNullable<ResolvedOptions<FastifyRequest>['admin']>,
  clock: Clock,
): Promise<void> {
  const authorisation = new Authorisation(authorize, authorizeTimeoutMs, clock)
  await app.register(
    async (scope) => {
      scope.addHook(
        'preHandler',
        authorisation.preHandler({
          realm: 'abuse-guard',
          Unauthenticated: UnauthenticatedError,
          Forbidden: ForbiddenError,
        }),
      )
      for (const { method, path, answer } of operatorRoutes) {
        scope.route({
          method,
          url: path,
          bodyLimit: MAX_BODY_BYTES,
          config: { abuseGuard: { admitBlocked: true } },
          async handler(request, reply) {
            const { statusCode = 200, body, told } = await answer(guard, request as Asked)
            if (told !== undefined) request.log.warn(...told)
            return reply.code(statusCode).header('cache-control', 'no-store').send(body)
          },
        })
      }
    },
    { prefix },
  )
}

/** Those of the route; `false` where it is not guarded. Probes of `@holdfast/health` are not. */
function settingsOf(request: FastifyRequest): AbuseGuardRouteOptions | false | undefined {
  const { config } = request.routeOptions
  return isProbe(config) ? false : config.abuseGuard
}

const unset: AbuseGuardRouteOptions = {}

function ipOf({ ip }: FastifyRequest): string {
  return ip
}

/** Says once that an `address` function answers something that can be no address: nobody would be counted. */
function told(address: (request: FastifyRequest) => unknown, log: FastifyBaseLogger) {
  let isTold = false
  return (request: FastifyRequest): string | undefined => {
    const answer = address(request)
    if (typeof answer === 'string' || answer === undefined) return answer
    ignoreRejection(answer)
    if (!isTold) {
      isTold = true
      const received = answer instanceof Promise ? 'a promise' : `a value of the type ${typeof answer}`
      log.error(`abuse-guard option "address" must answer a text, it answered ${received}: nobody is counted`)
    }
    return undefined
  }
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
