import type { LoopRow } from '../harness/row.ts'

/** What a breaker costs while everything fails: the work runs every time, or the breaker opens and refuses. */
export const breakerFailures: LoopRow = {
  kind: 'loop',
  name: 'breaker-failures',
  title: '10,000 failing calls of a new breaker, one after the other; figures per 10,000, the work included',
  variants: [
    { name: 'ours', module: 'src/loops/breaker-ours.ts', args: ['run'] },
    {
      name: 'opossum',
      module: 'src/loops/breaker-opossum.ts',
      args: ['run', 'percentiles'],
      against: 'ours',
    },
    {
      name: 'opossum, no percentiles',
      module: 'src/loops/breaker-opossum.ts',
      args: ['run', 'no-percentiles'],
      against: 'ours',
    },
    { name: 'cockatiel', module: 'src/loops/breaker-cockatiel.ts', args: ['run'], against: 'ours' },
    { name: 'bare call', module: 'src/loops/breaker-bare.ts', args: ['run'], against: 'ours' },
    { name: 'ours, opens', module: 'src/loops/breaker-ours.ts', args: ['open'] },
    {
      name: 'opossum, opens',
      module: 'src/loops/breaker-opossum.ts',
      args: ['open', 'percentiles'],
      against: 'ours, opens',
    },
    {
      name: 'cockatiel, opens',
      module: 'src/loops/breaker-cockatiel.ts',
      args: ['open'],
      against: 'ours, opens',
    },
  ],
  goals: [
    {
      claim: '10,000 failing calls that all run cost at most 50 ms of CPU',
      figure: 'cpuNanoseconds',
      of: 'ours',
      atMost: 50_000_000,
    },
    {
      claim: '10,000 failing calls of a breaker that opens cost at most 50 ms of CPU',
      figure: 'cpuNanoseconds',
      of: 'ours, opens',
      atMost: 50_000_000,
    },
  ],
}
