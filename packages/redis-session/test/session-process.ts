/**
 * A process with the service of `session-app.ts`, for tests that start several: `node session-process.ts <settings as
 * JSON>`. It tells its port over its IPC channel, and ends with it.
 */
import type { AddressInfo } from 'node:net'
import { GuardedRedis } from '@holdfast/redis-guard'
import { FileLog, type RedisSessionOptions } from '../src/index.ts'
import { secrets, sessionApp } from './session-app.ts'

/** What the process is started with. */
export interface ProcessSettings {
  readonly redisUrl: string
  readonly budgetMs: number
  /** Where ends of sessions are noted. */
  readonly directory?: string
  readonly options?: RedisSessionOptions
}

const { redisUrl, budgetMs, directory, options }: ProcessSettings = JSON.parse(process.argv[2] ?? '')
process.on('disconnect', () => process.exit())
const redis = new GuardedRedis({
  url: redisUrl,
  budgetMs,
  connectTimeoutMs: 2000,
  maxReconnectMs: 100,
  heartbeatMs: 100,
})
await redis.ready(10_000)
const log = directory === undefined ? {} : { revocationLog: new FileLog(directory) }
const app = await sessionApp({ ...options, ...log, redis, secrets })
app.get('/snapshot', async () => app.redisSession.snapshot())
await app.listen({ host: '127.0.0.1', port: 0 })
process.send?.((app.server.address() as AddressInfo).port)
