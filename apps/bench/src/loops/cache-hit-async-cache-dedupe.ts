/** async-cache-dedupe's memory storage; its size is raised so that all keys fit. */
import { createCache } from 'async-cache-dedupe'
import type { DemoTheme } from '../demo-theme.ts'
import type { CreateLoop } from '../harness/row.ts'
import { hitLoop, themes } from './cache-hit.ts'

const createLoop: CreateLoop = () => {
  const cache = createCache({ ttl: 3_600, storage: { type: 'memory', options: { size: 10_000 } } }).define(
    'theme',
    async (tenant: string) => themes.get(tenant),
  )
  return hitLoop((tenant): Promise<DemoTheme | undefined> => cache.theme(tenant))
}
export default createLoop
