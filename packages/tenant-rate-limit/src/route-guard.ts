/*
 * The limits of one route: decides about each request, tells the client, and answers in the place of the handler when a
 * limit is reached. Synchronous, without a promise, wherever nothing has to be asked.
 *
 * Guarantees: a request is decided once; what was taken for an answer that does not count is given back when the answer
 * is out, and kept when the client left before; `onLimit: 'stale'` never makes a request wait, and is refused itself
 * beyond its bound.
 */
import {
  type AnsweringReply,
  answerLikeHandler,
  ignoreRejection,
  type LoggingRequest,
  type RefusalPages,
} from '@holdfast/footing'
import type { Claim } from './claim.ts'
import { reportRefused } from './events.ts'
import type { DecideOptions, RateLimiter } from './limiter.ts'
import type { RateLimitHeaders } from './rate-limit-headers.ts'
import { PROBLEM_TYPE, type Refusal, type Refusals } from './refusal.ts'
import type { RequestClaims } from './request-claims.ts'
import type { ResolvedRoute } from './route-options.ts'
import { type StaleLimit, type StaleReply, sendStale } from './stale-answers.ts'
import type { Decision, Reservation } from './store.ts'

/** What is used of a Fastify request. */
export interface RequestLike extends LoggingRequest {
  tenantRateLimit: Decision | null
}

/** What is used of a Fastify reply. */
export interface ReplyLike extends StaleReply, AnsweringReply {
  readonly raw: RawReply
}

/** What is used of a response of Node. */
export interface RawReply {
  readonly statusCode: number
  readonly headersSent: boolean
  once(event: 'finish' | 'close', listener: () => void): unknown
}

/** How requests of limited routes ended, other than by a decision of the limiter. */
export interface GuardCounts {
  /** Let pass without a decision. */
  exempt: number
  /** Refused with 429 or 503. */
  refused: number
  /** Answered from a cache. */
  servedStale: number
  /** Refused, because too much was served from a cache already. */
  staleLimited: number
  /** Refused, because the cache had nothing, or failed. */
  staleMissed: number
  /** Answered by a function. */
  handled: number
  /** Given back, because the answer does not count. */
  refunded: number
}

/** What the guards of all routes share. */
export interface GuardParts<Request extends LoggingRequest> {
  readonly limiter: Pick<RateLimiter, 'decide' | 'settle'>
  readonly headers: Pick<RateLimitHeaders, 'write'>
  readonly refusals: Pick<Refusals, 'of'>
  readonly pages: Pick<RefusalPages<Request>, 'find'>
  readonly staleLimit: Pick<StaleLimit, 'take'>
  readonly counts: GuardCounts
  /** Whether the request may pass without a decision. */
  readonly isExempt: (request: Request) => boolean
}

type Done = (error?: Error) => void

export class RouteGuard<Request extends RequestLike, Reply extends ReplyLike> {
  /** Whose guard it is, for messages: `GET /theme`. */
  readonly name: string
  readonly #parts: GuardParts<Request>
  readonly #claims: RequestClaims<Request>
  readonly #route: Pick<ResolvedRoute<Request, Reply>, 'count' | 'onLimit' | 'stale'>
  readonly #options: DecideOptions
  #warned = false

  constructor(
    name: string,
    route: Pick<ResolvedRoute<Request, Reply>, 'count' | 'onLimit' | 'stale'>,
    claims: RequestClaims<Request>,
    parts: GuardParts<Request>,
  ) {
    this.name = name
    this.#route = route
    this.#claims = claims
    this.#parts = parts
    this.#options = { reserve: route.count !== 'all' }
  }

