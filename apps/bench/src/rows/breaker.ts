import type { LoopRow } from '../harness/row.ts'

/** What a breaker costs a call that succeeds. */
export const breaker: LoopRow = {
  kind: 'loop',
  name: 'breaker',
  title: 'awaiting guarded work that succeeds, one call after the other; figures per call, the work included',
  variants: [
    { name: 'ours', module: 'src/loops/breaker-ours.ts', args: ['succeed'], against: 'opossum' },
    {
      name: 'ours, consecutive',
      module: 'src/loops/breaker-ours.ts',
      args: ['consecutive'],
      against: 'opossum',
    },
    { name: 'opossum', module: 'src/loops/breaker-opossum.ts', args: ['succeed', 'no-percentiles'] },
    {
      name: 'cockatiel',
      module: 'src/loops/breaker-cockatiel.ts',
      args: ['succeed', 'consecutive'],
      against: 'opossum',
    },
    {
      name: 'cockatiel, sampling',
      module: 'src/loops/breaker-cockatiel.ts',
      args: ['succeed', 'sampling'],
      against: 'opossum',
    },
    { name: 'bare call', module: 'src/loops/breaker-bare.ts', args: ['succeed'], against: 'opossum' },
    { name: 'ours, timeoutMs', module: 'src/loops/breaker-ours.ts', args: ['timeout'], against: 'opossum' },
    { name: 'ours, signal', module: 'src/loops/breaker-ours.ts', args: ['signal'], against: 'opossum' },
    {
      name: 'opossum, timeout',
      module: 'src/loops/breaker-opossum.ts',
      args: ['timeout', 'no-percentiles'],
      against: 'opossum',
    },
  ],
  goals: [
    {
      claim: "`CircuitBreaker.execute` takes at most half of the time of opossum's `fire`",
      figure: 'nanoseconds',
      of: 'ours',
      against: 'opossum',
      atMost: 0.5,
    },
    {
      claim: "`CircuitBreaker.execute` is not slower than cockatiel's cheapest breaker",
      figure: 'nanoseconds',
      of: 'ours',
      against: 'cockatiel',
      atMost: 1,
    },
  ],
}
