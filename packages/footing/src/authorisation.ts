import type { Clock } from './clock.ts'

/** What operators' routes are guarded by, and what they answer. */
export interface OperatorGuard {
  /** In `WWW-Authenticate`. */
  readonly realm: string
  /** For whoever has said nothing of himself, where that could help. */
  readonly Unauthenticated: new () => Error
  /** For everybody else. */
  readonly Forbidden: new () => Error
}

/** What a `preHandler` is given, as far as it matters here. */
interface AskingRequest {
  readonly headers: { readonly authorization?: string | undefined }
}
interface AnsweringReply {
  header(name: string, value: string): unknown
}

/**
 * Asks `authorize` within a budget. Anything but `true` in time is no: false, a throw, a rejection, a late answer, and
 * one more question than `maxWaiting` (so that anonymous callers cannot pile up look-ups).
 */
export class Authorisation<Request> {
  /** At most so many `authorize` calls are waited for at one time; further callers are refused meanwhile. */
  static readonly maxWaiting = 32
  readonly #authorize: ((request: Request) => boolean | PromiseLike<boolean>) | undefined
  readonly #timeoutMs: number
  readonly #clock: Clock
  #waiting = 0

  constructor(
    authorize: ((request: Request) => boolean | PromiseLike<boolean>) | undefined,
    timeoutMs: number,
    clock: Clock,
  ) {
    this.#authorize = authorize
    this.#timeoutMs = timeoutMs
    this.#clock = clock
  }

  /** Whether anybody can be authorised at all. */
  get possible(): boolean {
    return this.#authorize !== undefined
  }

  /** Calls back once, at once where the answer is known at once. */
  decide(request: Request, callback: (authorised: boolean) => void): void {
    if (this.#authorize === undefined || this.#waiting >= Authorisation.maxWaiting) {
      callback(false)
      return
    }
    let answer: boolean | PromiseLike<boolean>
    try {
      answer = this.#authorize(request)
    } catch {
      callback(false)
      return
    }
    if (typeof answer === 'boolean') {
      callback(answer)
      return
    }
    let waiting = true
    this.#waiting += 1
    const end = (authorised: boolean): void => {
      if (!waiting) return
      waiting = false
      this.#waiting -= 1
      cancel()
      callback(authorised)
    }
    const cancel = this.#clock.schedule(this.#timeoutMs, () => end(false))
    Promise.resolve(answer).then(
      (authorised) => end(authorised === true),
      () => end(false),
    )
  }

  /** A `preHandler` that lets in who is authorised. */
  preHandler({ realm, Unauthenticated, Forbidden }: OperatorGuard) {
    return (request: Request & AskingRequest, reply: AnsweringReply, done: (error?: Error) => void): void => {
      this.decide(request, (authorised) => {
        if (authorised) return done()
        if (!this.possible || request.headers.authorization !== undefined) return done(new Forbidden())
        reply.header('www-authenticate', `Bearer realm="${realm}"`)
        done(new Unauthenticated())
      })
    }
  }
}
