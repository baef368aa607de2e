/** The breaker: one caller after the other awaits guarded work that settles in a microtask. */
import type { Loop } from '../harness/row.ts'

/** Failing calls of one operation. */
const FAILURES = 10_000

/** A new breaker around `work`; the answer makes one call. */
export type Guard = (work: () => Promise<number>) => () => Promise<number>

/** Calls that succeed; figures per call. */
export function succeedingLoop(guard: Guard): Loop {
  const call = guard(async () => {
    await undefined
    return 1
  })
  return {
    resultsPerOperation: 1,
    async run(operations) {
      let results = 0
      for (let operation = 0; operation < operations; operation += 1) results += await call()
      return { results }
    },
  }
}

/** 10,000 failing calls of a new breaker; figures per 10,000. `executions` says how many of them ran the work. */
export function failingLoop(guard: Guard): Loop {
  const error = new Error('the database is away')
  let executions = 0
  const work = async (): Promise<number> => {
    executions += 1
    await undefined
    throw error
  }
  return {
    resultsPerOperation: FAILURES,
    async run(operations) {
      const executionsBefore = executions
      let results = 0
      for (let operation = 0; operation < operations; operation += 1) {
        const call = guard(work)
        for (let failure = 0; failure < FAILURES; failure += 1) {
          try {
            await call()
          } catch {
            results += 1
          }
        }
      }
      return { results, executions: executions - executionsBefore }
    },
  }
}
