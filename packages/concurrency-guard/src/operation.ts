/*
 * One operation that is under way, from its beginning to its end.
 *
 * Guarantees: it ends once, whoever says so first and however often; its signal aborts at the time-out, when its
 * lease is lost and when nobody waits for it, and never after its end; after `timeoutMs` and `graceMs` it is given
 * up, so that no key is held for ever by work that hangs.
 *
 * Does not guarantee that work which was given up, or lost its lease, has stopped: nobody can take a running function
 * away. What it writes late is refused where the write compares the fence.
 */
import { type Clock, withRetryAfter } from '@holdfast/footing'
import { AbortedError, LeaseLostError, TimeoutError } from './errors.ts'
import type { EncodedKey } from './key.ts'
import type { Terms } from './options.ts'
import type { HeldLease } from './store.ts'

/** What the work of an operation is told. */
export interface OperationContext {
  /**
   * Larger than that of every earlier operation with this key. A write that must not come late compares it: `update
   * ... set fence = $fence where id = $id and fence < $fence`. Undefined when Redis did not grant the operation.
   */
  readonly fence: number | undefined
  /** Redis was lost when it began, or for longer than its lease: another process may be at work on the same key. */
  readonly degraded: boolean
  /** Aborts at the time-out, when the lease is lost, and when the client or the caller's own signal leaves. */
  readonly signal: AbortSignal
}

/** An operation of `begin`, which its caller ends in every case. */
export interface HeldOperation extends OperationContext {
  /** Whether it is over: by `end()`, or because it was given up. */
  readonly ended: boolean
  /** Resolves when the next one can begin; undefined when it can already. Ends it once, however often it is called. */
  end(): Promise<void> | undefined
}

/** Who began an operation, and is told what becomes of it. */
export interface OperationOwner {
  readonly clock: Clock
  timedOut(operation: Operation): void
  givenUp(operation: Operation): void
  /** Its lease ran out, or was not confirmed for as long as it runs: decides what that means. */
  leaseEnded(operation: Operation, cause: unknown): void
  /** Gives back what it held. The answer resolves when the next one can begin, and is undefined when it can already. */
  ended(operation: Operation): Promise<void> | undefined
}

export class Operation implements HeldOperation {
  readonly key: EncodedKey
  readonly terms: Terms
  readonly startedMs: number
  /** It stands for when the operation began: one that takes a lease later gets no newer fence by that. */
  readonly fence: number | undefined
  readonly #owner: OperationOwner
  #lease: HeldLease | undefined
  #degraded: boolean
  #controller: AbortController | undefined
  #reason: Error | undefined
  #late: ((error: Error) => void) | undefined
  #cancelTimer: (() => void) | undefined
  #unfollow: (() => void) | undefined
  #ended = false
  #ending: Promise<void> | undefined

  constructor(
    owner: OperationOwner,
    key: EncodedKey,
    terms: Terms,
    grant: { readonly lease: HeldLease | undefined; readonly degraded: boolean },
  ) {
    this.#owner = owner
    this.key = key
    this.terms = terms
    this.startedMs = owner.clock.nowMs()
    this.fence = grant.lease?.fence
    this.#degraded = grant.degraded
    if (terms.timeoutMs !== Number.POSITIVE_INFINITY) {
      this.#cancelTimer = owner.clock.schedule(terms.timeoutMs, () => this.#expire())
    }
    if (grant.lease !== undefined) this.#hold(grant.lease)
  }

  get degraded(): boolean {
    return this.#degraded
  }

  get ended(): boolean {
    return this.#ended
  }

  /** What it holds in Redis. */
  get lease(): HeldLease | undefined {
    return this.#lease
  }

  /** Made when first asked for. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  /** Tells the work that nobody needs its result, or that its right is gone. The first reason is the one that counts. */
  abort(reason: Error): void {
    if (this.#ended || this.#reason !== undefined) return
    this.#reason = reason
    this.#controller?.abort(reason)
  }

  /** Who answers in place of the work when its time is up; comes before the signal aborts. */
  onLate(late: (error: Error) => void): void {
    this.#late = late
  }

  /** Aborts with the signal of whoever began it. */
  follow(signal: AbortSignal): void {
    const abort = () =>
      this.abort(new AbortedError('the signal of its caller aborted', { cause: signal.reason }))
    signal.addEventListener('abort', abort, { once: true })
    this.#unfollow = () => signal.removeEventListener('abort', abort)
  }

  /** Takes a lease that was granted after the operation had begun. */
  adopt(lease: HeldLease): void {
    this.#hold(lease)
  }

  /** Redis is lost, and others may begin without it as this one goes on without it. Answers the lease it had. */
  degrade(): HeldLease | undefined {
    const lease = this.#lease
    this.#lease = undefined
    this.#degraded = true
    return lease
  }

  end(): Promise<void> | undefined {
    if (this.#ended) return this.#ending
    this.#ended = true
    this.#cancelTimer?.()
    this.#unfollow?.()
    this.#late = undefined
    this.#ending = this.#owner.ended(this)
    return this.#ending
  }

  /** Somebody else may have begun: the work has no right any more. */
  loseRight(cause?: unknown): void {
    this.abort(withRetryAfter(new LeaseLostError({ cause }), this.terms.retryAfterMs))
  }

  #hold(lease: HeldLease): void {
    this.#lease = lease
    const kept = lease.keep()
    const lost = () => {
      if (!this.#ended && this.#lease === lease) this.#owner.leaseEnded(this, kept.reason)
    }
    if (kept.aborted) lost()
    else kept.addEventListener('abort', lost, { once: true })
  }

  #expire(): void {
    const { timeoutMs, graceMs, retryAfterMs } = this.terms
    this.#cancelTimer =
      graceMs === Number.POSITIVE_INFINITY
        ? undefined
        : this.#owner.clock.schedule(graceMs, () => this.#giveUp())
    this.#owner.timedOut(this)
    const error = withRetryAfter(new TimeoutError(timeoutMs), retryAfterMs)
    this.#late?.(error)
    this.abort(error)
  }

  #giveUp(): void {
    this.#owner.givenUp(this)
    this.end()
  }
}
