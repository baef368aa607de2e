/** A service of a fleet, for tests that start several: `node guard-process.ts <settings as JSON>`. Tells its port. */
import { redisGuard } from '@holdfast/redis-guard'
import Fastify from 'fastify'
import { type AbuseGuardSnapshot, abuseGuard } from '../src/index.ts'

/** What the process is started with. */
export interface ProcessSettings {
  readonly redisUrl: string
  readonly budgetMs: number
  readonly syncMs: number
  /** Default 9000: as long as Fastify allows. */
  readonly startupWaitMs?: number
  readonly maxTracked?: number
}

/** What `/state` answers. */
export interface ProcessState {
  readonly blocked: readonly string[]
  readonly commands: number
  readonly snapshot: AbuseGuardSnapshot
}

const settings: ProcessSettings = JSON.parse(process.argv[2] ?? '')
const { redisUrl, budgetMs, syncMs, startupWaitMs = 9000, maxTracked } = settings
const app = Fastify({ trustProxy: ['127.0.0.1'] })
await app.register(redisGuard, { url: redisUrl, budgetMs, startupWaitMs })
await app.register(abuseGuard, {
  redis: app.redisGuard,
  syncMs,
  startupWaitMs,
  ...(maxTracked !== undefined && { maxTracked }),
  admin: { authorize: () => true },
})
app.get('/', async () => 'ok')
app.get(
  '/state',
  { config: { abuseGuard: false } },
  async (): Promise<ProcessState> => ({
    blocked: app.abuseGuard.list().map(({ address }) => address),
    commands: app.redisGuard.snapshot().commands,
    snapshot: app.abuseGuard.snapshot(),
  }),
)
await app.listen({ port: 0, host: '127.0.0.1' })
const address = app.server.address()
process.send?.({ port: typeof address === 'object' && address !== null ? address.port : 0 })
process.on('message', async () => {
  await app.close()
  process.disconnect()
})
