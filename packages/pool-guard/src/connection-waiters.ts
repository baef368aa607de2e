import { type Clock, LONGEST_TIMER_MS } from '@holdfast/footing'
import type { CheckoutOptions } from './connections.ts'
import { DeadlineExceededError } from './errors.ts'
import type { GuardedClient } from './guarded-client.ts'
import { abortedBy } from './pg-connection.ts'

interface Waiter {
  readonly options: CheckoutOptions
  readonly acquiredAt: Error | undefined
  readonly resolve: (client: GuardedClient) => void
  readonly reject: (error: unknown) => void
  stop: () => void
}

/**
 * Those who wait for a connection that is being opened, in the order in which they came. Whoever has a signal or a
 * deadline leaves by himself, with `..._ABORTED` or `..._DEADLINE_EXCEEDED`. It has no bound of its own: the pool opens
 * a connection for each of them.
 */
export class ConnectionWaiters {
  readonly #clock: Clock
  readonly #waiting = new Set<Waiter>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many wait. */
  get count(): number {
    return this.#waiting.size
  }

  /** Waits; `acquiredAt` is handed on to whoever lends. */
  wait(options: CheckoutOptions, acquiredAt: Error | undefined): Promise<GuardedClient> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { options, acquiredAt, resolve, reject, stop: () => {} }
      this.#waiting.add(waiter)
      const { signal, deadlineMs = Number.POSITIVE_INFINITY } = options
      const leave = () => {
        if (signal !== undefined) this.#refuse(waiter, abortedBy(signal, 'no connection was open yet'))
      }
      signal?.addEventListener('abort', leave, { once: true })
      const remainingMs = deadlineMs - this.#clock.nowMs()
      const stopTimer =
        remainingMs > LONGEST_TIMER_MS
          ? undefined
          : this.#clock.schedule(Math.max(0, remainingMs), () =>
              this.#refuse(waiter, new DeadlineExceededError(0, 0)),
            )
      waiter.stop = () => {
        stopTimer?.()
        signal?.removeEventListener('abort', leave)
      }
    })
  }

  /** Lends to whoever has waited longest; false when nobody waits. */
  serve(lend: (options: CheckoutOptions, acquiredAt: Error | undefined) => GuardedClient): boolean {
    const [waiter] = this.#waiting
    if (waiter === undefined) return false
    this.#waiting.delete(waiter)
    waiter.stop()
    waiter.resolve(lend(waiter.options, waiter.acquiredAt))
    return true
  }

  /** Refuses whoever has waited longest. */
  refuseOne(error: unknown): void {
    const [waiter] = this.#waiting
    if (waiter !== undefined) this.#refuse(waiter, error)
  }

  /** Refuses all of them. */
  refuseAll(error: unknown): void {
    for (const waiter of [...this.#waiting]) this.#refuse(waiter, error)
  }

  #refuse(waiter: Waiter, error: unknown): void {
    this.#waiting.delete(waiter)
    waiter.stop()
    waiter.reject(error)
  }
}
