/**
 * A process with one guarded route, for tests that start several: `node guarded-process.ts <settings as JSON>`. It
 * tells its port over its IPC channel, and every handler that starts; a handler works until it is told to go on.
 */
import type { AddressInfo } from 'node:net'
import { GuardedRedis, type RedisScript } from '@holdfast/redis-guard'
import Fastify from 'fastify'
import { type ConcurrencyGuardOptions, concurrencyGuard } from '../src/index.ts'

/** What the process is started with. */
export interface ProcessSettings {
  readonly redisUrl: string
  readonly budgetMs: number
  readonly options: ConcurrencyGuardOptions
}

/** What it tells. */
export type Told =
  | { readonly told: 'listening'; readonly port: number }
  | { readonly told: 'started'; readonly key: string; readonly pid: number; readonly fence: number | null }

/** What it is told: handlers of this key may go on. */
export interface GoOn {
  readonly goOn: string
}

/** What the route answers. */
export interface Answer {
  readonly pid: number
  readonly fence: number | null
  /** Whether the write was taken: not when a later operation has written before. */
  readonly wrote: boolean
  readonly degraded: boolean
}

/** The row of a database that refuses late writers: `update ... where fence < $fence`. */
const write: RedisScript<boolean> = {
  name: 'write',
  keys: 1,
  lua: `
if tonumber(ARGV[1]) <= tonumber(redis.call('GET', KEYS[1]) or '0') then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return 1
`,
  decode: (reply) => reply === 1,
}

const { redisUrl, budgetMs, options }: ProcessSettings = JSON.parse(process.argv[2] ?? '')
const redis = new GuardedRedis({ url: redisUrl, budgetMs })
await redis.ready(10_000)
const app = Fastify()
await app.register(concurrencyGuard, { ...options, redis })
const tell = (told: Told) => process.send?.(told)

const waiting = new Map<string, (() => void)[]>()
process.on('message', ({ goOn }: GoOn) => {
  for (const go of waiting.get(goOn) ?? []) go()
  waiting.delete(goOn)
})
process.on('disconnect', () => process.exit())

interface Route {
  readonly Params: { readonly key: string }
  readonly Querystring: { readonly waits?: string }
}
const key = (request: { readonly params: unknown }) => (request.params as Route['Params']).key
app.post<Route>('/work/:key', { config: { concurrencyGuard: { key } } }, async (request): Promise<Answer> => {
  const { key } = request.params
  const { fence = null, degraded } = request.concurrencyGuard
  tell({ told: 'started', key, pid: process.pid, fence })
  if (request.query.waits === 'true') {
    await new Promise<void>((resolve) => waiting.set(key, [...(waiting.get(key) ?? []), resolve]))
  }
  const wrote =
    fence !== null && (await redis.run(write, [redis.key('row', key)], [fence]).catch(() => false))
  return { pid: process.pid, fence, wrote, degraded: request.concurrencyGuard.degraded || degraded }
})
app.get('/snapshot', async () => app.concurrencyGuard.snapshot())
await app.listen({ host: '127.0.0.1', port: 0 })
tell({ told: 'listening', port: (app.server.address() as AddressInfo).port })
