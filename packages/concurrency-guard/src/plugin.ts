import {
  answerLikeHandler,
  ignoreRejection,
  type MetricsRegistry,
  type PageOfRefusal,
  RefusalPages,
  type ReplyLike,
  systemClock,
  wholeSeconds,
} from '@holdfast/footing'
import type {
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  HookHandlerDoneFunction,
  RouteOptions,
} from 'fastify'
import fp from 'fastify-plugin'
import { ConcurrencyGuard } from './concurrency-guard.ts'
import { AlreadyRegisteredError, ConflictError, NotGuardedError } from './errors.ts'
import { GuardedRequest, type RequestLike, thenOfReply } from './guarded-request.ts'
import type { OperationKey } from './key.ts'
import type { OperationContext } from './operation.ts'
import {
  type ConcurrencyGuardOptions,
  checks,
  type OperationOptions,
  resolveTerms,
  type Terms,
  termNames,
} from './options.ts'
import type { Refusal } from './refusal.ts'

/** Options of the plugin: those of `ConcurrencyGuard`, and its own. */
export interface ConcurrencyGuardPluginOptions extends ConcurrencyGuardOptions {
  /**
   * A page for people in place of the body of a conflict: `app.errorPages.pageFor` of `@holdfast/error-pages`, or a
   * function that answers `{ headers, body }`, or undefined for who wants none. Default: everybody gets the body.
   */
  readonly page?: PageOfRefusal<FastifyRequest> | undefined
  /** A prom-client `Registry` for the metrics. Default: none; prom-client is not loaded. */
  readonly registry?: MetricsRegistry | undefined
  /**
   * The label `app` of the metrics. Needed when scopes or applications of one process share a registry: all but one
   * of them must have it. Default: no such label.
   */
  readonly appName?: string | undefined
}

/** What a refused request is told. */
export interface Conflict {
  /** Who is at work: this process (`held-here`) or another one (`held-elsewhere`). */
  readonly reason: 'held-here' | 'held-elsewhere'
  readonly message: string
  readonly retryAfterMs: number
  readonly retryAfterSeconds: number
}

/** Per-route setting `config.concurrencyGuard`. */
export interface ConcurrencyGuardRouteOptions extends OperationOptions {
  /**
   * What only one request at a time may be at work on, for example `['bot', request.user.id]`: the same in all routes
   * that must not run beside each other. `false`: this request needs no guard. Called after the validation and the
   * other hooks of the request.
   */
  readonly key: (request: FastifyRequest) => OperationKey | false
  /**
   * Answers a conflict, in the way of a handler. Default, also where it promises nothing: 429 with `Retry-After` and
   * `{ success: false, message, retry_after }`.
   */
  readonly onConflict?: (request: FastifyRequest, reply: FastifyReply, conflict: Conflict) => unknown
}

declare module 'fastify' {
  interface FastifyInstance {
    concurrencyGuard: ConcurrencyGuard
  }
  interface FastifyRequest {
    /** The operation of a guarded route, from its handler on. Raises `HOLDFAST_ERR_CONCURRENCY_GUARD_NOT_GUARDED`. */
    readonly concurrencyGuard: OperationContext
  }
  interface FastifyContextConfig {
    concurrencyGuard?: ConcurrencyGuardRouteOptions | false
  }
}

async function plugin(app: FastifyInstance, options: ConcurrencyGuardPluginOptions): Promise<void> {
  if (app.hasDecorator('concurrencyGuard')) throw new AlreadyRegisteredError()
  const { registry, appName, page, ...guardOptions } = options
  checks.synchronous('page', page)
  checks.having('registry', registry, ['registerMetric', 'getSingleMetric'])
  if (appName !== undefined) checks.text('appName', appName, 63)
  const guard = new ConcurrencyGuard(guardOptions)
  const pages = new RefusalPages(page, guardOptions.clock ?? systemClock)
  app.decorate('concurrencyGuard', guard)
  app.decorateRequest('concurrencyGuard', {
    getter() {
      const context = GuardedRequest.of(this as RequestLike)?.context
      if (context === undefined) throw new NotGuardedError()
      return context
    },
  })
  // On the prototype: a member of each reply would cost every request.
  app.decorateReply('then', thenOfReply as unknown as FastifyReply['then'])
  app.addHook('onRoute', (route) => guardRoute(route, guard, pages))
  // Fastify closes its server, and waits for all requests, before it comes to `onClose`.
  app.addHook('preClose', async () => guard.refuseAll())
  app.addHook('onClose', () => guard.close())
  if (registry !== undefined) {
    // Loaded only here: prom-client is an optional peer.
    const { sharedMetrics } = await import('./metrics.ts')
    app.addHook(
      'onClose',
      sharedMetrics.share(registry, appName, () => guard.snapshot()),
    )
  }
}

