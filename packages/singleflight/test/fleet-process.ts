/**
 * A process of a fleet, for tests that start several: `node fleet-process.ts <settings as JSON>`. It is asked over
 * its IPC channel, and tells every execution of the work when it begins.
 */
import { GuardedRedis } from '@holdfast/redis-guard'
import { Singleflight, type SingleflightOptions } from '../src/index.ts'

/** What the process is started with. */
export interface ProcessSettings {
  readonly redisUrl: string
  readonly budgetMs: number
  readonly options: SingleflightOptions
}

/** What it can be asked. */
export type Question =
  | {
      readonly ask: 'fly'
      readonly key: string
      readonly callers: number
      readonly workMs: number
      /** Rejects instead. */
      readonly fails?: boolean
      /** Bytes of the value. */
      readonly bytes?: number
    }
  | { readonly ask: 'snapshot' }
  | { readonly ask: 'forget'; readonly key: string }
  | { readonly ask: 'close' }

/** How a call ended, and when, on the monotonic clock that all processes of a machine share. */
export interface CallResult {
  readonly value?: { readonly by: number; readonly fence: number | null; readonly landedAtMs: number }
  readonly error?: { readonly message: string; readonly code: unknown; readonly retryable: unknown }
  readonly atMs: number
}

/** An execution of the work that began. */
export interface Started {
  readonly started: { readonly key: string; readonly pid: number; readonly fence: number | null }
}

const { redisUrl, budgetMs, options }: ProcessSettings = JSON.parse(process.argv[2] ?? '')
const redis = new GuardedRedis({ url: redisUrl, budgetMs })
const flights = new Singleflight({ ...options, redis })

const machineMs = () => Number(process.hrtime.bigint()) / 1e6
const send = (message: object) => process.send?.(message)

async function answer(question: Question): Promise<unknown> {
  switch (question.ask) {
    case 'fly':
      return fly(question)
    case 'snapshot':
      return flights.snapshot()
    case 'forget':
      return flights.forgetEverywhere([question.key])
    case 'close':
      flights.close()
      await flights.drained()
      await redis.close()
      // The channel to the parent is all that is left.
      setImmediate(() => process.disconnect())
      return undefined
  }
}

function fly({
  key,
  callers,
  workMs,
  fails = false,
  bytes = 0,
}: Question & { ask: 'fly' }): Promise<CallResult[]> {
  const work = async ({ fence = null }: { readonly fence?: number | null | undefined }) => {
    send({ started: { key, pid: process.pid, fence } } satisfies Started)
    await new Promise((resolve) => setTimeout(resolve, workMs))
    if (fails) throw Object.assign(new Error('no such market'), { code: 'NO_MARKET', statusCode: 404 })
    return { by: process.pid, fence, landedAtMs: machineMs(), padding: 'x'.repeat(bytes) }
  }
  const call = async (): Promise<CallResult> => {
    try {
      const { by, fence, landedAtMs } = await flights.run([key], work, { fleet: true })
      return { value: { by, fence, landedAtMs }, atMs: machineMs() }
    } catch (error) {
      const { message, code, retryable } = error as Error & { code: unknown; retryable: unknown }
      return { error: { message, code, retryable }, atMs: machineMs() }
    }
  }
  return Promise.all(Array.from({ length: callers }, call))
}

process.on('message', async ({ id, question }: { id: number; question: Question }) => {
  send({ id, answer: await answer(question) })
})
await redis.ready(10_000)
send({ id: 0, answer: undefined })
