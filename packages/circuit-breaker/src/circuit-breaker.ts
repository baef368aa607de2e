/*
 * The executor around the state machine: runs work, gives it a signal, answers in time.
 *
 * A call is answered at the earliest of: its result, its time-out, its deadline, its caller's abort. Work that goes
 * on after that is not waited for, and its late result reaches nobody. Without a limit and without a signal a call
 * costs one promise: no timer, no listener, no AbortController.
 */
import type { Clock } from '@holdfast/footing'
import { Breaker, type ExportedState } from './breaker.ts'
import type { BreakerSnapshot, Hold } from './breaker-snapshot.ts'
import { Call, isThenable, rejection, start, type Work } from './call.ts'
import { CallLimits } from './call-limits.ts'
import { classifyAbort, judged } from './classification.ts'
import { AbortedError, ClosedError, HoldsFullError, OpenError, TimeoutError } from './errors.ts'
import { type BreakerState, channels, type Transition, type TransitionCause, tell } from './events.ts'
import {
  type CircuitBreakerOptions,
  checkCall,
  checks,
  type ResolvedOptions,
  resolveOptions,
} from './options.ts'
import type { Outcome } from './outcome.ts'
import type { Permit } from './permit.ts'
import { race } from './race.ts'

/** What one call brings along. */
export interface ExecuteOptions<T> {
  /** Ends this call alone when it aborts; already aborted, the work is not started. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds until the call is answered with `TIMEOUT`, in place of the breaker's. */
  readonly timeoutMs?: number | undefined
  /** When the caller needs its answer, on the clock of the breaker (`clock.nowMs()`). Default: never. */
  readonly deadlineMs?: number | undefined
  /** Answers instead when the call is refused or fails; not for errors that are no failure of the dependency. */
  readonly fallback?: ((reason: unknown) => T | PromiseLike<T>) | undefined
}

/** Holds and isolations that a breaker keeps at the same time. */
const MAX_HOLDS = 100
const MAX_REASON_LENGTH = 500

export class CircuitBreaker {
  readonly name: string
  readonly #options: ResolvedOptions
  readonly #clock: Clock
  readonly #breaker: Breaker
  readonly #holds = new Set<Hold>()
  readonly #isolations = new Set<Hold>()
  #timedOut = 0
  #fellBack = 0
  #closed = false

