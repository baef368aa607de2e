/** Several processes that share limits, started, asked and ended by a test; and what they may let pass. */
import { AskedProcess, waitUntil } from '@holdfast/test-kit'
import type { Policy } from '../src/index.ts'
import type { ProcessSettings, ProcessSnapshot, Question, Stream, StreamResult } from './limit-process.ts'

/** Length of the slots in which requests are counted. */
export const SLOT_MS = 5

const script = new URL('./limit-process.ts', import.meta.url)

export class LimitProcess extends AskedProcess {
  run(streams: readonly Stream[], ms: number): Promise<StreamResult[]> {
    return this.ask({ ask: 'run', streams, ms } satisfies Question) as Promise<StreamResult[]>
  }

  snapshot(): Promise<ProcessSnapshot> {
    return this.ask({ ask: 'snapshot' } satisfies Question) as Promise<ProcessSnapshot>
  }
}

/** A fleet of so many processes, whose clocks are wrong by up to five minutes, each in another way. */
export async function startLimitFleet(count: number, settings: Omit<ProcessSettings, 'skewMs'>) {
  const processes = await Promise.all(
    Array.from({ length: count }, (_, at) => {
      const skewMs = count === 1 ? 300_000 : -300_000 + (600_000 * at) / (count - 1)
      return LimitProcess.start(script, { ...settings, skewMs } satisfies ProcessSettings)
    }),
  )
  return {
    processes,
    async end() {
      await Promise.all(processes.map((process) => process.end()))
    },
  }
}

type Passed = StreamResult['passed']

/**
 * The most units above `capacity + perSecond * t` that were certainly let pass within some time t: those that were
 * asked for after its beginning and answered before its end. Not above 0 when there is no such time.
 */
export function certainExcess(
  results: readonly { readonly passed: Passed }[],
  capacity: number,
  perSecond: number,
) {
  const passed = results.flatMap((result) => result.passed).sort(([, one], [, other]) => one - other)
  let most = Number.NEGATIVE_INFINITY
  const starts = passed.map(([askedMs]) => askedMs).sort((one, other) => one - other)
  const every = Math.max(1, Math.floor(starts.length / 2000))
  for (let at = 0; at < starts.length; at += every) {
    const startMs = starts[at] as number
    let count = 0
    for (const [askedMs, answeredMs] of passed) {
      if (askedMs < startMs) continue
      count += 1
      most = Math.max(most, count - ((answeredMs - startMs) * perSecond * CLOCKS) / 1000)
    }
  }
  return most - capacity
}

/** Redis counts by the time of day, which the machine may adjust by 500 millionths; tests by the monotonic clock. */
const CLOCKS = 1.0005

/** What one exact bucket lets pass of the same requests, at the times when they were answered. */
export function idealUnits(results: readonly StreamResult[], capacity: number, perSecond: number): number {
  const bySlot = new Map<number, number>()
  for (const { answered } of results) {
    for (const [slot, requests] of answered) bySlot.set(slot, (bySlot.get(slot) ?? 0) + requests)
  }
  let available = capacity
  let passed = 0
  let last: number | undefined
  for (const [slot, requests] of [...bySlot].sort(([one], [other]) => one - other)) {
    const slots = last === undefined ? 0 : slot - last
    available = Math.min(capacity, available + (slots * SLOT_MS * perSecond) / 1000)
    last = slot
    const taken = Math.min(requests, Math.floor(available))
    available -= taken
    passed += taken
  }
  return passed
}

/** The number of units let pass. */
export function passedUnits(results: readonly { readonly passed: Passed }[]): number {
  return results.reduce((sum, { passed }) => sum + passed.length, 0)
}

/** Adds up by source. */
export function bySource(results: readonly StreamResult[]): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const result of results) {
    for (const [source, count] of Object.entries(result.bySource)) sums[source] = (sums[source] ?? 0) + count
  }
  return sums
}

export type LimitFleet = Awaited<ReturnType<typeof startLimitFleet>>

/** All processes know of all. */
export async function whole({ processes }: LimitFleet): Promise<void> {
  await waitUntil(async () => {
    const snapshots = await Promise.all(processes.map((process) => process.snapshot()))
    return snapshots.every(({ limiter }) => limiter.processes >= processes.length)
  })
}

/** Calls to Redis of all processes since their start. */
export async function callsOf({ processes }: LimitFleet): Promise<number> {
  const snapshots = await Promise.all(processes.map((process) => process.snapshot()))
  return snapshots.reduce((sum, { calls }) => sum + calls, 0)
}

/** Runs the same streams in all processes: for each stream, what became of it in each of them. */
export async function runAll(
  { processes }: LimitFleet,
  streams: readonly Stream[],
  ms: number,
): Promise<readonly StreamResult[][]> {
  const results = await Promise.all(processes.map((process) => process.run(streams, ms)))
  return streams.map((_, at) => results.map((result) => result[at] as StreamResult))
}

/** The longest that a request waited, in ms. */
export function longestWaitMs(results: readonly StreamResult[]): number {
  return Math.max(...results.map(({ waitedMs }) => waitedMs[2] ?? 0))
}

/**
 * What is still in the bucket when the last request was answered: it is not lost. What came back until somebody looked
 * is not counted.
 */
export function unitsLeft(results: readonly StreamResult[], perSecond: number): number {
  const lastMs = Math.max(...results.flatMap(({ answered }) => answered.map(([slot]) => slot * SLOT_MS)))
  const seen = results.map(({ left: [units, atMs] = [0, lastMs] }) =>
    atMs < lastMs ? 0 : units - ((atMs - lastMs) * perSecond) / 1000,
  )
  return Math.max(0, ...seen)
}

/**
 * Whether the machine was so busy that a bucket runs over while a question is on its way: a pause may leave it half
 * full, and an answer took longer than the other half takes to fill.
 */
export function runsOver(
  results: readonly StreamResult[],
  { capacity, refillPerSecond }: Pick<Policy, 'capacity' | 'refillPerSecond'>,
): boolean {
  return longestWaitMs(results) > (capacity * 500) / refillPerSecond
}

/** For comments of tests. */
export function inWords(results: readonly StreamResult[], more: string): string {
  const requests = results.reduce((sum, result) => sum + result.requests, 0)
  const worst = (at: number) => Math.max(...results.map(({ waitedMs }) => waitedMs[at] ?? 0)).toFixed(2)
  const waited = `p99 ${worst(1)} ms, at most ${worst(2)} ms`
  return `${requests} requests ${JSON.stringify(bySource(results))}; ${waited}; ${more}`
}
