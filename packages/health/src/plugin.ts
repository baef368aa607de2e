import Fastify, {
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
  type HTTPMethods,
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
import { type HealthOptions, resolveOptions } from './options.ts'
import { readProbeQuery } from './probe-query.ts'
import { problemOf } from './problem.ts'
import { HealthRegistry } from './registry.ts'
import { methods, type ProbeRoute, routes } from './route-table.ts'

/** What `app.health` is: the registry, and the management listener when there is one. */
export interface Health extends HealthRegistry {
  /**
   * The Fastify instance of the management listener, `undefined` without the option. Before `app.ready()` other plugins
   * may add routes to it that are for the cluster's inside only, such as `/metrics`.
   */
  readonly management: FastifyInstance | undefined
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

  const management = listener && Fastify({ logger: false, forceCloseConnections: true })
  if (management) addRoutes(management, answers, 'everyone', [])
  app.decorate('health', Object.assign(registry, { management }))

  // A scope of its own: hooks that are added to the application from here on do not run for probes.
  await app.register(async (scope) => addRoutes(scope, answers, authorisation, options.omitPaths))

  app.addHook('onReady', async () => {
    registry.start()
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
  app.addHook('onClose', async () => management?.close())
}

function addRoutes(
  scope: FastifyInstance,
  answers: ProbeAnswers,
  authorisation: Authorisation<FastifyRequest> | 'everyone',
  omitPaths: readonly string[],
): void {
  for (const route of routes) {
    if (omitPaths.includes(route.path)) continue
    scope.route({
      method: [...methods] as HTTPMethods[],
      url: route.path,
      logLevel: 'silent',
      // Read by guards that would otherwise count, limit or log a probe.
      config: { health: 'probe', rateLimit: false } as { health: 'probe' },
      handler: handlerOf(route, answers, authorisation),
    })
  }
}

function handlerOf(
  route: ProbeRoute,
  answers: ProbeAnswers,
  authorisation: Authorisation<FastifyRequest> | 'everyone',
): (request: FastifyRequest, reply: FastifyReply) => void {
  const { page, guarded, path } = route
  if (page === 'static') return (request, reply) => send(request, reply, answers.static())
  const plain = !guarded && !path.includes(':')
  return (request, reply) => {
    const accept = request.headers.accept
    const query = readProbeQuery(request.query)
    if (plain && query.exclude.length === 0 && query.warnings.length === 0 && !query.verbose) {
      return send(request, reply, answers.plain(page, accept))
    }
    const decided = (details: boolean): void => {
      if (guarded && !details) {
        refuse(request, reply, authorisation)
        return
      }
      const { check, group } = request.params as { check?: string; group?: string }
      try {
        send(request, reply, answers.answer({ page, check, group, accept, query, details }))
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

function send(request: FastifyRequest, reply: FastifyReply, answer: Answer): void {
  reply.header('content-type', answer.contentType).header('cache-control', 'no-store')
  if (answer.statusCode !== 200) reply.code(answer.statusCode)
  if (request.method === 'OPTIONS') reply.header('allow', methods.join(', '))
  reply.send(answer.body)
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
