/*
 * One handler run for many equal requests.
 *
 * The first request of a key leads: its handler runs in its own request, exactly as without this package, and
 * its own answer is never delayed. What the handler hands to `reply.send` is noted on the way out, and given
 * to those who came meanwhile; each of them sends it through its own hooks. When it turns out that the answer
 * is for the leader alone (see shared-response.ts; also streams, hijacked replies, raw writes), the others run
 * the handler themselves. When the leader's client goes away and the handler fails, the next one leads.
 */
import type { FlightKey } from './key.ts'
import {
  type Body,
  changeOf,
  copyHeaders,
  type HeaderChange,
  type Headers,
  isSerialized,
  isShareable,
  plainBody,
  type ResponseOutcome,
  suits,
  varyOf,
} from './shared-response.ts'
import type { Singleflight } from './singleflight.ts'

/** What this file needs of a Fastify request. */
export interface RequestLike {
  readonly headers: Headers
  readonly signal?: AbortSignal | undefined
  readonly raw: { readonly aborted: boolean; readonly socket: { readonly destroyed: boolean } }
}

/** What this file needs of a Fastify reply. */
export interface ReplyLike {
  readonly statusCode: number
  readonly raw: { writeHead(...args: unknown[]): unknown }
  send(payload?: unknown): unknown
  code(statusCode: number): unknown
  header(name: string, value: unknown): unknown
  removeHeader(name: string): unknown
  getHeaders(): Headers
  getSerializationFunction(status: string): unknown
  serialize(payload: unknown): Body
  serializer(serialize: ((payload: unknown) => Body) | null): unknown
}

/** What happened on coalesced routes. */
export interface ResponseCounters {
  /** Answers that another request's handler produced, errors included. */
  replayed: number
  /** Requests that waited, and then ran their handler because the answer was for its leader alone. */
  ranAlone: number
  /** Requests that were never coalesced: credentials, a key of `false`, or one that is too long. */
  bypassed: number
  /** Times a waiting request led because the leader's client had gone. */
  takenOver: number
}

export interface CoalescedRouteOptions {
  readonly flights: Singleflight
  readonly counters: ResponseCounters
  readonly perRequestHeaders: ReadonlySet<string>
  /** The route vouches for answers that say `private` or `no-store`, or that allow one origin. */
  readonly shared: boolean
  /** Gives each follower its own form of an error. */
  readonly copyError: (error: unknown) => unknown
}

/** A reply that uses one of these is for its own client alone. */
const ownReplyMethods = ['hijack', 'trailer', 'serializer', 'setCookie', 'cookie', 'clearCookie']

export class CoalescedRoute {
  readonly #options: CoalescedRouteOptions
  readonly #leads = new WeakMap<ReplyLike, Lead>()

  constructor(options: CoalescedRouteOptions) {
    this.#options = options
  }

  /** Leads the flight of this key with `run`, or answers like the one who does. */
  answer(key: FlightKey, request: RequestLike, reply: ReplyLike, run: () => unknown): unknown {
    const { flights } = this.#options
    const { promise, resolve } = Promise.withResolvers<ResponseOutcome>()
    let leads = false
    const work = () => {
      leads = true
      // The handler belongs to its request and its context, so only its outcome travels through the flight.
      return promise
    }
    // A follower leaves with its client; the leader's handler goes on for the others.
    const flight = flights.run(key, work, flights.has(key) ? { signal: request.signal } : undefined)
    if (!leads) return this.#follow(flight, key, request, reply, run)
    // The leader's own answer does not depend on what becomes of the flight.
    flight.catch(() => undefined)
    return this.#lead(new Lead(request, reply, this.#options, resolve), reply, run)
  }

  /**
   * For a preSerialization hook: takes the text of an object that the handler of a leader sent. The text is made
   * when Fastify asks for it, after all of these hooks, so that it is what the leader's client gets.
   */
  captureObject(reply: ReplyLike): void {
    const lead = this.#leads.get(reply)
    if (lead === undefined || lead.settled) return
    // Only Fastify knows which schema of several content types applies.
    if (hasSchemaPerType(reply)) lead.settle({ kind: 'unshareable' })
    else lead.captureText()
  }

  #lead(lead: Lead, reply: ReplyLike, run: () => unknown): unknown {
    this.#leads.set(reply, lead)
    let result: unknown
    try {
      result = run()
    } catch (error) {
      lead.fail(error)
      throw error
    }
    if (!isPromiseLike(result)) return result
    // One promise for Fastify and for us: a query builder starts its query each time `then` is called.
    const promise = Promise.resolve(result)
    promise.then(
      (value) => lead.returned(value),
      (error: unknown) => lead.fail(error),
    )
    return promise
  }

  async #follow(
    flight: Promise<ResponseOutcome>,
    key: FlightKey,
    request: RequestLike,
    reply: ReplyLike,
    run: () => unknown,
  ): Promise<unknown> {
    const { flights, counters, copyError } = this.#options
    const outcome = await flight.catch((error: unknown) => refuse(error, reply))
    if (outcome.kind === 'leader-left') {
      // The first to come here leads the next flight, the others join it.
      if (!flights.has(key)) counters.takenOver += 1
      return this.answer(key, request, reply, run)
    }
    if (outcome.kind === 'unshareable' || !suits(outcome.vary, request.headers)) {
      counters.ranAlone += 1
      return run()
    }
    counters.replayed += 1
    reply.code(outcome.statusCode)
    for (const name of outcome.headers.removed) reply.removeHeader(name)
    for (const [name, value] of Object.entries(outcome.headers.set)) reply.header(name, value)
    if (outcome.kind === 'error') throw copyError(outcome.error)
    return outcome.body
  }
}