function guardRoute(route: RouteOptions, guard: ConcurrencyGuard, pages: RefusalPages<FastifyRequest>): void {
  const setting = route.config?.concurrencyGuard
  if (setting === undefined || setting === false) return
  const { key, onConflict, terms } = resolveRoute(setting, `${route.method} ${route.url}`, guard.terms)
  const usually = conflictAnswer(terms, pages)
  const answerConflict = onConflict ?? usually
  const { handler } = route
  route.preHandler = [
    ...[route.preHandler ?? []].flat(),
    (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction) => {
      const guarded = new GuardedRequest(request as RequestLike, reply as ReplyLike)
      const name: unknown = key(request)
      // An async function is refused as a key.
      ignoreRejection(name)
      if (name === false) {
        guarded.passUnguarded()
        done()
        return
      }
      guarded.enter(guard.enter(name as OperationKey, terms), (refusal) => {
        if (refusal === undefined) done()
        else if (isConflict(refusal))
          answerLikeHandler(
            reply,
            () => answerConflict(request, reply, toldOf(refusal, terms)),
            () => usually(request, reply),
          )
        else done(tellRetryAfter(reply, refusal.toError()))
      })
    },
  ]
  route.onSend = [
    ...[route.onSend ?? []].flat(),
    (request: FastifyRequest, reply: FastifyReply, payload: unknown, done: () => void) => {
      const guarded = GuardedRequest.of(request as RequestLike)
      if (guarded === undefined) done()
      else guarded.answering(reply, payload, () => done())
    },
  ]
  route.handler = function (request, reply) {
    const run = () => handler.call(this, request, reply)
    const guarded = GuardedRequest.of(request as RequestLike)
    return guarded === undefined ? run() : guarded.run(run)
  }
}

function resolveRoute(setting: ConcurrencyGuardRouteOptions, route: string, defaults: Terms) {
  const owner = `config.concurrencyGuard of ${route}: `
  checks.object(`config.concurrencyGuard of ${route}`, setting)
  const { key, onConflict } = setting
  if (typeof key !== 'function') checks.refuse(`${owner}key`, 'a function', key)
  checks.callable(`${owner}onConflict`, onConflict)
  checks.onlyKnown(owner, setting, ['key', 'onConflict', ...termNames])
  return { key, onConflict, terms: resolveTerms(owner, setting, defaults) }
}

/** The default answer, made once for a route: a refusal costs next to nothing. */
function conflictAnswer({ message, retryAfterMs }: Terms, pages: RefusalPages<FastifyRequest>) {
  const retryAfterSeconds = wholeSeconds(retryAfterMs)
  const body = JSON.stringify({ success: false, message, retry_after: retryAfterSeconds })
  const refused = { statusCode: 429, code: new ConflictError(message).code, message, retryAfterSeconds }
  return (request: FastifyRequest, reply: FastifyReply) => {
    reply.code(429).headers({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'retry-after': String(retryAfterSeconds),
    })
    const page = pages.find(request, refused)
    return page === undefined ? reply.send(body) : reply.headers(page.headers).send(page.body)
  }
}

function isConflict(refusal: Refusal): refusal is Refusal & { readonly reason: Conflict['reason'] } {
  return refusal.isConflict
}

function toldOf(
  { reason }: { readonly reason: Conflict['reason'] },
  { message, retryAfterMs }: Terms,
): Conflict {
  return { reason, message, retryAfterMs, retryAfterSeconds: wholeSeconds(retryAfterMs) }
}

function tellRetryAfter(reply: FastifyReply, error: Error): Error {
  const { retryAfterSeconds } = error as { readonly retryAfterSeconds?: number }
  if (retryAfterSeconds !== undefined) reply.header('retry-after', String(retryAfterSeconds))
  return error
}

/** The Fastify plugin; decorates the instance with `concurrencyGuard` and reads `config.concurrencyGuard` of routes. */
export const concurrencyGuard = fp(plugin, { fastify: '5.x', name: '@holdfast/concurrency-guard' })

export default concurrencyGuard
