import { type Clock, systemClock, withRetryAfter } from '@holdfast/footing'
import { abortedBy, BulkheadFullError, BulkheadTimeoutError, ClosedError, DeadlineError } from './errors.ts'
import { checkCall, checks } from './options.ts'
import { withOutcome } from './outcome.ts'
import { type Place, WaitingList } from './waiting-list.ts'

/** Settings of a `Bulkhead`. */
export interface BulkheadOptions {
  /** Works that run at once. Default 10. */
  readonly maxConcurrent?: number
  /** Callers that wait for a place; whoever comes then is refused at once. Default 10; 0 lets nobody wait. */
  readonly maxWaiting?: number
  /** Milliseconds a caller waits for a place at most. Default 100. */
  readonly maxWaitMs?: number
  /** Where time comes from. Default: `systemClock`. */
  readonly clock?: Clock
}

/** What one caller brings along. */
export interface AdmissionOptions {
  /** Ends the wait of this caller, in O(1) wherever it stands in the queue. */
  readonly signal?: AbortSignal | undefined
  /** When the answer is of no use any more, on the clock of the bulkhead; ends the wait. */
  readonly deadlineMs?: number | undefined
}

/** What is going on, and counts since the start. */
export interface BulkheadSnapshot {
  readonly name: string
  readonly maxConcurrent: number
  readonly maxWaiting: number
  readonly running: number
  readonly waiting: number
  readonly admitted: number
  readonly refusedFull: number
  readonly timedOut: number
  /** Waits that ended because the caller left or its deadline came. */
  readonly left: number
  readonly longestQueue: number
}

interface Waiter {
  admit(): void
  refuse(error: Error): void
}

/** What a refused caller is told to wait. */
const RETRY_AFTER_MS = 1000

/**
 * Keeps one dependency from taking everybody's time: at most `maxConcurrent` works run, at most `maxWaiting`
 * callers wait for at most `maxWaitMs`, in order of arrival, and everybody else is refused at once. A place that
 * becomes free goes to who waits longest; nobody overtakes.
 *
 * A refusal says nothing about the dependency: breakers around a bulkhead never count it.
 */
export class Bulkhead {
  readonly name: string
  readonly #maxConcurrent: number
  readonly #maxWaiting: number
  readonly #maxWaitMs: number
  readonly #clock: Clock
  readonly #waiters = new WaitingList<Waiter>()
  #running = 0
  #closed = false
  #admitted = 0
  #refusedFull = 0
  #timedOut = 0
  #left = 0
  #longestQueue = 0

  /** @throws `HOLDFAST_ERR_CIRCUIT_BREAKER_INVALID_OPTION` */
  constructor(name: string, options: BulkheadOptions = {}) {
    checks.onlyKnown('', checks.object('options', options), [
      'maxConcurrent',
      'maxWaiting',
      'maxWaitMs',
      'clock',
    ])
    this.name = checks.text('name', name)
    this.#maxConcurrent = checks.count('maxConcurrent', options.maxConcurrent ?? 10)
    this.#maxWaiting = checks.count('maxWaiting', options.maxWaiting ?? 10, 0)
    this.#maxWaitMs = checks.duration('maxWaitMs', options.maxWaitMs ?? 100)
    this.#clock = checks.having('clock', options.clock, ['nowMs', 'schedule']) ?? systemClock
  }

  /**
   * Runs the work in a place of its own. Never throws, only rejects: with what `acquire` rejects with, or with what
   * the work was rejected with. The work goes on when the caller leaves, and so keeps its place; give it the signal.
   */
  async execute<T>(work: () => T | PromiseLike<T>, options?: AdmissionOptions): Promise<T> {
    const release = await this.acquire(options)
    try {
      return await work()
    } finally {
      release()
    }
  }

  /**
   * A place, given back by calling the function (once; again does nothing). Rejects with `..._BULKHEAD_FULL`,
   * `..._BULKHEAD_TIMEOUT`, `..._DEADLINE`, `..._ABORTED` or `..._CLOSED`.
   */
  async acquire(options: AdmissionOptions = {}): Promise<() => void> {
    checkCall(options, ['signal', 'deadlineMs'])
    const { signal, deadlineMs = Number.POSITIVE_INFINITY } = options
    if (signal?.aborted === true) throw this.#leave(abortedBy(this.name, signal.reason))
    const remainingMs = deadlineMs - this.#clock.nowMs()
    if (remainingMs <= 0) throw this.#leave(new DeadlineError(this.name))
    const release = this.tryAcquire()
    if (release !== undefined) return release
    if (this.#closed) throw new ClosedError(this.name)
    if (this.#waiters.size >= this.#maxWaiting) {
      this.#refusedFull += 1
      throw refusal(new BulkheadFullError(this.name, this.#maxConcurrent, this.#maxWaiting))
    }
    await this.#wait(signal, remainingMs)
    return this.#place()
  }

  /** A place that is free now, given back by calling the function; `undefined` when there is none. */
  tryAcquire(): (() => void) | undefined {
    // While somebody waits, no place is free: a place that is given back goes to the first of them.
    if (this.#running >= this.#maxConcurrent || this.#closed) return undefined
    this.#running += 1
    return this.#place()
  }

  /** Refuses everybody who waits and everybody who comes, with `..._CLOSED`. What runs goes on. */
  close(): void {
    this.#closed = true
    for (let waiter = this.#waiters.first; waiter !== undefined; waiter = this.#waiters.first) {
      waiter.refuse(new ClosedError(this.name))
    }
  }

  snapshot(): BulkheadSnapshot {
    return {
      name: this.name,
      maxConcurrent: this.#maxConcurrent,
      maxWaiting: this.#maxWaiting,
      running: this.#running,
      waiting: this.#waiters.size,
      admitted: this.#admitted,
      refusedFull: this.#refusedFull,
      timedOut: this.#timedOut,
      left: this.#left,
      longestQueue: this.#longestQueue,
    }
  }

  /** Resolves when a place was handed over. */
  #wait(signal: AbortSignal | undefined, remainingMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let place: Place<Waiter>
      const leaveQueue = () => {
        this.#waiters.remove(place)
        cancelTimer()
        signal?.removeEventListener('abort', onAbort)
      }
      const onAbort = () => {
        leaveQueue()
        reject(this.#leave(abortedBy(this.name, signal?.reason)))
      }
      const cancelTimer = this.#clock.schedule(Math.min(this.#maxWaitMs, remainingMs), () => {
        leaveQueue()
        if (remainingMs < this.#maxWaitMs) return reject(this.#leave(new DeadlineError(this.name)))
        this.#timedOut += 1
        reject(refusal(new BulkheadTimeoutError(this.name, this.#maxWaitMs)))
      })
      signal?.addEventListener('abort', onAbort)
      place = this.#waiters.push({
        admit() {
          leaveQueue()
          resolve()
        },
        refuse(error) {
          leaveQueue()
          reject(error)
        },
      })
      this.#longestQueue = Math.max(this.#longestQueue, this.#waiters.size)
    })
  }

  #place(): () => void {
    this.#admitted += 1
    let given = true
    return () => {
      if (!given) return
      given = false
      const waiter = this.#waiters.first
      if (waiter === undefined) this.#running -= 1
      else waiter.admit()
    }
  }

  #leave(error: Error): Error {
    this.#left += 1
    return withOutcome(error, 'ignored')
  }
}

function refusal(error: Error): Error {
  return withOutcome(withRetryAfter(error, RETRY_AFTER_MS), 'ignored')
}
