/** What a slice of a flood shows: how the others fared, and what refusing it cost. Pure. */
import type { MixResult } from './mixed-load.ts'
import type { FloodCounts } from './row.ts'
import type { Slice } from './statistics.ts'
import { quantile } from './trial-figures.ts'

/** What is known at the end of a slice. */
export interface FloodOutcome {
  readonly durationMs: number
  readonly steady: MixResult
  /** Undefined where no flood came. */
  readonly flood: MixResult | undefined
  /** What the server counted, and the CPU that it used, between the first of the steady requests and the last. */
  readonly counted: FloodCounts
  readonly cpuMicroseconds: number
  readonly elapsedMs: number
}

const STATUS = 3
const REFUSED = 429
const allowed = { steady: [200], flood: [200, REFUSED] }

/** Throws when one answer was none that may be given: no figure of such a slice would say anything. */
export function floodFigures(outcome: FloodOutcome): Slice['figures'] {
  const { steady, flood, counted, cpuMicroseconds } = outcome
  check('steady', steady)
  const tookMs = steady.samples.map(([, , took]) => took)
  return {
    steadyP99Ms: quantile(tookMs, 0.99),
    steadyP50Ms: quantile(tookMs, 0.5),
    ...(flood === undefined ? {} : figuresOfFlood(flood, outcome)),
    cpuMicroseconds: cpuMicroseconds / (counted.steady + counted.flood),
    serverBusy: cpuMicroseconds / 1_000 / outcome.elapsedMs,
    lateMs: Math.max(steady.lateMs, flood?.lateMs ?? 0),
  }
}

function figuresOfFlood(
  flood: MixResult,
  { steady, counted, durationMs, elapsedMs }: FloodOutcome,
): Slice['figures'] {
  check('flood', flood)
  // It came before the steady requests did: what was left in the bucket then is no part of this.
  const fromMs = steady.beganWallMs - flood.beganWallMs
  const beside = flood.samples.filter(
    ([, startedMs]) => startedMs >= fromMs && startedMs < fromMs + durationMs,
  )
  const refused = beside.filter((sample) => sample[STATUS] === REFUSED).length
  return {
    floodPerSecond: (counted.flood * 1_000) / elapsedMs,
    refusedPercent: beside.length === 0 ? 0 : (100 * refused) / beside.length,
    // Each steady request is let pass, and asks once. Whoever does not ask for them has none to take away.
    redisCallsPercent: (100 * Math.max(0, counted.redisCalls - counted.steady)) / counted.flood,
  }
}

function check(kind: keyof typeof allowed, { samples }: MixResult): void {
  const wrong = samples.filter((sample) => !allowed[kind].includes(sample[STATUS]))
  if (samples.length === 0) throw new Error(`no ${kind} request was sent`)
  if (wrong.length === 0) return
  const first = wrong[0]?.[STATUS] === 0 ? 'none, or a broken connection' : `status ${wrong[0]?.[STATUS]}`
  throw new Error(`${wrong.length} of ${samples.length} ${kind} answers were wrong; the first: ${first}`)
}
