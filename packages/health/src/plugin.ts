import { Authorisation, probeConfig } from '@holdfast/footing'
import Fastify, {
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { type Answer, ProbeAnswers, problemAnswer } from './answers.ts'
import {
  AlreadyRegisteredError,
  ForbiddenError,
  ManagementListenError,
  UnauthenticatedError,
  UnknownPageError,
} from './errors.ts'
import { LivenessWorker } from './liveness-worker.ts'
import { type HealthOptions, resolveOptions } from './options.ts'
import { isPlain, readProbeQuery } from './probe-query.ts'
import { HealthRegistry } from './registry.ts'
import { type ProbeRoute, routes } from './route-table.ts'

/** What `app.health` is: the registry as an application uses it, and the two listeners where there are any. */
export interface Health
  extends Pick<
    HealthRegistry,
    | 'addCheck'
    | 'addReport'
    | 'degrade'
    | 'recover'
    | 'cordon'
    | 'uncordon'
    | 'drain'
    | 'confirmed'
    | 'snapshot'
    | 'phase'
  > {
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
    health?: typeof probeConfig.health
  }
}

const plugin: FastifyPluginAsync<HealthOptions<FastifyRequest>> = async (app, given) => {
  if (app.hasDecorator('health')) throw new AlreadyRegisteredError()
  const options = resolveOptions(given)
  const { management: listener, authorize, authorizeTimeoutMs, clock } = options
  const registry = new HealthRegistry({ ...options, log: app.log })
  for (const check of options.checks) registry.add(check)
  const answers = new ProbeAnswers(registry)
  const authorisation = new Authorisation(authorize, authorizeTimeoutMs, clock)

  if (options.registry) {
    // Loaded only here: prom-client is an optional peer.
    const { sharedMetrics, shownOf } = await import('./metrics.ts')
    app.addHook(
      'onClose',
      sharedMetrics.share(options.registry, options.appName, () => shownOf(registry)),
    )
  }
  const management = listener && Fastify({ logger: false, forceCloseConnections: true, ...listener.server })
  if (management) {
    management.setNotFoundHandler((request, reply) =>
      sendAsUsual(request, reply, problemAnswer(new UnknownPageError(), 404)),
    )
    await addRoutes(management, answers, 'everyone', [])
  }
  const isAlive = (): boolean => registry.statusOf('live', registry.read('live')) === 'ok'
  const livenessWorker =
    options.livenessWorker && new LivenessWorker(options.livenessWorker, isAlive, { clock, log: app.log })
  app.decorate('health', Object.assign(registry, { management, livenessWorker }))

  await addRoutes(app, answers, authorisation, options.omitPaths)

  app.addHook('onReady', async () => {
    registry.start()
    await livenessWorker?.start()
    if (!management || !listener) return
    if (!listener.listen) {
      await management.ready()
      return
    }
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

/**
 * A probe path has a scope of its own, whose first hook gives the answer. Hooks that the application adds later reach
 * every scope, but after ours: they do not run, for the answer is given. The operators' pages are ordinary routes, so
 * that `authorize` can read what the application's own hooks found out about the caller.
 */
async function addRoutes(
  app: FastifyInstance,
  answers: ProbeAnswers,
  authorisation: Authorisation<FastifyRequest> | 'everyone',
  omitPaths: readonly string[],
): Promise<void> {
  for (const route of routes) {
    if (omitPaths.includes(route.path)) continue
    const answer = answering(route, answers, authorisation)
    const shared = { method: ['GET', 'HEAD', 'OPTIONS'], url: route.path, handler: answer }
    if (route.guarded) {
      app.route(shared)
      continue
    }
    await app.register(async (scope) => {
      scope.addHook('onRequest', answer)
      // The marks are for guards that would otherwise count, limit or log a probe.
      scope.route({ ...shared, logLevel: 'silent', config: probeConfig })
    })
  }
}

function answering(
  { page, guarded, path }: ProbeRoute,
  answers: ProbeAnswers,
  authorisation: Authorisation<FastifyRequest> | 'everyone',
): (request: FastifyRequest, reply: FastifyReply) => void {
  if (page === 'static') return (request, reply) => sendAtOnce(request, reply, answers.static())
  const kept = !guarded && !path.includes(':')
  const send = guarded ? sendAsUsual : sendAtOnce
  return (request, reply) => {
    const accept = request.headers.accept
    const query = readProbeQuery(request.query)
    if (kept && isPlain(query)) {
      sendAtOnce(request, reply, answers.plain(page, accept))
      return
    }
    const decided = (details: boolean): void => {
      if (guarded && !details) {
        send(request, reply, refusal(request, authorisation))
        return
      }
      const { check, group } = request.params as { check?: string; group?: string }
      send(request, reply, answers.answer({ page, check, group, accept, query, details }))
    }
    if (authorisation === 'everyone') decided(true)
    else if (guarded || query.verbose) authorisation.decide(request, decided)
    else decided(false)
  }
}

function refusal(request: FastifyRequest, authorisation: Authorisation<FastifyRequest> | 'everyone'): Answer {
  const couldHelp = authorisation !== 'everyone' && authorisation.possible
  if (couldHelp && request.headers.authorization === undefined) {
    return problemAnswer(new UnauthenticatedError(), 401, { 'www-authenticate': 'Bearer realm="health"' })
  }
  return problemAnswer(new ForbiddenError(), 403)
}

/** Past Fastify's sending, its onSend hooks included. */
function sendAtOnce(request: FastifyRequest, reply: FastifyReply, answer: Answer): void {
  // Fastify's handlerTimeout may have answered while `authorize` was waited for.
  if (reply.sent) return
  reply.hijack()
  reply.raw.writeHead(answer.statusCode, headersFor(request, answer)).end(answer.body)
}

function sendAsUsual(request: FastifyRequest, reply: FastifyReply, answer: Answer): void {
  reply.code(answer.statusCode).headers(headersFor(request, answer))
  // An onSend hook may change the body.
  reply.removeHeader('content-length').send(answer.body)
}

function headersFor(request: FastifyRequest, { headers }: Answer): Readonly<Record<string, string>> {
  return request.method === 'OPTIONS' ? { ...headers, allow: 'GET, HEAD, OPTIONS' } : headers
}

/**
 * Health checks and probes for Fastify. Register it first, with `await`, so that no hook of yours runs for a probe.
 * Raises `HOLDFAST_ERR_HEALTH_OPTION` and the errors of `addCheck()` at `register()`.
 */
export const health: FastifyPluginAsync<HealthOptions<FastifyRequest>> = fastifyPlugin(plugin, {
  fastify: '5.x',
  name: '@holdfast/health',
})
export default health
