/*
 * At most so many CancelRequests at a time: each is a connection of its own, and a database that is slow for
 * everybody must not get as many new ones as it has slow statements. The rest waits in order, and may leave in O(1).
 */

/** What became of a CancelRequest: only after `unknown` may it still arrive and hit a later statement. */
export type CancelOutcome = 'passed-on' | 'never-sent' | 'unknown'

/** One attempt under way. */
export interface CancelAttempt {
  /** Never rejects. */
  readonly done: Promise<CancelOutcome>
  /** Resolves when its connection is closed, which may be long after `done`; its place is taken until then. */
  readonly gone: Promise<void>
  readonly abort: () => void
}

/** A request that was asked for. */
export interface PendingCancel {
  /** Gives up: leaves the queue, or ends the attempt. */
  abandon(): void
}

interface Request<Target> {
  readonly target: Target
  readonly onEnd: (outcome: CancelOutcome) => void
  attempt?: CancelAttempt
}

/** The queue of CancelRequests. */
export class Canceller<Target> {
  readonly #send: (target: Target) => CancelAttempt
  readonly #maxConcurrent: number
  readonly #waiting = new Set<Request<Target>>()
  #running = 0

  constructor(send: (target: Target) => CancelAttempt, maxConcurrent: number) {
    this.#send = send
    this.#maxConcurrent = maxConcurrent
  }

  /** How many run and how many wait for their turn. */
  get counts(): { readonly running: number; readonly waiting: number } {
    return { running: this.#running, waiting: this.#waiting.size }
  }

  /** Asks for one request; `onEnd` hears once, later, what became of it. */
  cancel(target: Target, onEnd: (outcome: CancelOutcome) => void): PendingCancel {
    const request: Request<Target> = { target, onEnd }
    if (this.#running < this.#maxConcurrent) this.#start(request)
    else this.#waiting.add(request)
    return { abandon: () => this.#abandon(request) }
  }

  #abandon(request: Request<Target>): void {
    if (request.attempt !== undefined) request.attempt.abort()
    else if (this.#waiting.delete(request)) request.onEnd('never-sent')
  }

  #start(request: Request<Target>): void {
    this.#running += 1
    const attempt = this.#send(request.target)
    request.attempt = attempt
    void attempt.done.then(request.onEnd)
    void attempt.gone.then(() => {
      this.#running -= 1
      const [first] = this.#waiting
      if (first === undefined || this.#running >= this.#maxConcurrent) return
      this.#waiting.delete(first)
      this.#start(first)
    })
  }
}
