/**
 * One call of a script per operation, 32 callers at a time over one connection, each with its own key and waiting
 * for its own answer: what a busy service does with a rate limit in Redis. The script is that of a small token
 * bucket, the server a real one on another core.
 */
import { createHash } from 'node:crypto'
import { GuardedRedis, type RedisScript } from '@holdfast/redis-guard'
import { Redis } from 'ioredis'
import type { CreateLoop } from '../harness/row.ts'

const CALLERS = 32

const takeToken = `
local tokens = tonumber(redis.call('GET', KEYS[1]) or ARGV[1])
if tokens < 1 then return 0 end
redis.call('SET', KEYS[1], tokens - 1, 'PX', ARGV[2])
return 1`
const args = [1_000_000_000, 60_000]

type TakeToken = (key: string) => Promise<unknown>

const contenders: Readonly<Record<string, (url: string) => Promise<TakeToken>>> = {
  batched: (url) => guarded(url, true),
  single: (url) => guarded(url, false),
  ioredis: (url) => plain(url, false),
  'auto-pipelining': (url) => plain(url, true),
}

async function guarded(url: string, batch: boolean): Promise<TakeToken> {
  const guard = new GuardedRedis({ url, budgetMs: 1000 })
  await guard.ready(5000)
  const script: RedisScript = { name: 'take-token', lua: takeToken, keys: 1, batch }
  return (key) => guard.run(script, [key], args)
}

async function plain(url: string, enableAutoPipelining: boolean): Promise<TakeToken> {
  const redis = new Redis(url, { enableAutoPipelining })
  await redis.script('LOAD', takeToken)
  const sha = createHash('sha1').update(takeToken).digest('hex')
  return (key) => redis.evalsha(sha, 1, key, ...args)
}

/** What Redis has spent so far, by its own account: CPU in all, and of that time in scripts; in microseconds. */
async function spentBy(redis: Redis): Promise<{ cpu: number; scripts: number }> {
  const info = await redis.info('cpu', 'commandstats')
  const numberAfter = (pattern: RegExp) => Number(pattern.exec(info)?.[1] ?? 0)
  const seconds = numberAfter(/^used_cpu_user:(\S+)/m) + numberAfter(/^used_cpu_sys:(\S+)/m)
  return { cpu: seconds * 1_000_000, scripts: numberAfter(/^cmdstat_evalsha:calls=\d+,usec=(\d+)/m) }
}

async function begin(url: string, name: string): Promise<{ take: TakeToken; observer: Redis }> {
  const contend = contenders[name]
  if (contend === undefined) throw new RangeError(`no such contender: ${name}`)
  return { take: await contend(url), observer: new Redis(url) }
}

const createLoop: CreateLoop = async ([url = '', name = '']) => {
  // Not waited for here: questions of the parent that come before this function is done are not heard.
  const begun = begin(url, name)
  return {
    resultsPerOperation: 1,
    async run(operations) {
      const { take, observer } = await begun
      const before = await spentBy(observer)
      let next = 0
      let results = 0
      const caller = async (_: unknown, number: number) => {
        const key = `hf:bench:{acme}:user-${number}`
        while (next++ < operations) if ((await take(key)) === 1) results += 1
      }
      await Promise.all(Array.from({ length: CALLERS }, caller))
      const after = await spentBy(observer)
      const figures = {
        redisCpuNanoseconds: ((after.cpu - before.cpu) * 1000) / operations,
        scriptNanoseconds: ((after.scripts - before.scripts) * 1000) / operations,
      }
      return { results, figures }
    },
  }
}
export default createLoop
