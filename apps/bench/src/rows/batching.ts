import type { LoopRow } from '../harness/row.ts'

const module = 'src/loops/batching.ts'

/** One script for many callers, against a real Redis. */
export const batching: LoopRow = {
  kind: 'loop',
  name: 'batching',
  title: '32 callers run one script in one turn of the event loop; figures per 32 calls',
  variants: [
    { name: 'batched', module, args: ['batched'], against: 'ioredis evalsha' },
    { name: 'not batched', module, args: ['single'], against: 'ioredis evalsha' },
    { name: 'ioredis evalsha', module, args: ['ioredis'] },
    { name: 'ioredis auto-pipelining', module, args: ['auto-pipelining'], against: 'ioredis evalsha' },
  ],
  goals: [
    {
      claim: 'Batched calls of a script take at most half the time of single `EVALSHA`s through ioredis',
      figure: 'nanoseconds',
      of: 'batched',
      against: 'ioredis evalsha',
      atMost: 0.5,
    },
    {
      claim: 'Batched calls of a script take less time than `EVALSHA`s that ioredis pipelines by itself',
      figure: 'nanoseconds',
      of: 'batched',
      against: 'ioredis auto-pipelining',
      atMost: 0.8,
    },
  ],
}
