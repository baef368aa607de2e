/*
 * One request of a guarded route, and when its operation is over.
 *
 * The operation is over when the handler has done its work and the answer is on its way, whatever comes last:
 * - the work is done when the handler threw, returned a value, or its promise settled; when it returned or awaited its
 *   reply; when it returned nothing, with its `reply.send()`;
 * - the answer is on its way when it is about to be sent (then Redis is told first, so that a client that has its
 *   answer can begin the next operation anywhere), when the last byte of a stream or of a hijacked reply was written,
 *   and when the connection is closed.
 * A client that leaves therefore ends nothing while the handler works; it only aborts the signal.
 */
import { afterTurn, disposeOf, isTakenOver, type RawReply, type ReplyLike, takeOver } from '@holdfast/footing'
import type { Attempt, Outcome } from './attempt.ts'
import { AbortedError, NotGuardedError } from './errors.ts'
import type { Operation, OperationContext } from './operation.ts'
import { Refusal } from './refusal.ts'

/** Where the guarded request is found. On Node's own request: a member of Fastify's would cost every request. */
const GUARDED = Symbol('holdfast.concurrency-guard.request')

/** What this file needs of a Fastify request. */
export interface RequestLike {
  readonly raw: { [GUARDED]?: GuardedRequest }
}

interface ListenedReply {
  readonly req: RequestLike['raw']
}

/**
 * `before`: it has not started; `works`: its promise is pending; `sends`: it returned nothing, and answers later;
 * `done`. What becomes of it, where something can happen:
 *
 * | what happens                                  | before  | works   | sends               |
 * | --------------------------------------------- | ------- | ------- | ------------------- |
 * | it is started; too late, so that it never is  | `works`; `done` |  |                    |
 * | it throws, or returns a value or its reply    |         | `done`  |                     |
 * | it returns nothing, and has sent; has not     |         | `done`; `sends` |             |
 * | its promise settles                           |         | `done`  |                     |
 * | somebody waits for its reply                  | `done`  | `done`  | `done`              |
 * | its reply is about to be sent                 | `done`  | stays   | `done`              |
 * | its time is up, and the answer is made here   | `done`  | stays   | stays               |
 * | it sends its reply, which was taken from it   |         | `done`  | `done`              |
 * | the response is over                          | `done`  | stays   | `done` if hijacked  |
 *
 * The operation ends at `done`, and not before the answer is sent: for a stream and a hijacked reply with the last byte,
 * for any other as soon as it is about to be, which then waits for the end of the operation, unless the state is `works`.
 */
type HandlerState = 'before' | 'works' | 'sends' | 'done'

export class GuardedRequest {
  readonly #reply: ReplyLike
  readonly #raw: RawReply
  #attempt: Attempt | undefined
  #operation: Operation | undefined
  #unguarded: Unguarded | undefined
  #handler: HandlerState = 'before'
  #result: unknown
  /** The answer, or the beginning of it, was handed to whoever sends it. */
  #sending = false
  /** Nothing of the answer is left to be made here. */
  #sent = false
  /** An answer that waits for the end of the operation. */
  #heldBack: (() => void) | undefined

  constructor(request: RequestLike, reply: ReplyLike) {
    this.#reply = reply
    this.#raw = reply.raw
    request.raw[GUARDED] = this
  }

  /** Of the request; undefined where none is guarded. */
  static of(request: RequestLike): GuardedRequest | undefined {
    return request.raw[GUARDED]
  }

  /** What the handler is told; undefined while no operation has begun. */
  get context(): OperationContext | undefined {
    return this.#operation ?? this.#unguarded
  }

  /** This request needs no guard. */
  passUnguarded(): void {
    this.#unguarded = new Unguarded(this.#raw)
  }

