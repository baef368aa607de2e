/** What is recorded of a request: one of ten routes, mostly with 200, in one millisecond to three seconds. */
import type { Loop } from '../harness/row.ts'

/** Routes that are asked for in turn. */
export const routes: readonly string[] = Array.from({ length: 10 }, (_, at) => `/api/things/${at}/:id`)
/** What they are answered with. */
export const statuses: readonly number[] = [200, 200, 200, 404, 200, 200, 500, 200]
const seconds: readonly number[] = [0.001, 0.004, 0.02, 0.09, 0.3, 0.002, 3]

/** One recording after the other. `count` says how many there are in all. */
export function recordingLoop(
  record: (route: number, status: number, seconds: number) => void,
  count: () => Promise<number>,
): Loop {
  let counted = 0
  return {
    resultsPerOperation: 1,
    async run(operations) {
      for (let operation = 0; operation < operations; operation += 1) {
        record(
          operation % routes.length,
          statuses[operation % statuses.length] ?? 200,
          seconds[operation % seconds.length] ?? 0,
        )
      }
      const before = counted
      counted = await count()
      return { results: counted - before }
    },
  }
}
