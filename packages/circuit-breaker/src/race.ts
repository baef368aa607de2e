import { type Clock, holdProcess, LONGEST_TIMER_MS } from '@holdfast/footing'
import type { Call } from './call.ts'

/** What may end a call before its work does. */
export interface Limits {
  readonly clock: Clock
  /** Milliseconds from now; `Infinity` for none. */
  readonly limitMs: number
  readonly signal: AbortSignal | undefined
  /** The error of a call whose time is up. */
  timedOut(): unknown
  /** The error of a call whose caller has left. */
  left(reason: unknown): unknown
}

/**
 * The first of: the result of the work, its limit, the abort of its caller. The late result of work that goes on
 * reaches nobody; no timer and no listener is left, whichever comes first.
 */
export function race<T>(call: Call, work: () => T | PromiseLike<T>, limits: Limits): Promise<T> {
  const { clock, limitMs, signal } = limits
  return new Promise<T>((resolve, reject) => {
    let cancelTimer: (() => void) | undefined
    let letGo: (() => void) | undefined
    const finish = () => {
      letGo?.()
      cancelTimer?.()
      signal?.removeEventListener('abort', leave)
    }
    const giveUp = (error: unknown) => {
      finish()
      // First the caller, then the work: its listeners must not decide how this ends.
      reject(error)
      call.abort(error)
    }
    const leave = () => giveUp(limits.left(signal?.reason))
    signal?.addEventListener('abort', leave, { once: true })
    if (limitMs <= LONGEST_TIMER_MS) {
      cancelTimer = clock.schedule(limitMs, () => giveUp(limits.timedOut()))
      // Whoever waits for the answer gets it, also when there is nothing else to keep the process running.
      letGo = holdProcess()
    }
    new Promise<T>((done) => done(work())).then(
      (value) => {
        finish()
        resolve(value)
      },
      (error: unknown) => {
        finish()
        reject(error)
      },
    )
  })
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
