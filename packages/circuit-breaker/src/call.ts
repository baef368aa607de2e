/** What the work of a call is given. */
export interface CallContext {
  /**
   * Aborts when the call is over before the work is: at its time-out or deadline, or when the caller leaves. Made
   * when first asked for.
   */
  readonly signal: AbortSignal
}

/** The work of a call. */
export type Work<T> = (context: CallContext) => T | PromiseLike<T>

/** The signal of one call; an AbortController costs more than all the rest, and most work never looks at it. */
export class Call implements CallContext {
  #controller: AbortController | undefined = undefined
  #over = false
  #reason: unknown = undefined

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#over) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  /** Again it does nothing: the first reason stands. */
  abort(reason: unknown): void {
    if (this.#over) return
    this.#over = true
    this.#reason = reason
    this.#controller?.abort(reason)
  }
}

/** Starts the work, at once; what it throws arrives as a rejection, too. */
export function start<T>(work: Work<T>, call: Call): Promise<T> {
  try {
    return Promise.resolve(work(call))
  } catch (error) {
    return rejection(error)
  }
}

/**
 * Rejected a moment later, when its caller listens: Node.js takes a microsecond to note an unheard rejection. Nor is
 * anything thrown, which takes half of one.
 */
export function rejection(error: unknown): Promise<never> {
  return new Promise((_, reject) => queueMicrotask(() => reject(error)))
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
