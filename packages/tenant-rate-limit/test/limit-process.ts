/**
 * A process of a fleet that keeps to limits, for tests that start several: `node limit-process.ts <settings as JSON>`.
 * It is asked over its IPC channel.
 */
import type { Clock } from '@holdfast/footing'
import { GuardedRedis, type GuardedRedisOptions } from '@holdfast/redis-guard'
import { StallWatch } from '@holdfast/test-kit'
import { composeLimiter } from '../src/compose-limiter.ts'
import { claim, type Decision, Policies, type Policy, type RateLimiterSnapshot } from '../src/index.ts'
import { type LeaseTerms, withReserve } from '../src/lease-terms.ts'
import { RedisStore } from '../src/redis-store.ts'
import { SLOT_MS } from './limit-fleet.ts'

/** What the process is started with. */
export interface ProcessSettings {
  /** Of the connection; plain data. */
  readonly redis: Pick<GuardedRedisOptions, 'url' | 'connection'>
  readonly budgetMs: number
  /** How wrong its clock is. */
  readonly skewMs: number
  readonly policies: Readonly<Record<string, string>>
  readonly leases?: LeaseTerms | undefined
}

/** Requests at an even pace, for one bucket. */
export interface Stream {
  readonly policy: string
  readonly tenant: string
  readonly perSecond: number
}

/** What it can be asked. */
export type Question =
  | { readonly ask: 'run'; readonly streams: readonly Stream[]; readonly ms: number }
  | { readonly ask: 'snapshot' }
  | { readonly ask: 'close' }

/** What became of a stream. Times are of the monotonic clock that all processes of a machine share. */
export interface StreamResult {
  readonly requests: number
  /** When each request that passed was made, and when it was answered. */
  readonly passed: readonly (readonly [askedMs: number, answeredMs: number])[]
  readonly bySource: Readonly<Record<string, number>>
  /** How many requests were answered in each 5 ms, by their number since the machine started. */
  readonly answered: readonly (readonly [slot: number, requests: number])[]
  /** What Redis said at the end that the bucket held, and by when; undefined when it did not answer. */
  readonly left: readonly [units: number, answeredMs: number] | undefined
  /** How long the requests waited: the quantiles 0.5, 0.99 and 1. */
  readonly waitedMs: readonly number[]
  /** What a limit on these times has to allow for. */
  readonly stalledMs: number
  /** Let pass by the fallback, of requests that the store was asked for. */
  readonly unsure: number
  readonly errors: readonly string[]
}

/** What it answers to `snapshot`. */
export interface ProcessSnapshot {
  readonly limiter: RateLimiterSnapshot
  /** Calls to Redis, of all kinds and with all outcomes. */
  readonly calls: number
  readonly available: boolean
}

const {
  redis: connection,
  budgetMs,
  skewMs,
  policies: limits,
  leases,
}: ProcessSettings = JSON.parse(process.argv[2] ?? '')
/** No clock begins below 0. */
const BEGINNING_MS = 1_000_000
const clock: Clock = {
  nowMs: () => BEGINNING_MS + performance.now() + skewMs,
  wallMs: () => Date.now() + skewMs,
  schedule(delayMs, callback) {
    const timer = setTimeout(callback, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
const redis = new GuardedRedis({ ...connection, budgetMs, clock })
const store = new RedisStore(redis)
const policies = new Policies({ policies: limits }, (policy) =>
  leases === undefined ? policy : withReserve(policy, leases),
)
const limiter = composeLimiter({ redis, clock, maxKeys: 50_000, denyFloorMs: 20, leases })

const machineMs = () => Number(process.hrtime.bigint()) / 1e6

async function answer(question: Question): Promise<unknown> {
  switch (question.ask) {
    case 'run':
      return Promise.all(question.streams.map((stream) => run(stream, question.ms)))
    case 'snapshot': {
      const { calls } = redis.snapshot()
      const total = Object.values(calls).reduce((sum, count) => sum + count, 0)
      return {
        limiter: limiter.snapshot(),
        calls: total,
        available: redis.available,
      } satisfies ProcessSnapshot
    }
    case 'close':
      await limiter.close()
      await redis.close()
      // The channel to the parent is all that is left.
      setImmediate(() => process.disconnect())
      return undefined
  }
}

/** So many at once at most: a process that stood still does not make up for it. */
const MAX_AT_ONCE = 50

async function run({ policy: name, tenant, perSecond }: Stream, ms: number): Promise<StreamResult> {
  const policy = policies.get(name)
  if (policy === undefined) throw new Error(`no policy ${name}`)
  const passed: [number, number][] = []
  const bySource: Record<string, number> = {}
  const answered = new Map<number, number>()
  const waits: number[] = []
  const errors: string[] = []
  const waiting = new Set<Promise<void>>()
  let requests = 0
  let unsure = 0
  const note = (decision: Decision, askedMs: number, promised: boolean) => {
    const answeredMs = machineMs()
    const slot = Math.floor(answeredMs / SLOT_MS)
    answered.set(slot, (answered.get(slot) ?? 0) + 1)
    waits.push(answeredMs - askedMs)
    bySource[decision.source] = (bySource[decision.source] ?? 0) + 1
    if (!decision.allowed) return
    if (promised && decision.source === 'fallback') unsure += 1
    passed.push([askedMs, answeredMs])
  }
  const request = () => {
    requests += 1
    const askedMs = machineMs()
    const decided = limiter.decide([claim(policy as NonNullable<typeof policy>, tenant, 'all')])
    if (!(decided instanceof Promise)) return note(decided, askedMs, false)
    const noted = decided.then(
      (decision) => note(decision, askedMs, true),
      (error: Error) => {
        errors.push(error.message)
      },
    )
    waiting.add(noted)
    noted.finally(() => waiting.delete(noted))
  }
  const stalls = new StallWatch()
  const startMs = machineMs()
  let due = 0
  let lastMs = startMs
  while (lastMs < startMs + ms) {
    await new Promise((resolve) => setTimeout(resolve, 1))
    const nowMs = machineMs()
    due = Math.min(MAX_AT_ONCE, due + ((nowMs - lastMs) * perSecond) / 1000)
    lastMs = nowMs
    for (; due >= 1; due -= 1) request()
  }
  await Promise.all(waiting)
  const stalledMs = stalls.allowanceMs()
  stalls.stop()
  const left = await leftOf(policy, tenant)
  waits.sort((one, other) => one - other)
  const quantile = (part: number) => waits[Math.min(waits.length - 1, Math.floor(waits.length * part))] ?? 0
  return {
    requests,
    passed,
    bySource,
    answered: [...answered],
    left,
    waitedMs: [0.5, 0.99, 1].map(quantile),
    stalledMs,
    unsure,
    errors,
  }
}

async function leftOf(policy: Policy, tenant: string): Promise<StreamResult['left']> {
  try {
    const { verdicts } = await store.decide([claim(policy, tenant, 'all', 0)], 'peek')
    const used = verdicts[0]?.usedTicks ?? Number.NaN
    return [(policy.toleranceTicks - used) / policy.emissionTicks, machineMs()]
  } catch {
    return undefined
  }
}

process.on('message', async ({ id, question }: { id: number; question: Question }) => {
  process.send?.({ id, answer: await answer(question) })
})
await redis.ready(10_000)
process.send?.({ id: 0, answer: undefined })
