import { type Clock, holdProcess } from '@holdfast/footing'

/**
 * Waits for `work`, but not longer than `budgetMs`, and keeps the process alive meanwhile. Returns whether it
 * settled in time; never rejects.
 */
export async function settledWithin(
  budgetMs: number,
  work: Promise<unknown>,
  clock: Clock,
): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const release = holdProcess()
  const cancel = clock.schedule(budgetMs, () => resolve(false))
  const settle = () => resolve(true)
  work.then(settle, settle)
  const inTime = await promise
  cancel()
  release()
  return inTime
}
