import { setTimeout as sleep } from 'node:timers/promises'

/** How long and how often `waitUntil` looks. */
export interface WaitOptions {
  /** Gives up after so many milliseconds. Default 10_000. */
  readonly timeoutMs?: number
  /** Looks again after so many milliseconds. Default 10. */
  readonly intervalMs?: number
  /** Named in the error. Default `a condition`. */
  readonly what?: string
}

/** Waits until `condition` answers true. Rejects when it throws, and when it has not come true in time. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  options: WaitOptions = {},
): Promise<void> {
  const { timeoutMs = 10_000, intervalMs = 10, what = 'a condition' } = options
  const endMs = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`${what} did not come true within ${timeoutMs} ms`)
    await sleep(intervalMs)
  }
}