/** Watches the reply of a leader until it is known what the others get. */
class Lead {
  settled = false
  #sent = false
  readonly #request: RequestLike
  readonly #reply: ReplyLike
  readonly #options: CoalescedRouteOptions
  readonly #resolve: (outcome: ResponseOutcome) => void
  readonly #before: Headers
  readonly #setSerializer: ReplyLike['serializer']

  constructor(
    request: RequestLike,
    reply: ReplyLike,
    options: CoalescedRouteOptions,
    resolve: (outcome: ResponseOutcome) => void,
  ) {
    this.#request = request
    this.#reply = reply
    this.#options = options
    this.#resolve = resolve
    this.#before = copyHeaders(reply.getHeaders())
    this.#setSerializer = reply.serializer.bind(reply)
    const keep = () => this.settle({ kind: 'unshareable' })
    for (const method of ownReplyMethods) beforeCall(reply, method, keep)
    // Whatever reaches the wire without having been seen by `send` was written by the handler itself.
    beforeCall(reply.raw, 'writeHead', keep)
    beforeCall(reply, 'send', (payload) => this.#sending(payload))
  }

  settle(outcome: ResponseOutcome): void {
    if (this.settled) return
    this.settled = true
    this.#resolve(outcome)
  }

  /** Serializes once: Fastify takes this text instead of making its own. */
  captureText(): void {
    const reply = this.#reply
    this.#setSerializer((payload) => {
      this.#setSerializer(null)
      try {
        const text = reply.serialize(payload)
        this.#settleWith(text)
        return text
      } finally {
        // The error of a body that cannot be serialized is the leader's own.
        this.settle({ kind: 'unshareable' })
      }
    })
  }

  #settleWith(body: Body): void {
    this.#settleAs((headers, vary) => ({ kind: 'response', ...this.#status(), headers, vary, body }))
  }

  fail(error: unknown): void {
    // It may have failed because its client went away; nobody else's did.
    if (isGone(this.#request)) this.settle({ kind: 'leader-left' })
    else {
      // A copy, because the leader's error handler may change what it is given.
      const copy = this.#options.copyError(error)
      this.#settleAs((headers, vary) => ({ kind: 'error', ...this.#status(), headers, vary, error: copy }))
    }
  }

  /** The handler's promise is fulfilled; Fastify sends the value next, or nothing to a client that is gone. */
  returned(value: unknown): void {
    if (value === undefined && isGone(this.#request)) this.settle({ kind: 'leader-left' })
  }

  #sending(payload: unknown): void {
    const body = plainBody(payload)
    if (this.#sent) {
      // A hook failed after the handler had sent an object: this is the error page of the leader, and no text of
      // ours. With a serializer set, Fastify would not name its content type.
      if (!this.settled) this.#setSerializer(null)
      this.settle({ kind: 'unshareable' })
    } else if (payload instanceof Error) this.fail(payload)
    else if (body !== undefined) this.#settleWith(body.body)
    else if (!isSerialized(payload)) this.settle({ kind: 'unshareable' })
    this.#sent = true
  }

  #status(): { readonly statusCode: number } {
    return { statusCode: this.#reply.statusCode }
  }

  #settleAs(outcome: (headers: HeaderChange, vary: Headers) => ResponseOutcome): void {
    if (this.settled) return
    const after = this.#reply.getHeaders()
    const headers = changeOf(this.#before, after, this.#options.perRequestHeaders)
    if (!isShareable(headers, after, this.#options.shared)) this.settle({ kind: 'unshareable' })
    else this.settle(outcome(headers, varyOf(this.#before, headers, after, this.#request.headers)))
  }
}

function hasSchemaPerType(reply: ReplyLike): boolean {
  const status = String(reply.statusCode)
  const schemas = [status, `${status.slice(0, 1)}xx`, 'default']
  return schemas.some((name) => typeof reply.getSerializationFunction(name) === 'object')
}

/** Turns the hint of a coded error into the header a client understands. */
function refuse(error: unknown, reply: ReplyLike): never {
  if (error instanceof Error && 'retryAfterSeconds' in error)
    reply.header('retry-after', error.retryAfterSeconds)
  throw error
}

function isGone(request: RequestLike): boolean {
  return request.raw.aborted || request.raw.socket.destroyed
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

/** Calls `before` with the first argument, each time before the method itself. */
function beforeCall(target: object, method: string, before: (argument: unknown) => void): void {
  const original: unknown = Reflect.get(target, method)
  if (typeof original !== 'function') return
  Reflect.set(target, method, function (this: unknown, ...args: unknown[]): unknown {
    before(args[0])
    return Reflect.apply(original, this, args)
  })
}
