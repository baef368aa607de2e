import type { ServerResponse } from 'node:http'
import type { Clock } from '@holdfast/footing'
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

/** What a guarded route needs of a Fastify reply. */
export interface ReplyLike {
  readonly sent: boolean
  readonly raw: Pick<ServerResponse, 'destroyed' | 'writableEnded' | 'once'>
  header(name: string, value: string): unknown
  removeHeader(name: string): unknown
}

/** What a guarded route needs of the plugin. */
export interface GuardedRouteParts<Request, Reply extends ReplyLike> {
  readonly clock: Clock
  readonly routeMode: (criticality: Criticality, onSaturated: 'wait' | 'fallback') => RouteMode
  readonly tenant: ((request: Request) => string | undefined) | undefined
  readonly readOnly: ((request: Request) => boolean) | undefined
  /** `GET /orders/:id` */
  readonly route: string
  readonly criticality: Criticality
  readonly onSaturated: 'wait' | 'fallback'
  readonly fallback: ((request: Request, reply: Reply, context: FallbackContext) => unknown) | undefined
  readonly budgetMs: number | undefined
}

/** RFC 7234, 5.5.1. RFC 9111 took the header out of the standard; it harms nobody, and says it in one word. */
const STALE_WARNING = '110 - "Response is Stale"'

/** What a request carries along; its signal and tenant are made when somebody asks for them. */
class RequestScope<Request, Reply extends ReplyLike> implements PoolScope {
  readonly criticality: Criticality
  readonly route: string
  readonly deadlineMs: number | undefined
  readonly #request: Request
  readonly #reply: Reply
  readonly #tenantOf: ((request: Request) => string | undefined) | undefined
  readonly #readOnlyFor: ((request: Request) => boolean) | undefined
  #controller: AbortController | undefined
  #tenant: string | undefined
  #tenantKnown = false

  constructor(request: Request, reply: Reply, parts: GuardedRouteParts<Request, Reply>) {
    this.criticality = parts.criticality
    this.route = parts.route
    this.deadlineMs = parts.budgetMs === undefined ? undefined : parts.clock.nowMs() + parts.budgetMs
    this.#request = request
    this.#reply = reply
    this.#tenantOf = parts.tenant
    this.#readOnlyFor = parts.readOnly
  }

  get tenant(): string | undefined {
    if (!this.#tenantKnown) {
      this.#tenantKnown = true
      this.#tenant = this.#tenantOf?.(this.#request)
    }
    return this.#tenant
  }

  /** Asked each time: what holds may change while a request runs. */
  get readOnly(): boolean {
    return this.#readOnlyFor?.(this.#request) === true
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
        if (!raw.writableEnded) controller.abort(new Error('the client went away'))
      }
      this.#controller = controller
      if (raw.destroyed) leave()
      else raw.once('close', leave)
    }
    return this.#controller.signal
  }
}

/** One route with `config.poolGuard`: its scope, and its fallback. */
export class GuardedRoute<Request, Reply extends ReplyLike> {
  readonly #parts: GuardedRouteParts<Request, Reply>

  constructor(parts: GuardedRouteParts<Request, Reply>) {
    this.#parts = parts
  }

  /** Runs what follows in the scope of the request. */
  enter(request: Request, reply: Reply, next: () => void): void {
    runInScope(new RequestScope(request, reply, this.#parts), next)
  }

  /**
   * Answers with the handler, or with the fallback when the database cannot. What the handler returns passes as it is:
   * made a promise, the `undefined` of one that answers later by `reply.send()` would be sent as an empty answer.
   */
  answer(request: Request, reply: Reply, handler: () => unknown): unknown {
    const { fallback, routeMode, criticality, onSaturated } = this.#parts
    if (fallback === undefined) return handler()
    const mode = routeMode(criticality, onSaturated)
    if (mode.use !== 'database') {
      const { reason, retryAfterMs } = mode
      return this.#fallBack(request, reply, { reason, retryAfterMs, error: undefined })
    }
    const answer = handler()
    if (answer === reply || !isThenable(answer)) return answer
    return Promise.resolve(answer).catch((error: unknown) => {
      if (reply.sent || !isDatabaseTrouble(error)) throw error
      const { reason, retryAfterMs } = routeMode(criticality, onSaturated)
      return this.#fallBack(request, reply, {
        reason: reason === 'well' ? 'failed' : reason,
        retryAfterMs,
        error,
      })
    })
  }

  async #fallBack(request: Request, reply: Reply, context: FallbackContext): Promise<unknown> {
    // Before the fallback, which may send by itself and may say something else.
    reply.header('warning', STALE_WARNING)
    try {
      return await this.#parts.fallback?.(request, reply, context)
    } catch (error) {
      reply.removeHeader('warning')
      throw error
    }
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (Object(value) as { then?: unknown }).then === 'function'
}
