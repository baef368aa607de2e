/**
 * A route behind a breaker: runs the handler, or answers in its place when the breaker refuses, when the time is
 * up, or (with a fallback) when the handler fails.
 */
import { disposeOf, type ReplyLike, takeOver, withRetryAfter } from '@holdfast/footing'
import { isThenable } from './call.ts'
import { Expiring } from './expiry-queue.ts'
import { type CallOwner, type CallSettings, GuardedCall, type RequestLike } from './guarded-call.ts'

/** Answers in place of the handler, in the way of a handler: by what it returns, or by `reply.send`. */
export type Fallback = (request: RequestLike, reply: ReplyLike, reason: unknown) => unknown

/** What a client is told at least: a breaker that is still closed has no time to name. */
const MIN_RETRY_AFTER_MS = 1000

export class GuardedRoute implements CallOwner {
  readonly settings: CallSettings
  readonly #fallback: Fallback | undefined

  constructor(settings: CallSettings, fallback: Fallback | undefined) {
    this.settings = settings
    this.#fallback = fallback
  }

  /** What a handler does: returns the answer or a promise of it, throws, or sends it through the reply. */
  answer(request: RequestLike, reply: ReplyLike, handler: () => unknown): unknown {
    const { breaker, counters } = this.settings
    const permit = breaker.tryAcquire()
    if (permit === undefined) {
      counters.refused += 1
      return this.#answerInstead(request, reply, breaker.refusal())
    }
    const call = new GuardedCall(this, request, reply, permit)
    const result = this.#fallback === undefined ? handler() : this.#orFallback(call, request, reply, handler)
    // A query builder runs its query at every then(): it is asked once, here, and not again when it is late.
    const foreign = isThenable(result) && !(result instanceof Promise) && !Object.is(result, reply)
    call.result = foreign ? Promise.resolve(result) : result
    return call.result
  }

  /** Runs the handler; when that fails in a way that counts, the fallback answers. */
  #orFallback(call: GuardedCall, request: RequestLike, reply: ReplyLike, handler: () => unknown): unknown {
    const failed = (error: unknown) => {
      if (statusOf(error) < this.settings.failureStatus || isAnswered(reply)) throw error
      call.settleError(error)
      // A fallback that sends through the reply returns nothing, which from a promise would mean an empty answer.
      const result = this.#answerInstead(request, reply, error)
      return result === undefined ? reply : result
    }
    return caught(handler, reply, failed)
  }

  /** The fallback's answer; without one, or when it fails, `reason` is thrown. */
  #answerInstead(request: RequestLike, reply: ReplyLike, reason: unknown): unknown {
    const { counters, name } = this.settings
    const fallback = this.#fallback
    if (fallback === undefined) throw tellRetryAfter(reply, reason)
    counters.fellBack += 1
    const result = caught(
      () => fallback(request, reply, reason),
      reply,
      (error) => {
        counters.fallbackFailed += 1
        request.log.error({ err: error, route: name }, 'the fallback of a circuit breaker failed')
        throw tellRetryAfter(reply, reason)
      },
    )
    if (result === undefined || isThenable(result)) this.#limitFallback(reply, result, reason)
    return result
  }

  /** It may hang like the handler before it, so it has as long as that had. */
  #limitFallback(reply: ReplyLike, result: unknown, reason: unknown): void {
    const { counters, queue } = this.settings
    const { raw } = reply
    const limit = new Limit(() => {
      if (isAnswered(reply) || raw.destroyed) return
      counters.fallbackFailed += 1
      const successor = takeOver(reply)
      Promise.resolve(result).then(disposeOf, ignore)
      send(successor, tellRetryAfter(successor, reason))
    })
    queue?.add(limit)
    raw.on('close', () => queue?.remove(limit))
  }

  /** Does with an answer what Fastify does with that of a handler; nothing may throw here, for nobody catches. */
  answerLate(request: RequestLike, reply: ReplyLike, error: Error): void {
    const retryAfterMs = Math.max(MIN_RETRY_AFTER_MS, this.settings.breaker.retryAfterMs())
    const reason = withRetryAfter(error, retryAfterMs)
    let result: unknown
    try {
      result = this.#answerInstead(request, reply, reason)
    } catch {
      send(reply, reason)
      return
    }
    if (isThenable(result)) {
      const sendOnce = (payload: unknown) => {
        if (payload !== undefined || !isAnswered(reply)) send(reply, payload)
      }
      result.then(sendOnce, sendOnce)
    } else if (result !== undefined) send(reply, result)
  }
}

class Limit extends Expiring {
  readonly #onExpired: () => void

  constructor(onExpired: () => void) {
    super()
    this.#onExpired = onExpired
  }

  override expire(): void {
    this.#onExpired()
  }
}

/** What `run` returns; `failed` decides about what it throws, or is rejected with. */
function caught(run: () => unknown, reply: ReplyLike, failed: (error: unknown) => unknown): unknown {
  let result: unknown
  try {
    result = run()
  } catch (error) {
    return failed(error)
  }
  // A reply is thenable, too; what it stands for is sent through it.
  return isThenable(result) && !Object.is(result, reply) ? result.then(undefined, failed) : result
}

function tellRetryAfter(reply: ReplyLike, reason: unknown): unknown {
  const { retryAfterSeconds } = Object(reason) as { readonly retryAfterSeconds?: unknown }
  if (typeof retryAfterSeconds === 'number') reply.header('retry-after', String(retryAfterSeconds))
  return reason
}

function send(reply: ReplyLike, payload: unknown): void {
  try {
    reply.send(payload)
  } catch (error) {
    // As Fastify does it with what a handler returned; the error of an error it writes by itself.
    reply.send(error)
  }
}

function isAnswered(reply: ReplyLike): boolean {
  return reply.sent || reply.raw.headersSent
}

/** The status Fastify answers an error with. */
function statusOf(error: unknown): number {
  const { statusCode, status } = Object(error) as Readonly<Record<string, unknown>>
  const given = statusCode ?? status
  return typeof given === 'number' && given >= 400 ? given : 500
}

function ignore(): void {}
