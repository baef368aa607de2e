/**
 * Answers in the way of a Fastify handler where Fastify does not do it: in a hook. A function of the application may
 * return the answer or a promise of it, throw, or send it. However it ends, the request is answered, and nothing is
 * thrown here, for nobody catches; only a function that returns nothing, and not a promise of nothing, may answer later.
 */

/** What this file needs of a Fastify reply. */
export interface AnsweringReply {
  readonly sent: boolean
  readonly raw: { readonly headersSent: boolean }
  send(payload?: unknown): unknown
}

/**
 * Runs `work`, and sends what it returns, throws or is settled with. `nothing` answers where a promise was settled with
 * nothing, and nothing was sent.
 */
export function answerLikeHandler(reply: AnsweringReply, work: () => unknown, nothing: () => void): void {
  let result: unknown
  try {
    result = work()
  } catch (error) {
    send(reply, errorOf(error))
    return
  }
  // A reply is thenable, too; what it stands for is sent through it.
  if (result === undefined || result === reply) return
  if (!isThenable(result)) {
    send(reply, result)
    return
  }
  result.then(
    (payload) => {
      if (payload !== undefined) send(reply, payload)
      else if (!reply.sent && !reply.raw.headersSent) nothing()
    },
    (error) => send(reply, errorOf(error)),
  )
}

/** For a promise in a place where none is awaited: that it may fail as well must not end the process. */
export function ignoreRejection(value: unknown): void {
  if (isThenable(value)) value.then(undefined, ignore)
}

function send(reply: AnsweringReply, payload: unknown): void {
  try {
    reply.send(payload)
  } catch (error) {
    // It cannot be serialised.
    reply.send(errorOf(error))
  }
}

/** Whatever was thrown, it is sent as an error; `undefined` would pass for none. */
function errorOf(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown
  return new Error('what answers this request failed with something that is no error', { cause: thrown })
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (Object(value) as { then?: unknown }).then === 'function'
}

function ignore(): void {}
