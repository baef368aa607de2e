import { startRedis } from '@holdfast/test-kit'
import type { LoopRow, LoopWorld } from '../harness/row.ts'

const module = 'src/loops/batching.ts'

/** One script for many callers, against a real Redis. What it spends in the script itself bounds every variant. */
export const batching: LoopRow = {
  kind: 'loop',
  name: 'batching',
  title: 'a script in Redis, 32 callers at a time over one connection; figures per call',
  prepare: redis,
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
      claim: 'Calls that are not batched take less time than single `EVALSHA`s through ioredis, too',
      figure: 'nanoseconds',
      of: 'not batched',
      against: 'ioredis evalsha',
      atMost: 0.8,
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

async function redis(): Promise<LoopWorld> {
  const server = await startRedis({ args: ['--appendonly', 'no'] })
  return { args: [server.directUrl], close: () => server.stop() }
}
