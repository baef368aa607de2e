/**
 * The herd: 50 callers ask for one tenant's branding in the same turn of the event loop, and all wait. The work
 * settles in a microtask, so that what is measured is the coalescing and not the thing coalesced. Every caller
 * cuts the tenant out of a path and builds its own key, as a request handler would.
 */
import { demoTheme } from '../demo-theme.ts'
import type { Loop } from '../harness/row.ts'

const CALLERS = 50
const TENANTS = 64

/** Joins or starts the one execution of `work` for `tenant`. */
export type Coalesce = <T>(tenant: string, work: () => Promise<T>) => Promise<T>

/**
 * `kind` is 'succeed', 'fail' or 'two-keys' (the callers ask for two tenants in turn); `afterHerd` makes the
 * contender forget a value it has kept.
 */
export function herdLoop(
  kind: string | undefined,
  coalesce: Coalesce,
  afterHerd?: (tenant: string) => Promise<unknown>,
): Loop {
  const tenants = Array.from({ length: TENANTS }, (_, index) => `tenant-${index}`)
  const paths = tenants.map((tenant) => `/${tenant}/theme`)
  const branding = demoTheme('acme')
  const fails = kind === 'fail'
  const keys = kind === 'two-keys' ? 2 : 1
  let executions = 0
  const work = async (): Promise<object> => {
    executions += 1
    await undefined
    if (fails) throw new Error('the database is away')
    return branding
  }

  return {
    resultsPerOperation: CALLERS,
    async run(operations) {
      const executionsBefore = executions
      let results = 0
      for (let operation = 0; operation < operations; operation += 1) {
        const waiting: Promise<object>[] = []
        for (let caller = 0; caller < CALLERS; caller += 1) {
          const path = paths[(operation + (caller % keys)) % TENANTS] ?? ''
          waiting.push(coalesce(path.slice(1, -6), work))
        }
        if (fails) {
          for (const settled of await Promise.allSettled(waiting)) {
            if (settled.status === 'rejected') results += 1
          }
        } else {
          for (const value of await Promise.all(waiting)) if (value === branding) results += 1
        }
        await afterHerd?.(tenants[operation % TENANTS] ?? '')
      }
      return { results, executions: executions - executionsBefore }
    },
  }
}
