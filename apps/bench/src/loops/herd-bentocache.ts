/** bentocache in memory. It cannot coalesce without keeping the value, so the value is deleted after the herd. */
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import type { CreateLoop } from '../harness/row.ts'
import { herdLoop } from './herd.ts'

const createLoop: CreateLoop = async ([kind]) => {
  const cache = new BentoCache({
    default: 'memory',
    stores: { memory: bentostore().useL1Layer(memoryDriver({ maxItems: 10_000, serialize: false })) },
  })
  return herdLoop(
    kind,
    <T>(tenant: string, work: () => Promise<T>): Promise<T> =>
      cache.getOrSet({ key: `branding:${tenant}`, ttl: '1m', factory: work }),
    (tenant) => cache.delete({ key: `branding:${tenant}` }),
  )
}
export default createLoop
