/**
 * 32 callers run one script in the same turn of the event loop, each with its own key, and all wait: what a busy
 * service does with a rate limit in Redis. The script is that of a small token bucket, the server a real one.
 */
import { createHash } from 'node:crypto'
import { GuardedRedis, type RedisScript } from '@holdfast/redis-guard'
import { startRedis } from '@holdfast/test-kit'
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

async function begin(name: string): Promise<TakeToken> {
  const contend = contenders[name]
  if (contend === undefined) throw new RangeError(`no such contender: ${name}`)
  const server = await startRedis({ args: ['--appendonly', 'no'] })
  return contend(server.directUrl)
}

const createLoop: CreateLoop = async ([name = '']) => {
  // Not waited for here: questions of the parent that come before this function is done are not heard.
  const begun = begin(name)
  const keys = Array.from({ length: CALLERS }, (_, caller) => `hf:bench:{acme}:user-${caller}`)
  return {
    resultsPerOperation: CALLERS,
    async run(operations) {
      const take = await begun
      let results = 0
      for (let operation = 0; operation < operations; operation += 1) {
        for (const taken of await Promise.all(keys.map((key) => take(key)))) if (taken === 1) results += 1
      }
      return { results }
    },
  }
}
export default createLoop
