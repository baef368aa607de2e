/** async-cache-dedupe as a pure deduplicator: with `ttl: 0` it keeps nothing after the work has settled. */
import { createCache } from 'async-cache-dedupe'
import type { CreateLoop } from '../harness/row.ts'
import { herdLoop } from './herd.ts'

const createLoop: CreateLoop = async ([kind]) => {
  let work: () => Promise<unknown> = async () => undefined
  const cache = createCache({ ttl: 0, storage: { type: 'memory' } }).define('branding', (_tenant: string) =>
    work(),
  )
  return herdLoop(kind, <T>(tenant: string, newWork: () => Promise<T>): Promise<T> => {
    work = newWork
    return cache.branding(tenant) as Promise<T>
  })
}
export default createLoop
