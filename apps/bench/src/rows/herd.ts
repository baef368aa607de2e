import type { LoopRow } from '../harness/row.ts'

/** Coalescing itself, without waiting for anything. */
export const herd: LoopRow = {
  kind: 'loop',
  name: 'herd',
  title: '50 callers of one key in one turn of the event loop, no signal or deadline; figures per herd',
  variants: [
    { name: 'ours', module: 'src/loops/herd-ours.ts', args: ['succeed'], against: 'Map' },
    { name: 'Map', module: 'src/loops/herd-map.ts', args: ['succeed'] },
    { name: 'Map, key ready', module: 'src/loops/herd-map.ts', args: ['succeed', 'ready'], against: 'Map' },
    { name: 'Map (A/A control)', module: 'src/loops/herd-map.ts', args: ['succeed'], against: 'Map' },
    {
      name: 'async-cache-dedupe',
      module: 'src/loops/herd-async-cache-dedupe.ts',
      args: ['succeed'],
      against: 'Map',
    },
    { name: 'bentocache', module: 'src/loops/herd-bentocache.ts', args: ['succeed'], against: 'Map' },
    {
      name: 'ours, two keys in turn',
      module: 'src/loops/herd-ours.ts',
      args: ['two-keys'],
      against: 'Map, two keys in turn',
    },
    { name: 'Map, two keys in turn', module: 'src/loops/herd-map.ts', args: ['two-keys'] },
    { name: 'ours, failing', module: 'src/loops/herd-ours.ts', args: ['fail'], against: 'Map, failing' },
    { name: 'Map, failing', module: 'src/loops/herd-map.ts', args: ['fail'] },
    {
      name: 'async-cache-dedupe, failing',
      module: 'src/loops/herd-async-cache-dedupe.ts',
      args: ['fail'],
      against: 'Map, failing',
    },
    {
      name: 'bentocache, failing',
      module: 'src/loops/herd-bentocache.ts',
      args: ['fail'],
      against: 'Map, failing',
    },
  ],
  goals: [
    {
      claim:
        'A herd of 50 through `Singleflight.run` takes little longer than through a bare `Map<key, Promise>`',
      figure: 'nanoseconds',
      of: 'ours',
      against: 'Map',
      atMost: 1.4,
    },
    { claim: 'A herd of 50 runs the work once', figure: 'executions', of: 'ours', atMost: 1 },
    {
      claim: 'A failing herd of 50 runs the work once',
      figure: 'executions',
      of: 'ours, failing',
      atMost: 1,
    },
  ],
}