  /** A hook of Fastify in its callback form: calls `done`, or answers. What it throws, Fastify answers. */
  handle(request: Request, reply: Reply, done: Done): void {
    const { limiter, isExempt, counts } = this.#parts
    if (isExempt(request)) {
      counts.exempt += 1
      done()
      return
    }
    const claims = this.#claims.of(request)
    const decided = limiter.decide(claims, this.#options)
    if (!(decided instanceof Promise)) {
      if (this.#follow(decided, claims, request, reply)) done()
      return
    }
    decided.then((decision) => {
      let passes: boolean
      try {
        passes = this.#follow(decision, claims, request, reply)
      } catch (error) {
        done(error as Error)
        return
      }
      if (passes) done()
    }, done)
  }

  /** What is left for this request, and whether it would pass; nothing is taken. */
  peek(request: Request): Decision | Promise<Decision> {
    return this.#parts.limiter.decide(this.#claims.of(request), looking)
  }

  /** Takes what the request costs, and leaves the answer to the caller. */
  take(request: Request): Decision | Promise<Decision> {
    return this.#parts.limiter.decide(this.#claims.of(request))
  }

  /** Whether the request passes; else it is answered. */
  #follow(decision: Decision, claims: readonly Claim[], request: Request, reply: Reply): boolean {
    request.tenantRateLimit = decision
    this.#parts.headers.write(reply, decision)
    if (decision.allowed) {
      if (decision.reservation !== undefined) this.#settleAtTheEnd(decision.reservation, reply.raw)
      return true
    }
    const refusal = this.#parts.refusals.of(decision)
    reportRefused(this.name, claims, refusal)
    const { onLimit } = this.#route
    if (onLimit === 'reject') this.#refuse(refusal, request, reply)
    else if (onLimit === 'stale') this.#serveStale(refusal, request, reply)
    else this.#answer(onLimit, refusal, request, reply)
    return false
  }

  #refuse(refusal: Refusal, request: Request, reply: Reply): void {
    const { counts, pages } = this.#parts
    counts.refused += 1
    tell(refusal, reply)
    reply.header('content-type', PROBLEM_TYPE)
    reply.header('cache-control', 'no-store')
    const page = pages.find(request, refusal)
    if (page === undefined) {
      reply.send(refusal.body)
      return
    }
    for (const [name, value] of Object.entries(page.headers)) reply.header(name, value)
    reply.send(page.body)
  }

  #serveStale(refusal: Refusal, request: Request, reply: Reply): void {
    const { counts, staleLimit } = this.#parts
    const { stale } = this.#route
    if (stale === undefined) {
      counts.staleMissed += 1
    } else if (!staleLimit.take(this.#claims.tenantOf(request))) {
      counts.staleLimited += 1
    } else if (this.#sendsStale(stale, request, reply)) {
      counts.servedStale += 1
      return
    } else {
      counts.staleMissed += 1
    }
    this.#refuse(refusal, request, reply)
  }

  #sendsStale(
    stale: NonNullable<ResolvedRoute<Request, Reply>['stale']>,
    request: Request,
    reply: Reply,
  ): boolean {
    try {
      const answer: unknown = stale(request, reply)
      if (answer instanceof Promise) {
        ignoreRejection(answer)
        this.#warn(request, promised, undefined)
        return false
      }
      const outcome = sendStale(reply, answer)
      if (outcome === 'unsendable') this.#warn(request, unsendable, undefined)
      return outcome === 'sent'
    } catch (error) {
      this.#warn(request, 'a route over its limit has no stale answer: its function failed', error)
      return false
    }
  }

  /** Once for each route: a flood must not become a flood of warnings. The counts go on. */
  #warn({ log }: Request, message: string, error: unknown): void {
    if (this.#warned) return
    this.#warned = true
    log.warn({ err: error, route: this.name }, message)
  }

  /** In the way of a handler: by what it returns, or by `reply.send`. */
  #answer(
    onLimit: (request: Request, reply: Reply, refusal: Refusal) => unknown,
    refusal: Refusal,
    request: Request,
    reply: Reply,
  ): void {
    this.#parts.counts.handled += 1
    tell(refusal, reply)
    answerLikeHandler(
      reply,
      () => onLimit(request, reply, refusal),
      () => this.#refuse(refusal, request, reply),
    )
  }

  #settleAtTheEnd(reservation: Reservation, raw: RawReply): void {
    const { limiter, counts } = this.#parts
    const { count } = this.#route
    raw.once('finish', () => {
      const failed = raw.statusCode >= 400
      const counted = failed === (count === 'failures')
      if (!counted) counts.refunded += 1
      limiter.settle(reservation, counted ? 'keep' : 'refund')
    })
    // Comes after every end, and alone when there was no answer. Who leaves before it is counted: leaving would be a way
    // not to be.
    raw.once('close', () => limiter.settle(reservation, 'keep'))
  }
}

/** Status and `Retry-After`. */
function tell({ statusCode, retryAfterSeconds }: Refusal, reply: ReplyLike): void {
  reply.code(statusCode)
  if (retryAfterSeconds !== undefined) reply.header('retry-after', String(retryAfterSeconds))
}

const unsendable =
  'a route over its limit has a stale answer, and nobody can send it: register @holdfast/stale-cache, or send it in the route and return reply'
const promised =
  'a route over its limit has no stale answer: its function answered a promise, and nothing waits for it'
const looking: DecideOptions = { peek: true }
