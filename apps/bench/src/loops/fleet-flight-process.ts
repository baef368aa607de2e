/**
 * One of the processes of the row `fleet-flight`: `node fleet-flight-process.ts <contender> <Redis url>`. It is asked
 * over its IPC channel for one flight at a time: so many callers of one key, and when each of them had its value.
 */
import { GuardedRedis } from '@holdfast/redis-guard'
import { Singleflight } from '@holdfast/singleflight'
import { createCache } from 'async-cache-dedupe'
import { Redis } from 'ioredis'

export interface FlightQuestion {
  readonly id: number
  readonly key: string
  readonly callers: number
}

export interface FlightAnswer {
  readonly id: number
  /** Callers that got the value of this key. */
  readonly right: number
  /** Works run in this process. */
  readonly executions: number
  /** When the work that made the value was done, and when each caller had it: the machine's monotonic clock. */
  readonly landedAtMs: number
  readonly settledAtMs: readonly number[]
}

interface Price {
  readonly key: string
  readonly landedAtMs: number
}

type Coalesce = (key: string, work: () => Promise<Price>) => Promise<Price>

/** What a query takes. */
const WORK_MS = 60
const LEASE_MS = 1_000
const HANDOFF_MS = 500

const machineMs = (): number => Number(process.hrtime.bigint()) / 1e6
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const contenders: Record<string, (url: string) => Promise<Coalesce>> = {
  async ours(url) {
    const redis = new GuardedRedis({ url })
    await redis.ready(10_000)
    const flights = new Singleflight({ redis, fleet: { leaseMs: LEASE_MS, handoffMs: HANDOFF_MS } })
    return (key, work) => flights.run(['prices', key], work, { fleet: true })
  },

  /** What one writes by hand: a lock in Redis, and followers that ask for the value after 25 to 250 ms, with jitter. */
  async polling(url) {
    const redis = new Redis(url)
    const inProcess = new Map<string, Promise<Price>>()
    const seek: Coalesce = async (key, work) => {
      for (let pauseMs = 25; ; pauseMs = Math.min(250, pauseMs * 2)) {
        const value = await redis.get(`value:${key}`)
        if (value !== null) return JSON.parse(value) as Price
        if ((await redis.set(`lock:${key}`, String(process.pid), 'PX', LEASE_MS, 'NX')) === 'OK') {
          const price = await work()
          await redis.set(`value:${key}`, JSON.stringify(price), 'PX', HANDOFF_MS)
          await redis.del(`lock:${key}`)
          return price
        }
        await sleep(pauseMs * (0.5 + Math.random()))
      }
    }
    return (key, work) => {
      const known = inProcess.get(key)
      if (known !== undefined) return known
      const flight = seek(key, work).finally(() => inProcess.delete(key))
      inProcess.set(key, flight)
      return flight
    }
  },

  /** Knows nothing of other processes. */
  async 'async-cache-dedupe'() {
    let work: (() => Promise<Price>) | undefined
    const cache = createCache({ ttl: 0, storage: { type: 'memory' } }).define('prices', (_key: string) =>
      work?.(),
    )
    return (key, newWork) => {
      work = newWork
      return cache.prices(key) as Promise<Price>
    }
  },
}

const [contender = '', url = ''] = process.argv.slice(2)
const coalesce = await contenders[contender]?.(url)
if (coalesce === undefined) throw new Error(`there is no contender "${contender}"`)

process.on('message', async ({ id, key, callers }: FlightQuestion) => {
  let executions = 0
  let landedAtMs = 0
  let right = 0
  const settledAtMs: number[] = []
  const work = async (): Promise<Price> => {
    executions += 1
    await sleep(WORK_MS)
    return { key, landedAtMs: machineMs() }
  }
  await Promise.all(
    Array.from({ length: callers }, async () => {
      const price = await coalesce(key, work)
      settledAtMs.push(machineMs())
      landedAtMs = price.landedAtMs
      if (price.key === key) right += 1
    }),
  )
  process.send?.({ id, right, executions, landedAtMs, settledAtMs } satisfies FlightAnswer)
})
process.on('disconnect', () => process.exit(0))
process.send?.({ id: 0 })
