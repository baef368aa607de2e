import { type Clock, systemClock } from '@holdfast/footing'
import { Call, rejection, type Work } from './call.ts'
import { CallLimits } from './call-limits.ts'
import { checkCall, checks } from './options.ts'
import { race } from './race.ts'

/** Settings of one call of `timeout`. */
export interface TimeoutOptions {
  /** Milliseconds after which the call is answered with `TIMEOUT`. Default `Infinity`: no limit of its own. */
  readonly timeoutMs?: number | undefined
  /** When the caller needs its answer, on the clock (`clock.nowMs()`). Default: never. */
  readonly deadlineMs?: number | undefined
  /** Ends the call when it aborts; already aborted, the work is not started. */
  readonly signal?: AbortSignal | undefined
  /** What errors call the work. Default `work`. */
  readonly name?: string | undefined
  /** Where time comes from. Default: `systemClock`. */
  readonly clock?: Clock | undefined
}

/**
 * Answers what the work answers, or at the latest when its time is up: at the earliest of `timeoutMs`, `deadlineMs`
 * and `signal`, which the work sees as one signal. Work that does not listen to it goes on; nobody waits for it,
 * and its late result or error reaches nobody.
 *
 * Never throws, only rejects: with the error of the work, or `HOLDFAST_ERR_CIRCUIT_BREAKER_` + `TIMEOUT`,
 * `DEADLINE`, `ABORTED`, `INVALID_OPTION`.
 */
export async function timeout<T>(work: Work<T>, options: TimeoutOptions): Promise<T> {
  checkCall(checks.object('options', options), ['timeoutMs', 'deadlineMs', 'signal', 'name', 'clock'])
  checks.durationOrInfinity('timeoutMs', options.timeoutMs ?? Number.POSITIVE_INFINITY)
  return within(work, new Call(), options)
}

/** `timeout` for callers that hold the signal's end of the call themselves, and have checked the options. */
export function within<T>(work: Work<T>, call: Call, options: TimeoutOptions): Promise<T> {
  const { timeoutMs = Number.POSITIVE_INFINITY, name = 'work', clock = systemClock } = options
  const limits = new CallLimits(name, clock, timeoutMs, options)
  // As of a breaker's execute(): time that is spent starts no work.
  const spent = limits.spent()
  return spent === undefined ? race(work, call, limits, () => limits.timeUp()) : rejection(spent)
}
