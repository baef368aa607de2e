import { setTimeout as sleep } from 'node:timers/promises'

/** Until it succeeds: for what a test does with a database that it kills. What is done here may be done twice. */
export async function insist<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch {
      await sleep(100)
    }
  }
}
