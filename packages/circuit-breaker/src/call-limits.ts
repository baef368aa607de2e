import type { Clock } from '@holdfast/footing'
import { abortedBy, DeadlineError, TimeoutError } from './errors.ts'
import { withOutcome } from './outcome.ts'

/** What a caller says about how long its call may take. */
export interface Patience {
  readonly deadlineMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** What ends one call before its work does: its time-out, the deadline of its caller, or that the caller leaves. */
export class CallLimits {
  readonly clock: Clock
  readonly signal: AbortSignal | undefined
  /** Milliseconds from now; `Infinity` for none. */
  readonly limitMs: number
  readonly #name: string
  readonly #timeoutMs: number
  readonly #remainingMs: number

  /** `name` is what the errors call the work. */
  constructor(name: string, clock: Clock, timeoutMs: number, { deadlineMs, signal }: Patience) {
    this.clock = clock
    this.signal = signal
    this.#name = name
    this.#timeoutMs = timeoutMs
    // A clock costs as much as all the rest of this: it is read for those who bring a deadline.
    this.#remainingMs = deadlineMs === undefined ? Number.POSITIVE_INFINITY : deadlineMs - clock.nowMs()
    this.limitMs = Math.min(timeoutMs, this.#remainingMs)
  }

  /** Whether there are none, and the work alone decides. */
  get none(): boolean {
    return this.limitMs === Number.POSITIVE_INFINITY && this.signal === undefined
  }

  /** Why the call is over before it has begun; undefined when it may begin. */
  spent(): Error | undefined {
    if (this.signal?.aborted === true) return this.left()
    // A budget that is spent, or none at all, is not the fault of the dependency: it is not even asked.
    return this.limitMs <= 0 ? withOutcome(this.timeUp(this.#timeoutMs <= 0), 'ignored') : undefined
  }

  /** The error of a call whose time is up. */
  timeUp(byTimeout = this.#timeoutMs <= this.#remainingMs): Error {
    return byTimeout ? new TimeoutError(this.#name, this.#timeoutMs) : new DeadlineError(this.#name)
  }

  /** The error of a call whose caller has left. */
  left(): Error {
    return abortedBy(this.#name, this.signal?.reason)
  }
}
