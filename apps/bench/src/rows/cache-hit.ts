import type { LoopRow } from '../harness/row.ts'

/** What a cached value costs the caller who awaits it. */
export const cacheHit: LoopRow = {
  kind: 'loop',
  name: 'cache-hit',
  title: 'awaiting one of 1,000 fresh values in memory; figures per hit',
  variants: [
    { name: 'ours', module: 'src/loops/cache-hit-ours.ts', against: 'async-cache-dedupe' },
    { name: 'async-cache-dedupe', module: 'src/loops/cache-hit-async-cache-dedupe.ts' },
    { name: 'bentocache', module: 'src/loops/cache-hit-bentocache.ts', against: 'async-cache-dedupe' },
    { name: 'Map', module: 'src/loops/cache-hit-map.ts', against: 'async-cache-dedupe' },
  ],
  goals: [
    {
      claim: "An awaited in-memory hit of `StaleCache.get` takes a fraction of async-cache-dedupe's",
      figure: 'nanoseconds',
      of: 'ours',
      against: 'async-cache-dedupe',
      atMost: 0.25,
    },
  ],
}
