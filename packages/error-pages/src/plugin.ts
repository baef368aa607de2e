import type { IncomingMessage, ServerResponse } from 'node:http'
import { type MetricsRegistry, takeOver } from '@holdfast/footing'
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify'
import fp from 'fastify-plugin'
import { type ErrorPage, ErrorPages, type ErrorPagesSnapshot } from './error-pages.ts'
import { AlreadyRegisteredError, MethodNotAllowedError } from './errors.ts'
import { checks, type ErrorPagesOptions } from './options.ts'
import { type OtherMethods, PathTable } from './other-methods.ts'

/** Options of the plugin: those of `ErrorPages`, and its own. */
export interface ErrorPagesPluginOptions extends ErrorPagesOptions {
  /**
   * The `ErrorPages` whose `serverOptions` the server was made with; then they have the options, and these here must
   * be left out. Default: a new one, which sees only requests that Node and Fastify could read.
   */
  readonly pages?: ErrorPages
  /** A prom-client `Registry` for the metrics. Default: none; prom-client is not loaded. */
  readonly registry?: MetricsRegistry
  /** The label `app` of the metrics, for applications that share a registry. Default: no such label. */
  readonly appName?: string
}

/** What `app.errorPages` is. */
export interface ErrorPagesDecorator {
  /** Answers an error outside a handler, for example in a hook that has to answer itself. */
  answer(error: unknown, request: FastifyRequest, reply: FastifyReply): void
  /**
   * The page that tells an error to somebody who prefers pages; undefined for programs. Sends nothing: for plugins that
   * answer themselves, as their option `page`.
   */
  pageFor(this: void, request: FastifyRequest, error: unknown): ErrorPage | undefined
  /**
   * Adds, at every path that was added after the plugin, an answer for the methods it lacks: 405 with `Allow`, and 204
   * to OPTIONS. Call it when all routes are there. Methods that Fastify does not know by itself stay 404.
   */
  answerOtherMethods(): void
  /** Counters as plain data. */
  snapshot(): ErrorPagesSnapshot
}

declare module 'fastify' {
  interface FastifyInstance {
    errorPages: ErrorPagesDecorator
  }
}

/** The plugin; decorates the instance with `errorPages`, and answers its errors and unknown addresses. */
export const errorPages = fp(
  async (app: FastifyInstance, options: ErrorPagesPluginOptions) => {
    if (app.hasDecorator('errorPages')) throw new AlreadyRegisteredError()
    const { pages: given, registry, appName, ...rest } = options
    if (given !== undefined) {
      if (!(given instanceof ErrorPages)) checks.refuse('pages', 'an ErrorPages', given)
      checks.onlyKnown('', rest, ['pages', 'registry', 'appName'])
    }
    checks.having('registry', registry, ['registerMetric', 'getSingleMetric'])
    if (appName !== undefined) checks.text('appName', appName, 63)
    const pages = given ?? new ErrorPages(rest)
    const paths = new PathTable()

    app.decorate('errorPages', {
      answer: (error, request, reply) => pages.answer(error, request, reply),
      pageFor: (request, error) => pages.pageFor(request, error),
      answerOtherMethods: () => {
        const others = paths.others({
          supported: app.supportedMethods,
          reading: app.initialConfig.routerOptions ?? {},
          has: (method, url) => app.hasRoute({ method: method as HTTPMethods, url }),
        })
        for (const each of others) addAnswer(app, each)
      },
      snapshot: () => pages.snapshot(),
    })
    app.setErrorHandler((error, request, reply) => {
      standIn(pages, request, reply)
      pages.answer(error, request, reply)
    })
    app.setNotFoundHandler((request, reply) => pages.answerUnknown(request, reply))
    app.addHook('onRoute', ({ url, method }) => paths.note(url, [method].flat()))
    app.server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) =>
      pages.answerExpectation(request, response),
    )
    if (registry !== undefined) {
      // Loaded only here: prom-client is an optional peer.
      const { sharedMetrics } = await import('./metrics.ts')
      app.addHook(
        'onClose',
        sharedMetrics.share(registry, appName, () => pages.snapshot()),
      )
    }
  },
  { fastify: '5.x', name: '@holdfast/error-pages' },
)

/**
 * Hooks see the answer to an error, too, and may fail again; Fastify would then send the words of that error as they are.
 * It does so through the reply, where this stands in the way.
 */
function standIn(pages: ErrorPages, request: FastifyRequest, reply: FastifyReply): void {
  const { send } = reply
  reply.send = (payload?: unknown) => {
    if (!(payload instanceof Error) || reply.sent) return send.call(reply, payload)
    if (reply.raw.headersSent) {
      reply.raw.destroy()
      return reply
    }
    // What the hooks still do with the reply reaches nobody.
    const successor = takeOver(reply)
    pages.answerPastHooks(payload, request, successor.raw, successor.getHeaders())
    return reply
  }
}

function addAnswer(app: FastifyInstance, { url, methods, allow }: OtherMethods): void {
  const answer = async ({ method }: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    reply.header('allow', allow)
    if (method === 'OPTIONS') return reply.code(204).send()
    throw new MethodNotAllowedError(method, allow)
  }
  // In the first hook, so that nobody waits for a body that nobody reads.
  app.route({
    method: [...methods] as HTTPMethods[],
    url,
    exposeHeadRoute: false,
    onRequest: answer,
    handler: answer,
  })
}
