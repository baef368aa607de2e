/** bentocache's memory layer in its fastest form: without serialisation. */
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import type { CreateLoop } from '../harness/row.ts'
import { hitLoop, themes } from './cache-hit.ts'

const createLoop: CreateLoop = () => {
  const cache = new BentoCache({
    default: 'memory',
    stores: { memory: bentostore().useL1Layer(memoryDriver({ maxItems: 10_000, serialize: false })) },
  })
  return hitLoop((tenant) =>
    cache.getOrSet({ key: tenant, ttl: '1h', factory: async () => themes.get(tenant) }),
  )
}
export default createLoop