  /** Answers at once, or calls `later` when the attempt is over. */
  enter(attempt: Attempt, later: (refusal: Refusal | undefined) => void): void {
    // The answer was written, and what follows is the client's speed. Streams get here when they have ended.
    this.#raw.on('prefinish', onPrefinish)
    // The only event that comes in every case.
    this.#raw.on('close', onClose)
    if (attempt.outcome !== undefined) {
      later(this.#begin(attempt.outcome))
      return
    }
    this.#attempt = attempt
    attempt.whenOver().then((outcome) => {
      this.#attempt = undefined
      later(this.#begin(outcome))
    })
  }

  #begin(outcome: Outcome): Refusal | undefined {
    if (outcome instanceof Refusal) return outcome
    this.#operation = outcome
    outcome.onLate((error) => this.#answerLate(error))
    if (this.#raw.destroyed) this.closed()
    return undefined
  }

  /** Runs the handler and watches it; returns and throws what it does. */
  run(handler: () => unknown): unknown {
    const operation = this.#operation
    if (operation === undefined) {
      // A `key` that throws undefined is no error to Fastify, which then comes here.
      if (this.#unguarded === undefined) throw new NotGuardedError()
      return handler()
    }
    // Between the beginning and here other hooks ran, which may have taken any time.
    if (this.#raw.destroyed || operation.ended) {
      this.#workDone()
      throw new AbortedError('the request was over before its handler ran')
    }
    this.#handler = 'works'
    let result: unknown
    try {
      result = handler()
    } catch (error) {
      this.#workDone()
      throw error
    }
    if (result === undefined) {
      if (this.#sending) this.#workDone()
      else this.#handler = 'sends'
      return result
    }
    // A reply is thenable, too; who returns it is done.
    if (result === this.#reply || !isThenable(result)) {
      this.#workDone()
      return result
    }
    // A query builder runs its query at every then(): it is asked once, here.
    const promise = result instanceof Promise ? result : Promise.resolve(result)
    this.#result = promise
    const done = () => this.#workDone()
    promise.then(done, done)
    return promise
  }

  /** The answer is about to be sent by `reply`; `send` lets it go. */
  answering(reply: unknown, payload: unknown, send: () => void): void {
    const operation = this.#operation
    // Somebody else answers in place of the handler, which goes on.
    if (operation === undefined || reply !== this.#reply) {
      send()
      return
    }
    this.#sending = true
    if (this.#handler === 'before' || this.#handler === 'sends') this.#handler = 'done'
    if (isStream(payload)) {
      send()
      return
    }
    this.#sent = true
    this.#heldBack = send
    if (this.#handler === 'done') this.#endIfOver()
    // The handler may be about to return its reply. When it goes on, the answer does not wait for it.
    else
      afterTurn(() => {
        if (this.#handler === 'works') this.#letGo()
      })
  }

  /** Its handler has returned its reply, or waits for it; the reply of who answers in its place says nothing of it. */
  awaits(reply: unknown): void {
    if (reply === this.#reply) this.#workDone()
  }

  /** The last byte was written. */
  finished(): void {
    this.#sent = true
    this.#endIfOver()
  }

  /** The response is over: sent, or broken off. */
  closed(): void {
    this.#sent = true
    const isBrokenOff = !this.#raw.writableFinished
    if (isBrokenOff && this.#operation?.ended !== true) {
      const cause = new AbortedError('the connection was closed before the answer was sent')
      this.#attempt?.leave(cause)
      this.#operation?.abort(cause)
    }
    // Who hijacked its reply is done when that is over. Of a reply that was taken from its handler nothing is known.
    const isHijacked = this.#handler === 'sends' && this.#reply.sent && !isTakenOver(this.#reply)
    // `run` starts no handler any more.
    if (isHijacked || this.#handler === 'before') this.#handler = 'done'
    this.#endIfOver()
  }

  #workDone(): void {
    this.#handler = 'done'
    this.#endIfOver()
  }

  #endIfOver(): void {
    if (this.#handler !== 'done' || !this.#sent) return
    const ending = this.#operation?.end()
    if (ending === undefined) this.#letGo()
    else ending.then(() => this.#letGo())
  }

  #letGo(): void {
    const send = this.#heldBack
    this.#heldBack = undefined
    send?.()
  }

  /** The time is up: answers with a reply that the handler does not know. */
  #answerLate(error: Error): void {
    const reply = this.#reply
    const raw = this.#raw
    // What has begun is kept, and whoever hijacked the reply answers in its own time.
    if (this.#sending || reply.sent || raw.headersSent || raw.destroyed) return
    const successor = takeOver(reply)
    const { send } = reply
    reply.send = (payload) => {
      this.#workDone()
      return send(payload)
    }
    Promise.resolve(this.#result).then(disposeOf, () => undefined)
    // No handler starts with a reply that was taken over.
    if (this.#handler === 'before') this.#handler = 'done'
    const { retryAfterSeconds } = error as { readonly retryAfterSeconds?: number }
    successor.header('retry-after', String(retryAfterSeconds))
    successor.send(error)
  }
}

/** The context of a request that needs no guard. */
class Unguarded implements OperationContext {
  readonly fence = undefined
  readonly degraded = false
  readonly #raw: RawReply
  #controller: AbortController | undefined

  constructor(raw: RawReply) {
    this.#raw = raw
  }

  get signal(): AbortSignal {
    if (this.#controller !== undefined) return this.#controller.signal
    const controller = new AbortController()
    this.#controller = controller
    const raw = this.#raw
    const leave = () => {
      if (!raw.writableFinished) controller.abort(new AbortedError('the client left'))
    }
    if (raw.destroyed) leave()
    else raw.on('close', leave)
    return controller.signal
  }
}

/**
 * What `then` of a reply is where the plugin is registered. A promise of the handler that follows its reply is settled
 * only after the answer; that somebody asks for the end of the answer tells that the handler has nothing more to do.
 */
export function thenOfReply(this: ThenableReply, ...callbacks: readonly unknown[]): unknown {
  GuardedRequest.of(this.request as RequestLike)?.awaits(this)
  // That of Fastify, however many scopes are between.
  let above: ThenableReply = this
  while (above.then === thenOfReply) above = Object.getPrototypeOf(above)
  return above.then.apply(this, [...callbacks])
}

interface ThenableReply extends ReplyLike {
  readonly then: (this: ThenableReply, ...callbacks: unknown[]) => unknown
}

// Functions of their own for every request would be closures that the garbage collector has to find.
function onPrefinish(this: ListenedReply): void {
  this.req[GUARDED]?.finished()
}

function onClose(this: ListenedReply): void {
  this.req[GUARDED]?.closed()
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (Object(value) as { then?: unknown }).then === 'function'
}

/** What Fastify sends piece by piece. */
function isStream(payload: unknown): boolean {
  if (typeof payload !== 'object' || payload === null) return false
  const { pipe, getReader } = payload as Readonly<Record<string, unknown>>
  return typeof pipe === 'function' || typeof getReader === 'function' || payload instanceof Response
}
