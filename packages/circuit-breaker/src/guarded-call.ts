/**
 * One request of a guarded route while its handler runs. It settles its permit exactly once, however it ends:
 * answered, failed, timed out, hijacked, broken off by the client or by the server.
 */
import { disposeOf, type RawReply, type ReplyLike, takeOver } from '@holdfast/footing'
import { Call } from './call.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { ErrorLog } from './error-log.ts'
import { abortedBy, RouteTimeoutError } from './errors.ts'
import { Expiring, type ExpiryQueue } from './expiry-queue.ts'
import { type Outcome, outcomeOf } from './outcome.ts'
import type { Permit } from './permit.ts'

/** Where the call of a request is found. On Node's own request: a member of Fastify's would cost every request. */
const CALL = Symbol('holdfast.circuit-breaker.call')

/** What this file needs of a Fastify request. */
export interface RequestLike {
  readonly log: { error(details: object, message: string): void }
  readonly raw: {
    [CALL]?: GuardedCall
    readonly httpVersionMajor: number
    readonly socket: { readonly readableEnded: boolean; readonly errored: Error | null } | null
  }
}

/** How requests of guarded routes ended other than by the answer of their handler. Counts since the start. */
export interface RouteCounters {
  /** Refused by the breaker. */
  refused: number
  /** Answered when their time was up. */
  timedOut: number
  /** Answered by the fallback, refused and timed out ones included. */
  fellBack: number
  /** Fallbacks that failed or took too long. */
  fallbackFailed: number
  /** The client left before there was an answer. */
  abandoned: number
}

/** What a call needs to know of its route. */
export interface CallSettings {
  /** The route, for errors. */
  readonly name: string
  readonly breaker: CircuitBreaker
  readonly timeoutMs: number
  /** Undefined when `timeoutMs` is `Infinity`. */
  readonly queue: ExpiryQueue | undefined
  /** The lowest status that counts as a failure. */
  readonly failureStatus: number
  readonly errorLog: ErrorLog
  readonly counters: RouteCounters
}

/** The route of a call. */
export interface CallOwner {
  readonly settings: CallSettings
  /** Answers a request whose handler is late, with a reply that the handler does not know. */
  answerLate(request: RequestLike, reply: ReplyLike, error: Error): void
}

/** `request.circuitBreaker` in the handler of a guarded route. */
export class GuardedCall extends Expiring {
  /** What the handler returned. */
  result: unknown = undefined
  readonly #owner: CallOwner
  readonly #request: RequestLike
  readonly #reply: ReplyLike
  readonly #raw: RawReply
  readonly #call = new Call()
  /** Undefined once it is settled. */
  #permit: Permit | undefined
  #error: unknown = undefined

  constructor(owner: CallOwner, request: RequestLike, reply: ReplyLike, permit: Permit) {
    super()
    this.#owner = owner
    this.#request = request
    this.#reply = reply
    this.#raw = reply.raw
    this.#permit = permit
    request.raw[CALL] = this
    // The answer was written, and what follows is the client's speed. Streams get here when they have ended.
    reply.raw.on('prefinish', onPrefinish)
    // The only event that comes in every case.
    reply.raw.on('close', onClose)
    owner.settings.queue?.add(this)
  }

  /** The name of the breaker. */
  get breaker(): string {
    return this.#owner.settings.breaker.name
  }

  /** When the request is answered at the latest, on the plugin's clock; `Infinity` without a time-out. */
  get deadlineMs(): number {
    return this.#owner.settings.queue === undefined ? Number.POSITIVE_INFINITY : this.expiresMs
  }

  /**
   * Aborts at the time-out, or when the client leaves. Made when first asked for. (`request.signal` of Fastify does
   * not serve: it follows the request's own stream, which is closed as soon as a body was read.)
   */
  get signal(): AbortSignal {
    return this.#call.signal
  }

  /** The handler has failed; comes before the answer to it is written. */
  failed(error: unknown): void {
    this.#error ??= error
  }

  /** The answer was written, completely. */
  answered(): void {
    this.#owner.settings.queue?.remove(this)
    this.#settleByStatus(this.#raw.statusCode)
  }

  /** The response is over: sent, or broken off. */
  closed(): void {
    if (this.#raw.writableEnded) {
      this.answered()
      return
    }
    const { queue, name } = this.#owner.settings
    queue?.remove(this)
    const { httpVersionMajor, socket } = this.#request.raw
    // A client that leaves ends its side of the connection, or resets it.
    if (httpVersionMajor === 1 && socket?.readableEnded === false && socket.errored === null) {
      this.#settle('failure', this.#error ?? { name: 'broken off', message: name })
    } else this.#settle('abandoned')
    this.#call.abort(abortedBy(this.breaker, 'the connection was closed before the answer was sent'))
  }

  /** Tells the result before the answer is known, because something else answers. */
  settleError(error: unknown): void {
    this.#owner.settings.queue?.remove(this)
    this.#settle(outcomeOf(Object(error)) ?? 'failure', error)
  }

  /** The time is up. */
  override expire(): void {
    const { name, timeoutMs, counters } = this.#owner.settings
    const raw = this.#raw
    // The answer has begun: what was promised is kept, and a stream may take as long as it takes.
    if (raw.headersSent || raw.writableEnded || raw.destroyed) {
      this.#settleByStatus(raw.statusCode)
      return
    }
    // Whoever hijacked the reply answers in its own time; the breaker does not wait for that.
    if (this.#reply.sent) {
      this.#settle('ignored')
      return
    }
    counters.timedOut += 1
    const error = new RouteTimeoutError(name, timeoutMs)
    this.#settle('failure', error)
    const successor = takeOver(this.#reply)
    Promise.resolve(this.result).then(disposeOf, () => {})
    this.#owner.answerLate(this.#request, successor, error)
    this.#call.abort(error)
  }

  #settleByStatus(statusCode: number): void {
    if (statusCode < this.#owner.settings.failureStatus) {
      this.#settle('success')
      return
    }
    // An error that was marked (a refusal of a bulkhead, or of another breaker) knows more than its status.
    const error = this.#error ?? { name: `status ${statusCode}`, message: this.#owner.settings.name }
    this.#settle(outcomeOf(Object(error)) ?? 'failure', error)
  }

  #settle(outcome: Outcome, error?: unknown): void {
    const permit = this.#permit
    if (permit === undefined) return
    this.#permit = undefined
    const { breaker, errorLog, counters } = this.#owner.settings
    breaker.settle(permit, outcome)
    if (outcome === 'failure') errorLog.record(breaker.name, error)
    else if (outcome === 'abandoned') counters.abandoned += 1
  }
}

/** The call of a request; `undefined` when its route is not guarded, or its handler has not been started. */
export function callOf(request: RequestLike): GuardedCall | undefined {
  return request.raw[CALL]
}

interface ListenedReply {
  readonly req: RequestLike['raw']
}

// Functions of their own for every request would be closures that the garbage collector has to find.
function onPrefinish(this: ListenedReply): void {
  this.req[CALL]?.answered()
}

function onClose(this: ListenedReply): void {
  this.req[CALL]?.closed()
}
