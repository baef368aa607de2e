/** StaleCache.get on a fresh entry. */
import { StaleCache } from '@holdfast/stale-cache'
import { demoTheme } from '../demo-theme.ts'
import type { CreateLoop } from '../harness/row.ts'
import { hitLoop, themes } from './cache-hit.ts'

const createLoop: CreateLoop = () => {
  const cache = new StaleCache('themes', {
    load: async (tenants: readonly string[]) =>
      tenants.map((tenant) => ({ key: tenant, value: themes.get(tenant) ?? demoTheme(tenant) })),
    fallback: demoTheme,
    freshMs: 3_600_000,
    staleMs: 3_600_000,
    maxEntries: 10_000,
  })
  return hitLoop((tenant) => cache.get(tenant))
}
export default createLoop
