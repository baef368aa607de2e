/*
 * The executor around the state machine: runs work, gives it a signal, answers in time.
 *
 * A call is answered at the earliest of: its result, its time-out, its deadline, its caller's abort. Work that goes
 * on after that is not waited for, and its late result reaches nobody. Without a limit and without a signal a call
 * costs one promise: no timer, no listener, no AbortController.
 */
import type { Clock } from '@holdfast/footing'
import { Breaker, type BreakerCounts, type ExportedState, type Permit } from './breaker.ts'
import { Call, type CallContext } from './call.ts'
import { classifyAbort } from './classification.ts'
import {
  AbortedError,
  abortedBy,
  ClosedError,
  DeadlineError,
  HoldsFullError,
  OpenError,
  TimeoutError,
} from './errors.ts'
import { type BreakerState, channels, type Transition, type TransitionCause, tell } from './events.ts'
import {
  type CircuitBreakerOptions,
  checkCall,
  checks,
  type ResolvedOptions,
  resolveOptions,
} from './options.ts'
import { type Outcome, withOutcome } from './outcome.ts'
import { isThenable, race } from './race.ts'

/** The work of a call. */
export type Work<T> = (context: CallContext) => T | PromiseLike<T>

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

/** Something that keeps a breaker open, or keeps it from refusing. */
export interface Hold {
  readonly source: string
  readonly reason: string
}

/** A breaker as plain data. */
export interface BreakerSnapshot {
  readonly name: string
  readonly state: BreakerState
  /** Why it opened last; empty when it never did. */
  readonly reason: string
  /** Milliseconds since the last change of state. */
  readonly stateForMs: number
  /** Milliseconds until a call may pass; 0 when it may now. */
  readonly retryAfterMs: number
  /** Reasons of the isolations in force. */
  readonly isolated: readonly string[]
  /** Sources and reasons of the holds in force. */
  readonly held: readonly Hold[]
  /** Whether nobody is refused (`shadow`, `disable()`). */
  readonly disabled: boolean
  readonly consecutiveFailures: number
  /** Executed calls of the last `windowMs`. */
  readonly window: { readonly calls: number; readonly failures: number; readonly slow: number }
  /** Openings since it was last well. */
  readonly openings: number
  readonly probesInFlight: number
  /** The share of simultaneous calls that passes: 1, less during the ramp, 0 when not closed. */
  readonly rampShare: number
  /** Since construction. */
  readonly counts: Readonly<BreakerCounts> & { readonly timedOut: number; readonly fellBack: number }
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
    // A promise in place of the work is a mistake here, and must not open the breaker of a dependency.
    if (typeof work !== 'function') return refuseWork(work)
    if (options === undefined && this.#options.timeoutMs === Infinity) {
      const permit = this.tryAcquire()
      return permit === undefined ? this.#refuse() : this.#run(work, permit)
    }
    return this.#executeGuarded(work, options ?? {})
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

  async #refuse(): Promise<never> {
    const error = this.refusal()
    // Rejected a moment later, when its caller listens: Node.js takes a microsecond to note an unheard rejection.
    await undefined
    throw error
  }

  async #run<T>(work: Work<T>, permit: Permit): Promise<T> {
    let value: T
    try {
      value = await work(new Call())
    } catch (error) {
      this.#settleError(permit, error)
      throw error
    }
    this.#settleValue(permit, value)
    return value
  }

  async #executeGuarded<T>(work: Work<T>, options: ExecuteOptions<T>): Promise<T> {
    checkCall(options, callOptions)
    const { signal, fallback, deadlineMs = Infinity } = options
    const nowMs = this.#clock.nowMs()
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs
    const remainingMs = deadlineMs - nowMs
    const limitMs = Math.min(timeoutMs, remainingMs)
    if (signal?.aborted === true) throw abortedBy(this.name, signal.reason)
    // A budget that is spent, or none at all, is not the fault of the dependency: it is not even asked.
    if (timeoutMs <= 0) throw withOutcome(new TimeoutError(this.name, timeoutMs), 'ignored')
    if (remainingMs <= 0) throw withOutcome(new DeadlineError(this.name), 'ignored')
    const permit = this.#closed ? undefined : this.#breaker.acquire(nowMs)
    if (permit === undefined) {
      const refused = this.refusal()
      if (fallback === undefined) throw refused
      return this.#fallBack(fallback, refused, limitMs, signal)
    }
    let failure: unknown
    try {
      const call = new Call()
      const value =
        limitMs === Infinity && signal === undefined
          ? await work(call)
          : await race(call, () => work(call), {
              clock: this.#clock,
              limitMs,
              signal,
              timedOut: () => this.#timeUp(timeoutMs, remainingMs),
              left: (reason) => abortedBy(this.name, reason),
            })
      this.#settleValue(permit, value)
      return value
    } catch (error) {
      failure = error
      if (this.#settleError(permit, error) !== 'failure' || fallback === undefined) throw error
    }
    return this.#fallBack(fallback, failure, limitMs, signal)
  }

  /** A fallback may hang like the work before it: it has as long as that had, and ends with its caller, too. */
  #fallBack<T>(
    fallback: (reason: unknown) => T | PromiseLike<T>,
    reason: unknown,
    limitMs: number,
    signal: AbortSignal | undefined,
  ): T | PromiseLike<T> {
    this.#fellBack += 1
    const value = fallback(reason)
    if (!isThenable(value) || (limitMs === Infinity && signal === undefined)) return value
    if (signal?.aborted === true) throw abortedBy(this.name, signal.reason)
    return race(new Call(), () => value, {
      clock: this.#clock,
      limitMs,
      signal,
      timedOut: () => reason,
      left: (cause) => abortedBy(this.name, cause),
    })
  }

  #timeUp(timeoutMs: number, remainingMs: number): Error {
    if (remainingMs < timeoutMs) return new DeadlineError(this.name)
    this.#timedOut += 1
    return new TimeoutError(this.name, timeoutMs)
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

/** A classifier that throws or answers anything else must not lose the permit: what it cannot judge has failed. */
function judged(classify: (subject: unknown) => Outcome, subject: unknown): Outcome {
  try {
    const outcome = classify(subject)
    return outcome === 'success' || outcome === 'ignored' || outcome === 'abandoned' ? outcome : 'failure'
  } catch {
    return 'failure'
  }
}

async function refuseWork(work: unknown): Promise<never> {
  return checks.refuse('work', 'a function that starts the call', work)
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
