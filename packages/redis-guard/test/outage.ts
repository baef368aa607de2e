import { setTimeout as sleep } from 'node:timers/promises'
import { StallWatch } from '@holdfast/test-kit'
import type { GuardedRedis, RedisScript } from '../src/index.ts'

/** Counts at a key, and answers what it counted to. */
export const count: RedisScript<number> = {
  name: 'count',
  lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
  keys: 1,
  batch: true,
  decode: Number,
}

export interface Outage {
  /** Of the first call that failed. */
  readonly firstMs: number
  readonly firstCode: unknown
  /** The slowest of those that came after it. */
  readonly laterMs: number
  readonly laterCode: unknown
  readonly refused: number
  /** From the moment when Redis was well again to the first call that was answered. */
  readonly recoveryMs: number
  /** From the first to the last call that failed. */
  readonly downMs: number
  /** The longest that this process itself was kept from running: nothing shorter can be told apart. */
  readonly stallMs: number
}

/**
 * Calls one after the other while `fault` is in force for `durationMs`, and on until calls are answered again. With
 * several keys every call asks for all of them, one after the other.
 */
export async function outage(
  guard: GuardedRedis,
  keys: readonly string[],
  durationMs: number,
  fault: () => unknown,
  heal: () => unknown,
): Promise<Outage> {
  const failures: { ms: number; code: unknown; atMs: number }[] = []
  const passes: { startedMs: number; endedMs: number }[] = []
  let running = true
  const stalls = new StallWatch()
  const callAll = async () => {
    const passStartedMs = performance.now()
    for (const key of keys) {
      const startedMs = performance.now()
      try {
        await guard.run(count, [key], [1])
      } catch (error) {
        const atMs = performance.now()
        failures.push({ ms: atMs - startedMs, code: (error as { code?: unknown }).code, atMs })
        return
      }
    }
    passes.push({ startedMs: passStartedMs, endedMs: performance.now() })
  }
  const calling = (async () => {
    while (running) {
      await callAll()
      await sleep(2)
    }
  })()
  await fault()
  await sleep(durationMs)
  await heal()
  const wellMs = performance.now()
  const passed = () => passes.find(({ startedMs }) => startedMs >= wellMs)
  while (passed() === undefined && performance.now() < wellMs + 10_000) await sleep(2)
  running = false
  await calling
  const recoveryMs = (passed()?.endedMs ?? Number.POSITIVE_INFINITY) - wellMs
  stalls.stop()
  const [first, ...later] = failures
  const slowest = later.toSorted((one, other) => other.ms - one.ms)[0]
  return {
    firstMs: first?.ms ?? 0,
    firstCode: first?.code,
    laterMs: slowest?.ms ?? 0,
    laterCode: slowest?.code,
    refused: later.length,
    recoveryMs,
    downMs: (failures.at(-1)?.atMs ?? 0) - (first?.atMs ?? 0),
    stallMs: stalls.longestMs,
  }
}
