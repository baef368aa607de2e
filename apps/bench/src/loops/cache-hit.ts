/** The hit: awaiting a value that is in memory and fresh, over a thousand keys in turn. */
import { type DemoTheme, demoTheme } from '../demo-theme.ts'
import type { Loop } from '../harness/row.ts'

const TENANTS = 1_000

/** Asks every key once before the measurement, so that each later `get` is a hit. */
export async function hitLoop(get: (tenant: string) => Promise<DemoTheme | undefined>): Promise<Loop> {
  for (const tenant of tenantNames) await get(tenant)
  return {
    resultsPerOperation: 1,
    async run(operations) {
      let results = 0
      for (let operation = 0; operation < operations; operation += 1) {
        const tenant = tenantNames[operation % TENANTS] ?? ''
        const theme = await get(tenant)
        if (theme?.tenant === tenant) results += 1
      }
      return { results }
    },
  }
}

const tenantNames: readonly string[] = Array.from({ length: TENANTS }, (_, index) => `tenant-${index}`)

/** What is cached, by key. */
export const themes: ReadonlyMap<string, DemoTheme> = new Map(
  tenantNames.map((tenant) => [tenant, demoTheme(tenant)]),
)
