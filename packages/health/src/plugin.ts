import Fastify, {
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { type Answer, ProbeAnswers } from './answers.ts'
import { Authorisation } from './authorisation.ts'
import {
  ForbiddenError,
  ManagementListenError,
  UnauthenticatedError,
  UnknownCheckError,
  UnknownGroupError,
} from './errors.ts'
import { LivenessWorker } from './liveness-worker.ts'
import { type HealthOptions, resolveOptions } from './options.ts'
import { isPlain, readProbeQuery } from './probe-query.ts'
import { problemOf } from './problem.ts'
import { HealthRegistry } from './registry.ts'
import { type ProbeRoute, routes } from './route-table.ts'

/** What `app.health` is: the registry, and the management listener when there is one. */
export interface Health extends HealthRegistry {
  /**
   * The Fastify instance of the management listener, `undefined` without the option. Before `app.ready()` other plugins
   * may add routes to it that are for the cluster's inside only, such as `/metrics`.
   */
  readonly management: FastifyInstance | undefined
  /** The liveness worker, `undefined` without the option; its `port` is the one in use. */
  readonly livenessWorker: { readonly port: number } | undefined
}

declare module 'fastify' {
  interface FastifyInstance {
    health: Health
  }
  interface FastifyContextConfig {
    /** Set by `@holdfast/health` on its routes, so that guards can leave probes alone. */
    health?: 'probe'
  }
}

const plugin: FastifyPluginAsync<HealthOptions<FastifyRequest>> = async (app, given) => {
  const options = resolveOptions(given)
  const { management: listener, authorize, authorizeTimeoutMs, clock } = options
  const registry = new HealthRegistry({ ...options, log: app.log })
  for (const check of options.checks) registry.add(check)
  const answers = new ProbeAnswers(registry)
  const authorisation = new Authorisation(authorize, authorizeTimeoutMs, clock)

  if (options.registry) {
    // Loaded only here: prom-client is an optional peer.
    const { registerMetrics } = await import('./metrics.ts')
    registerMetrics(registry, options.registry)
  }
  const management = listener && Fastify({ logger: false, forceCloseConnections: true })
  if (management) addRoutes(management, answers, 'everyone', [])
  const isAlive = (): boolean => registry.statusOf('live', registry.read('live')) === 'ok'
  const livenessWorker =
    options.livenessWorker && new LivenessWorker(options.livenessWorker, isAlive, { clock, log: app.log })
  app.decorate('health', Object.assign(registry, { management, livenessWorker }))

  // A scope of its own: hooks that are added to the application from here on do not run for probes.
  await app.register(async (scope) => addRoutes(scope, answers, authorisation, options.omitPaths))

  app.addHook('onReady', async () => {
    registry.start()
    await livenessWorker?.start()
    if (!management || !listener) return
    try {
      await management.listen({ port: listener.port, host: listener.host })
    } catch (error) {
      throw new ManagementListenError(
        `${listener.host}:${listener.port}`,
        error instanceof Error ? error.message : String(error),
        { cause: error },
      )
    }
  })
  // Before the server closes, and so before anyone closes the pools that the checks use.
  app.addHook('preClose', async () => registry.close())
  app.addHook('onClose', async () => {
    await management?.close()
    await livenessWorker?.close()
  })
}

function addRoutes(
  scope: FastifyInstance,
  answers: ProbeAnswers,
  authorisation: Authorisation<FastifyRequest> | 'everyone',
  omitPaths: readonly string[],
): void {
  for (const route of routes) {
    if (omitPaths.includes(route.path)) continue
    const handler = handlerOf(route, answers, authorisation)
    const shared = {
      url: route.path,
      logLevel: 'silent',
      // Read by guards that would otherwise count, limit or log a probe.
      config: { health: 'probe', rateLimit: false } as { health: 'probe' },
    } as const
    scope.route({ ...shared, method: ['GET', 'HEAD'], handler })
    scope.route({
      ...shared,
      method: 'OPTIONS',
      handler: (request, reply) => handler(request, reply.header('allow', 'GET, HEAD, OPTIONS')),
    })
  }
}

function handlerOf(
  route: ProbeRoute,
  answers: ProbeAnswers,
  authorisation: Authorisation<FastifyRequest> | 'everyone',
): (request: FastifyRequest, reply: FastifyReply) => void {
  const { page, guarded, path } = route
  if (page === 'static') return (_request, reply) => send(reply, answers.static())
  const plain = !guarded && !path.includes(':')
  return (request, reply) => {
    const accept = request.headers.accept
    const query = readProbeQuery(request.query)
    if (plain && isPlain(query)) {
      send(reply, answers.plain(page, accept))
      return
    }
    const decided = (details: boolean): void => {
      if (guarded && !details) {
        refuse(request, reply, authorisation)
        return
      }
      const { check, group } = request.params as { check?: string; group?: string }
      try {
        send(reply, answers.answer({ page, check, group, accept, query, details }))
      } catch (error) {
        if (!(error instanceof UnknownCheckError || error instanceof UnknownGroupError)) throw error
        sendProblem(reply, error, 404)
      }
    }
    if (authorisation === 'everyone') decided(true)
    else if (guarded || query.verbose) authorisation.decide(request, decided)
    else decided(false)
  }
}

function send(reply: FastifyReply, { statusCode, contentType, body }: Answer): void {
  reply.code(statusCode).header('content-type', contentType).header('cache-control', 'no-store').send(body)
}

function refuse(
  request: FastifyRequest,
  reply: FastifyReply,
  authorisation: Authorisation<FastifyRequest> | 'everyone',
): void {
  const couldHelp = authorisation !== 'everyone' && authorisation.possible
  if (couldHelp && request.headers.authorization === undefined) {
    reply.header('www-authenticate', 'Bearer realm="health"')
    sendProblem(reply, new UnauthenticatedError(), 401)
  } else {
    sendProblem(reply, new ForbiddenError(), 403)
  }
}

function sendProblem(
  reply: FastifyReply,
  error: { code: string; message: string },
  statusCode: number,
): void {
  reply.code(statusCode)
  reply.header('content-type', 'application/problem+json').header('cache-control', 'no-store')
  reply.send(problemOf(error, statusCode))
}

/**
 * Health checks and probes for Fastify. Register it first, with `await`, so that no hook of yours runs for a probe.
 * Raises `HOLDFAST_ERR_HEALTH_OPTION` and the errors of `addCheck()` at `register()`.
 */
export const health = fastifyPlugin(plugin, { fastify: '5.x', name: '@holdfast/health' })
export default health
