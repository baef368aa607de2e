/** Goals as data: what a row promises, and whether a run kept the promise. Pure. */
import { ratioOf, type Slice, type Spread, spreadOf } from './statistics.ts'

/** One promise. With `against` it is about a ratio of the two variants, else about the figure itself. */
export interface Goal {
  /** The promise in words, as it stands in the README. */
  readonly claim: string
  readonly figure: string
  readonly of: string
  readonly against?: string
  readonly atMost?: number
  readonly atLeast?: number
  /** A variant that must keep the promise whatever is measured: when it does not, nothing is said of the other one. */
  readonly control?: string
}

export type Verdict = 'met' | 'not met' | 'not judged'

export interface JudgedGoal extends Goal {
  readonly value: Spread
  readonly verdict: Verdict
  /** Why a goal could not be judged. */
  readonly reason?: string
}

/** Below this share of its core the server was kept waiting by something else. */
const SATURATED = 0.85

/** A load generator that is later than this with its own work tells nothing about the service. */
const MAX_LATE_MS = 10

/** Figures that say something about the server only while it has its core. */
const NEEDS_SATURATION = new Set(['requestsPerSecond', 'p50Ms', 'p99Ms', 'maxMs'])

/** Judges by the median. Throughput and latency are judged only when the servers were kept busy. */
export function judge(goal: Goal, slices: readonly Slice[]): JudgedGoal {
  const value = compare(goal, goal.of, slices)
  if (Number.isNaN(value.median)) {
    return { ...goal, value, verdict: 'not judged', reason: 'the run has no such figure' }
  }
  const compared = [goal.of, ...(goal.against === undefined ? [] : [goal.against])]
  // What has no load that can be late is not late.
  const lateMs = Math.max(...compared.map((variant) => spreadOf(slices, variant, 'lateMs').median || 0))
  if (lateMs > MAX_LATE_MS) {
    const reason = `the load itself was ${lateMs.toFixed(0)} ms late: the machine was busy with something else`
    return { ...goal, value, verdict: 'not judged', reason }
  }
  if (NEEDS_SATURATION.has(goal.figure)) {
    for (const variant of compared) {
      const busy = spreadOf(slices, variant, 'busy').median
      if (!(busy >= SATURATED)) {
        const reason = `${variant} used only ${(busy * 100).toFixed(0)} % of its core, so this figure is not its own`
        return { ...goal, value, verdict: 'not judged', reason }
      }
    }
  }
  if (goal.control !== undefined) {
    const { median } = compare(goal, goal.control, slices)
    if (!keeps(goal, median)) {
      const reason = `${goal.control}, of which it always holds, was at ${median.toFixed(2)}: that is the noise`
      return { ...goal, value, verdict: 'not judged', reason }
    }
  }
  return { ...goal, value, verdict: keeps(goal, value.median) ? 'met' : 'not met' }
}

function compare({ against, figure }: Goal, variant: string, slices: readonly Slice[]): Spread {
  return against === undefined ? spreadOf(slices, variant, figure) : ratioOf(slices, variant, against, figure)
}

function keeps({ atMost, atLeast }: Goal, value: number): boolean {
  return (atMost === undefined || value <= atMost) && (atLeast === undefined || value >= atLeast)
}

/** `at most 0.70` or `at least 0.95`. */
export function limitText(goal: Goal): string {
  const limits = []
  if (goal.atLeast !== undefined) limits.push(`at least ${goal.atLeast}`)
  if (goal.atMost !== undefined) limits.push(`at most ${goal.atMost}`)
  return limits.join(', ')
}
