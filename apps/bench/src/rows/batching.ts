import { startRedis } from '@holdfast/test-kit'
import type { LoopRow, LoopVariant, LoopWorld } from '../harness/row.ts'

/**
 * One script for many callers, against a real Redis. What it spends in the script itself bounds every variant, the
 * more the more the script does: two commands, about which the goals speak, and four, to be seen beside them.
 */
export const batching: LoopRow = {
  kind: 'loop',
  name: 'batching',
  title: 'a script in Redis, 32 callers at a time over one connection; figures per call',
  prepare: redis,
  variants: [...variantsOf('allowance'), ...variantsOf('bucket')],
  goals: [
    {
      claim: "Batched calls of a script of two commands take at most half the time of ioredis' `EVALSHA`s",
      figure: 'nanoseconds',
      of: 'allowance, batched',
      against: 'allowance, evalsha',
      atMost: 0.5,
    },
    {
      claim: 'Calls that are not batched take less time than single `EVALSHA`s through ioredis, too',
      figure: 'nanoseconds',
      of: 'allowance, not batched',
      against: 'allowance, evalsha',
      atMost: 0.8,
    },
    {
      claim: 'Batched calls of a script take less time than `EVALSHA`s that ioredis pipelines by itself',
      figure: 'nanoseconds',
      of: 'allowance, batched',
      against: 'allowance, auto-pipelining',
      atMost: 0.8,
    },
  ],
}

/** What runs one of the scripts of the loop. */
function variantsOf(limit: string): readonly LoopVariant[] {
  const module = 'src/loops/batching.ts'
  const against = `${limit}, evalsha`
  return [
    { name: `${limit}, batched`, module, args: ['batched', limit], against },
    { name: `${limit}, not batched`, module, args: ['single', limit], against },
    { name: `${limit}, evalsha`, module, args: ['ioredis', limit] },
    { name: `${limit}, auto-pipelining`, module, args: ['auto-pipelining', limit], against },
  ]
}

async function redis(): Promise<LoopWorld> {
  const server = await startRedis({ args: ['--appendonly', 'no'] })
  return { args: [server.directUrl], close: () => server.stop() }
}
