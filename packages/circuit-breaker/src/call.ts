/** What the work of a call is given. */
export interface CallContext {
  /**
   * Aborts when the call is over before the work is: at its time-out or deadline, or when the caller leaves. Made
   * when first asked for.
   */
  readonly signal: AbortSignal
}

/** The signal of one call; an AbortController costs more than all the rest, and most work never looks at it. */
export class Call implements CallContext {
  #controller: AbortController | undefined = undefined

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  abort(reason: unknown): void {
    this.#controller ??= new AbortController()
    this.#controller.abort(reason)
  }
}
