/**
 * One call of a script per operation, 32 callers at a time over one connection, each with its own key and waiting
 * for its own answer: what a busy service does with a rate limit in Redis. The server is a real one on another core.
 * Every variant runs the same source, once per call.
 */
import { createHash } from 'node:crypto'
import { GuardedRedis, type RedisArgument } from '@holdfast/redis-guard'
import { Redis } from 'ioredis'
import type { CreateLoop } from '../harness/row.ts'

const CALLERS = 32

interface Limit {
  readonly lua: string
  readonly args: readonly RedisArgument[]
}

const limits: Readonly<Record<string, Limit>> = {
  /** Two commands: what is left of an allowance that ends by itself. */
  allowance: {
    lua: `
local tokens = tonumber(redis.call('GET', KEYS[1]) or ARGV[1])
if tokens < 1 then return 0 end
redis.call('SET', KEYS[1], tokens - 1, 'PX', ARGV[2])
return 1`,
    args: [1_000_000_000, 60_000],
  },
  /** Four commands: a bucket in a hash that fills up again by the clock of Redis. */
  bucket: {
    lua: `
local capacity, perSecond = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(bucket[1] or capacity)
tokens = math.min(capacity, tokens + (now - (bucket[2] or now)) * perSecond / 1000)
if tokens < 1 then return 0 end
redis.call('HSET', KEYS[1], 'tokens', tokens - 1, 'at', now)
redis.call('PEXPIRE', KEYS[1], 60000)
return 1`,
    args: [1_000_000_000, 1000],
  },
}

type TakeToken = (key: string) => Promise<unknown>

const contenders: Readonly<Record<string, (url: string, limit: Limit) => Promise<TakeToken>>> = {
  batched: (url, limit) => guarded(url, limit, true),
  single: (url, limit) => guarded(url, limit, false),
  ioredis: (url, limit) => plain(url, limit, false),
  'auto-pipelining': (url, limit) => plain(url, limit, true),
}

async function guarded(url: string, { lua, args }: Limit, batch: boolean): Promise<TakeToken> {
  const guard = new GuardedRedis({ url, budgetMs: 1000 })
  await guard.ready(5000)
  const script = { name: 'take-token', lua, keys: 1, batch }
  return (key) => guard.run(script, [key], args)
}

async function plain(url: string, { lua, args }: Limit, enableAutoPipelining: boolean): Promise<TakeToken> {
  const redis = new Redis(url, { enableAutoPipelining })
  await redis.script('LOAD', lua)
  const sha = createHash('sha1').update(lua).digest('hex')
  return (key) => redis.evalsha(sha, 1, key, ...args)
}

/** What Redis has spent so far, by its own account: CPU in all, and of that time in scripts; in microseconds. */
async function spentBy(redis: Redis): Promise<{ cpu: number; scripts: number }> {
  const info = await redis.info('cpu', 'commandstats')
  const numberAfter = (pattern: RegExp) => Number(pattern.exec(info)?.[1] ?? 0)
  const seconds = numberAfter(/^used_cpu_user:(\S+)/m) + numberAfter(/^used_cpu_sys:(\S+)/m)
  return { cpu: seconds * 1_000_000, scripts: numberAfter(/^cmdstat_evalsha:calls=\d+,usec=(\d+)/m) }
}

async function begin(url: string, name: string, limitName: string) {
  const contend = contenders[name]
  const limit = limits[limitName]
  if (contend === undefined || limit === undefined) {
    throw new RangeError(`no such contender or limit: ${name}, ${limitName}`)
  }
  return { take: await contend(url, limit), observer: new Redis(url) }
}

const createLoop: CreateLoop = async ([url = '', name = '', limitName = '']) => {
  // Not waited for here: questions of the parent that come before this function is done are not heard.
  const begun = begin(url, name, limitName)
  return {
    resultsPerOperation: 1,
    async run(operations) {
      const { take, observer } = await begun
      const before = await spentBy(observer)
      let next = 0
      let results = 0
      const caller = async (_: unknown, number: number) => {
        const key = `hf:bench:{acme}:${limitName}-${number}`
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
