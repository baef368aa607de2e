import type { Clock } from '@holdfast/footing'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { isDatabaseTrouble } from './database-trouble.ts'
import type { RouteMode } from './gate.ts'
import { type Criticality, type PoolScope, runInScope } from './request-scope.ts'

/** Why a fallback is asked instead of the database. */
export interface FallbackContext {
  readonly reason: RouteMode['reason'] | 'failed'
  /** What the handler failed with; `undefined` when it was not even started. */
  readonly error: unknown
  /** When the database may be tried again, in ms. */
  readonly retryAfterMs: number
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
  /** How long the database may take for one request in all, in ms. Default: what is left of `handlerTimeout`. */
  readonly budgetMs?: number
}

/** What a guarded route needs of the plugin. */
export interface GuardedRouteParts {
  readonly clock: Clock
  readonly routeMode: (criticality: Criticality, onSaturated: 'wait' | 'fallback') => RouteMode
  readonly tenant: ((request: FastifyRequest) => string | undefined) | undefined
  /** `GET /orders/:id` */
  readonly route: string
  readonly criticality: Criticality
  readonly onSaturated: 'wait' | 'fallback'
  readonly fallback: PoolGuardRouteOptions['fallback']
  readonly budgetMs: number | undefined
}

/** RFC 7234, 5.5.1. RFC 9111 took the header out of the standard; it harms nobody, and says it in one word. */
const STALE_WARNING = '110 - "Response is Stale"'

/** What a request carries along; its signal and tenant are made when somebody asks for them. */
class RequestScope implements PoolScope {
  readonly criticality: Criticality
  readonly route: string
  readonly deadlineMs: number | undefined
  readonly #request: FastifyRequest
  readonly #reply: FastifyReply
  readonly #tenantOf: GuardedRouteParts['tenant']
  #controller: AbortController | undefined
  #tenant: string | undefined
  #tenantKnown = false

  constructor(request: FastifyRequest, reply: FastifyReply, parts: GuardedRouteParts) {
    this.criticality = parts.criticality
    this.route = parts.route
    this.deadlineMs = parts.budgetMs === undefined ? undefined : parts.clock.nowMs() + parts.budgetMs
    this.#request = request
    this.#reply = reply
    this.#tenantOf = parts.tenant
  }

  get tenant(): string | undefined {
    if (!this.#tenantKnown) {
      this.#tenantKnown = true
      this.#tenant = this.#tenantOf?.(this.#request)
    }
    return this.#tenant
  }

  /**
   * Aborts when the client goes away. Not `request.signal`: in Fastify 5.12 on Node 24 that one aborts as soon as the
   * body of a request has been read, so it would cancel every write.
   */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController()
      const { raw } = this.#reply
      const leave = (): void => {
        if (!raw.writableFinished) controller.abort(new Error('the client went away'))
      }
      this.#controller = controller
      if (raw.destroyed) leave()
      else raw.once('close', leave)
    }
    return this.#controller.signal
  }
}

/** One route with `config.poolGuard`: its scope, and its fallback. */
export class GuardedRoute {
  readonly #parts: GuardedRouteParts

  constructor(parts: GuardedRouteParts) {
    this.#parts = parts
  }

  /** Runs what follows in the scope of the request. */
  enter(request: FastifyRequest, reply: FastifyReply, next: () => void): void {
    runInScope(new RequestScope(request, reply, this.#parts), next)
  }

  /** Answers with the handler, or with the fallback when the database cannot. */
  async answer(request: FastifyRequest, reply: FastifyReply, handler: () => unknown): Promise<unknown> {
    const { fallback, routeMode, criticality, onSaturated } = this.#parts
    if (fallback === undefined) return handler()
    const mode = routeMode(criticality, onSaturated)
    if (mode.use !== 'database') {
      const { reason, retryAfterMs } = mode
      return this.#fallBack(request, reply, { reason, retryAfterMs, error: undefined })
    }
    try {
      return await handler()
    } catch (error) {
      if (reply.sent || !isDatabaseTrouble(error)) throw error
      const { reason, retryAfterMs } = routeMode(criticality, onSaturated)
      return this.#fallBack(request, reply, {
        reason: reason === 'well' ? 'failed' : reason,
        retryAfterMs,
        error,
      })
    }
  }

  async #fallBack(request: FastifyRequest, reply: FastifyReply, context: FallbackContext): Promise<unknown> {
    const { fallback } = this.#parts
    const payload = await fallback?.(request, reply, context)
    if (!reply.sent && reply.getHeader('warning') === undefined) reply.header('warning', STALE_WARNING)
    return payload
  }
}