  /** @throws `HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION` */
  constructor(name: string, options?: CircuitBreakerOptions) {
    this.name = checks.text('name', name)
    this.#options = resolveOptions(options)
    this.#clock = this.#options.clock
    const nowMs = this.#clock.nowMs()
    this.#breaker = new Breaker(this.#options, nowMs, (...change) => this.#changed(...change))
    const { initialState } = this.#options
    if (initialState !== undefined) {
      // A wall clock that was set back must not make the pause longer than it was.
      const elapsedMs = Math.max(0, this.#clock.wallMs() - initialState.exportedWallMs)
      this.#breaker.restore(initialState, elapsedMs, nowMs)
    }
  }

  /** `half-open` as soon as the open time is over, although the first call has not come yet. */
  get state(): BreakerState {
    return this.#breaker.stateAt(this.#clock.nowMs())
  }

  /** Milliseconds until a call may pass; 0 when it may now. */
  retryAfterMs(): number {
    return this.#breaker.retryAfterMs(this.#clock.nowMs())
  }

  /**
   * Runs `work`, which starts at once, and answers with what it answers.
   *
   * Never throws; everything arrives as a rejection: what the work threw, or `HOLDFAST_ERR_CIRCUIT_BREAKER_` +
   * `OPEN` (refused, with `reason` and `retryAfterMs`), `TIMEOUT`, `DEADLINE`, `ABORTED` (the caller's signal),
   * `CLOSED`, `INVALID_OPTION`. With a `fallback` that answers for refusals and failures.
   */
  execute<T>(work: Work<T>, options?: ExecuteOptions<T>): Promise<T> {
    try {
      // A promise in place of the work is a mistake here, and must not open the breaker of a dependency.
      if (typeof work !== 'function') checks.refuse('work', 'a function that starts the call', work)
      if (options !== undefined || this.#options.timeoutMs < Infinity) {
        return this.#executeWithin(work, options ?? {})
      }
      const permit = this.tryAcquire()
      if (permit === undefined) return rejection(this.refusal())
      return this.#settling(permit, start(work, new Call()))
    } catch (error) {
      return rejection(error)
    }
  }

  /** The right to make one call, to be settled once; undefined when the call is refused. O(1), no promise. */
  tryAcquire(): Permit | undefined {
    if (this.#closed) return undefined
    const breaker = this.#breaker
    return breaker.acquire(breaker.acquireNeedsTime ? this.#clock.nowMs() : 0)
  }

  /** The error for a call that `tryAcquire()` has refused just now. */
  refusal(): Error {
    if (this.#closed) return new ClosedError(this.name)
    const retryAfterMs = this.#breaker.retryRefusedAfterMs(this.#clock.nowMs())
    return new OpenError(this.name, this.#breaker.lastRefusal, retryAfterMs)
  }

  /** The right to probe, for the owner of a breaker with `probing: 'manual'`; at any time while it is not held. */
  tryAcquireProbe(): Permit | undefined {
    return this.#closed ? undefined : this.#breaker.acquireProbe(this.#clock.nowMs())
  }

  /** Tells the result of a call. Results of an earlier epoch change nothing, and so does a second settling. */
  settle(permit: Permit, outcome: Outcome): void {
    const breaker = this.#breaker
    const timed = breaker.successNeedsTime || outcome !== 'success'
    breaker.settle(permit, outcome, timed ? this.#clock.nowMs() : 0)
  }

  /** Opens now. Open already, the open time begins anew. */
  trip(reason: string): void {
    if (!this.#closed) this.#breaker.trip(shortened(reason), this.#clock.nowMs())
  }

  /**
   * Keeps the breaker open until the function it returns is called; then probes decide, or what is left of an
   * open time. Any number of sources may hold it at the same time, up to 100.
   *
   * @throws `HOLDFAST_ERR_CIRCUIT_BREAKER_HOLDS_FULL`
   */
  hold(source: string, reason: string): () => void {
    return this.#keepOpen('held', this.#holds, source, reason)
  }

  /** As `hold`, by a person: it wins over `disable()` and `shadow`, too. */
  isolate(reason: string): () => void {
    return this.#keepOpen('isolated', this.#isolations, 'isolate', reason)
  }

  /** Metrics only until the function it returns is called: everything is counted, nobody is refused. */
  disable(): () => void {
    this.#breaker.beginShadow()
    return once(() => this.#breaker.endShadow())
  }

  snapshot(): BreakerSnapshot {
    const nowMs = this.#clock.nowMs()
    const breaker = this.#breaker
    const { calls, failures, slow } = breaker.windowAt(nowMs)
    const { refused, transitions, ...counts } = breaker.counts
    return {
      name: this.name,
      state: breaker.stateAt(nowMs),
      reason: breaker.reason,
      stateForMs: nowMs - breaker.changedAtMs,
      retryAfterMs: breaker.retryAfterMs(nowMs),
      isolated: [...this.#isolations].map(({ reason }) => reason),
      held: [...this.#holds].map((hold) => ({ ...hold })),
      disabled: breaker.shadowed,
      consecutiveFailures: breaker.consecutiveFailures,
      window: { calls, failures, slow },
      openings: breaker.openings,
      probesInFlight: breaker.probesInFlight,
      rampShare: breaker.rampShare(nowMs),
      counts: {
        ...counts,
        refused: { ...refused },
        transitions: { ...transitions },
        timedOut: this.#timedOut,
        fellBack: this.#fellBack,
      },
    }
  }

  /** The state for `initialState` of another breaker, also in a later process. Holds are not part of it. */
  exportState(): ExportedState {
    return this.#breaker.exportAt(this.#clock.nowMs(), this.#clock.wallMs())
  }

  /** For good: calls are refused with `CLOSED`, and nobody is told any more what late results change. */
  close(): void {
    this.#closed = true
  }

  #executeWithin<T>(work: Work<T>, options: ExecuteOptions<T>): Promise<T> {
    checkCall(options, callOptions)
    const { fallback, timeoutMs = this.#options.timeoutMs } = options
    const limits = new CallLimits(this.name, this.#clock, timeoutMs, options)
    const spent = limits.spent()
    if (spent !== undefined) return rejection(spent)
    const instead =
      fallback === undefined ? undefined : (reason: unknown) => this.#fallBack(fallback, reason, limits)
    const permit = this.tryAcquire()
    if (permit === undefined) {
      const refused = this.refusal()
      return instead === undefined ? rejection(refused) : Promise.resolve(instead(refused))
    }
    const call = new Call()
    const result = limits.none ? start(work, call) : race(work, call, limits, () => this.#timeUp(limits))
    return this.#settling(permit, result, instead)
  }

  /** The result, after the breaker was told; `instead` answers for a failure. Chained, which costs less than `await`. */
  #settling<T>(
    permit: Permit,
    result: Promise<T>,
    instead?: (reason: unknown) => T | PromiseLike<T>,
  ): Promise<T> {
    return result.then(
      (value) => {
        this.#settleValue(permit, value)
        return value
      },
      (error: unknown) => {
        const outcome = this.#settleError(permit, error)
        // What was rejected once is handed on: to throw it again would cost more than all the rest.
        return outcome === 'failure' && instead !== undefined ? instead(error) : result
      },
    )
  }

  /** A fallback may hang like the work before it: it has as long as that had, and ends with its caller, too. */
  #fallBack<T>(
    fallback: (reason: unknown) => T | PromiseLike<T>,
    reason: unknown,
    limits: CallLimits,
  ): T | PromiseLike<T> {
    this.#fellBack += 1
    const value = fallback(reason)
    if (!isThenable(value) || limits.none) return value
    if (limits.signal?.aborted === true) throw limits.left()
    return race(
      () => value,
      new Call(),
      limits,
      () => reason,
    )
  }

  #timeUp(limits: CallLimits): Error {
    const error = limits.timeUp()
    if (error instanceof TimeoutError) this.#timedOut += 1
    return error
  }

  #settleValue(permit: Permit, value: unknown): void {
    const { classifyValue } = this.#options
    this.settle(permit, classifyValue === undefined ? 'success' : judged(classifyValue, value))
  }

  #settleError(permit: Permit, error: unknown): Outcome {
    const outcome =
      error instanceof AbortedError ? classifyAbort(error.cause) : judged(this.#options.classifyError, error)
    this.settle(permit, outcome)
    return outcome
  }

  #keepOpen(kind: 'held' | 'isolated', holds: Set<Hold>, source: string, reason: string): () => void {
    if (this.#holds.size + this.#isolations.size >= MAX_HOLDS) throw new HoldsFullError(this.name, MAX_HOLDS)
    const hold = { source: shortened(source), reason: shortened(reason) }
    holds.add(hold)
    if (!this.#closed) this.#breaker.hold(kind, hold.reason, this.#clock.nowMs())
    return once(() => {
      holds.delete(hold)
      if (!this.#closed) this.#breaker.release(kind)
    })
  }

  #changed(
    from: BreakerState,
    to: BreakerState,
    cause: TransitionCause,
    reason: string,
    nowMs: number,
  ): void {
    const { onTransition } = this.#options
    if (this.#closed || (onTransition === undefined && !channels.transition.hasSubscribers)) return
    const retryAfterMs = to === 'open' ? this.#breaker.retryAfterMs(nowMs) : 0
    const transition: Transition = {
      breaker: this.name,
      from,
      to,
      cause,
      reason,
      retryAfterMs,
      wallMs: this.#clock.wallMs(),
    }
    channels.transition.publish(transition)
    tell(onTransition, transition, `onTransition of circuit breaker "${this.name}"`)
  }
}

const callOptions = ['signal', 'timeoutMs', 'deadlineMs', 'fallback']

function once(release: () => void): () => void {
  let released = false
  return () => {
    if (released) return
    released = true
    release()
  }
}

function shortened(text: string): string {
  return String(text).slice(0, MAX_REASON_LENGTH)
}
