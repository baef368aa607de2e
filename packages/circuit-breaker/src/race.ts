import { holdProcess, LONGEST_TIMER_MS } from '@holdfast/footing'
import { type Call, start, type Work } from './call.ts'
import type { CallLimits } from './call-limits.ts'

/**
 * The first of: the result of the work, the end of its time (rejected with what `timeUp` answers), the abort of its
 * caller. The late result of work that goes on reaches nobody; no timer and no listener is left, whichever comes
 * first.
 */
export function race<T>(work: Work<T>, call: Call, limits: CallLimits, timeUp: () => unknown): Promise<T> {
  const { clock, limitMs, signal } = limits
  return new Promise<T>((resolve, reject) => {
    let cancelTimer: (() => void) | undefined
    let letGo: (() => void) | undefined
    const finish = () => {
      signal?.removeEventListener('abort', leave)
      cancelTimer?.()
      letGo?.()
    }
    const giveUp = (error: unknown) => {
      finish()
      // First the caller, then the work: its listeners must not decide how this ends.
      reject(error)
      call.abort(error)
    }
    const leave = () => giveUp(limits.left())
    signal?.addEventListener('abort', leave)
    if (limitMs <= LONGEST_TIMER_MS) {
      // Whoever waits for the answer gets it, also when there is nothing else to keep the process running. Before
      // the timer: what Node.js does when the first of its timers counts for the process, it does once then.
      letGo = holdProcess()
      cancelTimer = clock.schedule(limitMs, () => giveUp(timeUp()))
    }
    start(work, call).then(
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
