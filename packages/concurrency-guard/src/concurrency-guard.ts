/*
 * One operation at a time for each key: first in this process, then, with Redis, among all of them.
 *
 * Guarantees: in one process never two operations of one key, unless the older one was given up; across processes
 * neither, while Redis keeps its data and the holder's lease is renewed; a caller that may not wait is answered
 * without a question to Redis when this process is at work, and with one otherwise; callers that may wait get their
 * turn in the order in which they came to this process; no key ever waits for another one. What is held is given
 * back on every way out, and before whoever waits for the end of the operation is told of it.
 *
 * Does not guarantee an order among processes, nor that work which lost its right has stopped: compare the fence.
 * While Redis is lost, each process is on its own (`onStoreLoss`).
 */
import type { Clock } from '@holdfast/footing'
import { Attempt } from './attempt.ts'
import { channels } from './events.ts'
import { type EncodedKey, encodeKey, type OperationKey } from './key.ts'
import { Leases } from './leases.ts'
import { type HeldOperation, Operation, type OperationContext, type OperationOwner } from './operation.ts'
import {
  type CallOptions,
  type ConcurrencyGuardOptions,
  checks,
  type ResolvedOptions,
  resolveOptions,
  resolveTerms,
  type Terms,
  termNames,
} from './options.ts'
import { Refusal, type RefusalReason } from './refusal.ts'
import { Slots } from './slots.ts'
import type { HeldLease, LeasedElsewhere } from './store.ts'

/** The numbers of a guard, as plain data. */
export interface ConcurrencyGuardSnapshot {
  /** Operations under way, and callers whose turn it is and who ask Redis. */
  readonly held: number
  /** Callers that wait in line. */
  readonly waiting: number
  readonly maxOperations: number
  /** Leases of operations that are over, of which Redis could not be told yet. */
  readonly unreturned: number
  /** Operations that began: with a fence, without Redis, and while Redis was lost. */
  readonly begun: { readonly fenced: number; readonly local: number; readonly degraded: number }
  readonly ended: number
  /** The time of all operations that have ended. */
  readonly operationMs: number
  readonly refused: Readonly<Record<RefusalReason, number>>
  /** Operations that were not over at `timeoutMs`, and those whose key was taken away at the end of their grace. */
  readonly timedOut: number
  readonly givenUp: number
  /** Leases that ran out before their operation did. */
  readonly leasesLost: number
  /** Operations that had gone on without a lease and found another process at work when Redis came back. */
  readonly overlapped: number
}

/** Until an operation that began without Redis asks again for a lease that another process has. */
const TAKE_LEASE_AGAIN_MS = 1000
/**
 * Until it asks again a Redis that is there and did not answer (too much to do, or no memory left): twice as long after
 * each failure, because as many may ask as there are operations.
 */
const ASK_AGAIN_MS = 250
const MAX_ASK_AGAIN_MS = 8000
/**
 * When Redis is back, so many operations without a lease ask at once, the others ten in each millisecond, or all of them
 * within the longest time: Redis, and the door to it, have others to serve.
 */
const TAKEN_AT_ONCE = 100
const TAKEN_PER_MS = 10
const MAX_TAKE_UP_MS = 1000

/** When an operation without a lease asks for one again. */
interface NextTry {
  readonly cancel: () => void
  /** Until the try after it, when Redis does not answer that one either. */
  readonly askAgainMs: number
}

/** Decides who may begin; `app.concurrencyGuard` is one. */
export class ConcurrencyGuard {
  readonly #options: ResolvedOptions
  readonly #clock: Clock
  readonly #slots = new Slots<Attempt>()
  readonly #leases: Leases | undefined
  /** Callers that neither run nor are being answered: to be told when it closes. */
  readonly #idle = new Set<Attempt>()
  /** Operations whose lease was counted as lost. */
  readonly #lost = new WeakSet<Operation>()
  /** Operations that were counted as overlapped. */
  readonly #overlapping = new WeakSet<Operation>()
  /** Operations without a lease that should have one, with the next try to take it. */
  readonly #degraded = new Map<Operation, NextTry | undefined>()
  /** Questions for a lease that an operation without one should have now. */
  readonly #taking = new Map<Operation, Promise<undefined>>()
  readonly #owner: OperationOwner
  readonly #onLeave = (attempt: Attempt, cause: unknown) => this.#drop(attempt, 'aborted', cause)
  readonly #begun = { fenced: 0, local: 0, degraded: 0 }
  readonly #refused: Record<RefusalReason, number> = {
    'held-here': 0,
    'held-elsewhere': 0,
    full: 0,
    unavailable: 0,
    closed: 0,
    aborted: 0,
  }
  #ended = 0
  #operationMs = 0
  #timedOut = 0
  #givenUp = 0
  #leasesLost = 0
  #overlapped = 0
  #closed = false
  #closing: Promise<void> | undefined
  #onFree: (() => void) | undefined

  /** Raises `HOLDFAST_ERR_CONCURRENCY_GUARD_OPTION`. */
  constructor(options: ConcurrencyGuardOptions = {}) {
    this.#options = resolveOptions(options)
    const { redis, clock } = this.#options
    this.#clock = clock
    this.#leases = redis && new Leases(redis, clock, () => this.#takeUp())
    this.#owner = {
      clock,
      timedOut: (operation) => {
        this.#timedOut += 1
        tell(channels.timedOut, operation, clock)
      },
      givenUp: (operation) => {
        this.#givenUp += 1
        tell(channels.givenUp, operation, clock)
      },
      leaseEnded: (operation, cause) => this.#leaseEnded(operation, cause),
      ended: (operation) => this.#end(operation),
    }
  }

  /** What holds for an operation of which nothing else is said. */
  get terms(): Terms {
    return this.#options.terms
  }

  /**
   * Runs `work` as the one operation of its key. Rejects with what the work rejects with; with
   * `HOLDFAST_ERR_CONCURRENCY_GUARD_CONFLICT`, `_FULL`, `_UNAVAILABLE`, `_CLOSED` or `_ABORTED` without having run it;
   * and with `_TIMEOUT` at the time-out, when the work may still go on.
   */
  async run<T>(
    key: OperationKey,
    options: CallOptions,
    work: (operation: OperationContext) => T | PromiseLike<T>,
  ): Promise<T> {
    if (typeof work !== 'function') checks.refuse('work', 'a function', work)
    const operation = await this.#beginOperation(key, options)
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    operation.onLate(reject)
    const working = async () => {
      try {
        return await work(operation)
      } finally {
        await operation.end()
      }
    }
    working().then(resolve, reject)
    return promise
  }

  /**
   * Begins an operation that its caller ends, in every case, with `end()`. Rejects as `run` does without having run
   * anything.
   */
  begin(key: OperationKey, options: CallOptions = {}): Promise<HeldOperation> {
    return this.#beginOperation(key, options)
  }

  async #beginOperation(key: OperationKey, options: CallOptions): Promise<Operation> {
    checks.onlyKnown('', checks.object('options', options), [...termNames, 'signal'])
    const { signal } = options
    checks.having('signal', signal, ['addEventListener', 'removeEventListener'])
    const terms = resolveTerms('', options, this.terms)
    if (signal?.aborted) throw this.#refuse('aborted', encodeKey(key), terms, signal.reason).toError()
    const attempt = this.enter(key, terms)
    const leave = () => attempt.leave(signal?.reason)
    signal?.addEventListener('abort', leave, { once: true })
    const outcome = await attempt.whenOver()
    signal?.removeEventListener('abort', leave)
    if (outcome instanceof Refusal) throw outcome.toError()
    if (signal?.aborted) {
      await outcome.end()
      throw this.#refuse('aborted', outcome.key, terms, signal.reason).toError()
    }
    if (signal !== undefined) outcome.follow(signal)
    return outcome
  }

  /**
   * What the guarded routes do: as `begin`, with terms that were checked before. The attempt is over already when
   * nothing had to be asked or waited for.
   */
  enter(key: OperationKey, terms: Terms): Attempt {
    const encoded = encodeKey(key)
    const attempt = new Attempt(encoded, terms, this.#clock.nowMs(), this.#onLeave)
    const { maxOperations } = this.#options
    const slots = this.#slots
    if (this.#closed) return this.#settle(attempt, 'closed')
    const isHeld = slots.isHeld(encoded.text)
    if (isHeld && slots.waitingFor(encoded.text) >= terms.maxWaiting)
      return this.#settle(attempt, 'held-here')
    if (slots.held + slots.waiting >= maxOperations) return this.#settle(attempt, 'full')
    if (!isHeld) {
      slots.take(encoded.text)
      this.#ask(attempt)
      return attempt
    }
    attempt.state = 'lined-up'
    slots.lineUp(encoded.text, attempt)
    this.#idle.add(attempt)
    attempt.cancelTimer = this.#clock.schedule(terms.maxWaitMs, () => this.#drop(attempt, 'held-here'))
    return attempt
  }

  snapshot(): ConcurrencyGuardSnapshot {
    return {
      held: this.#slots.held,
      waiting: this.#slots.waiting,
      maxOperations: this.#options.maxOperations,
      unreturned: this.#leases?.unreturned ?? 0,
      begun: { ...this.#begun },
      ended: this.#ended,
      operationMs: this.#operationMs,
      refused: { ...this.#refused },
      timedOut: this.#timedOut,
      givenUp: this.#givenUp,
      leasesLost: this.#leasesLost,
      overlapped: this.#overlapped,
    }
  }

  /** Refuses everybody who waits or comes; what runs goes on. `close` does it, too. */
  refuseAll(): void {
    this.#closed = true
    for (const attempt of [...this.#idle]) this.#drop(attempt, 'closed')
  }

  /**
   * Refuses everybody who waits or comes, and resolves when all operations have ended and their leases are given
   * back, after `closeTimeoutMs` at the latest.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.refuseAll()
    if (this.#slots.held > 0) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#onFree = resolve
      const cancel = this.#clock.schedule(this.#options.closeTimeoutMs, resolve)
      await promise
      cancel()
    }
    for (const nextTry of this.#degraded.values()) nextTry?.cancel()
    this.#degraded.clear()
    this.#leases?.close()
  }

  /** It is the attempt's turn in this process. */
  #ask(attempt: Attempt): void {
    const leases = this.#leases
    attempt.state = 'asking'
    if (leases === undefined) this.#begin(attempt, undefined, false)
    else if (!leases.available) this.#beginWithout(attempt)
    else {
      leases.acquire(attempt.key.leaseName, attempt.terms).then(
        (answer) => this.#answered(attempt, answer),
        () => this.#unanswered(attempt),
      )
    }
  }

  #answered(attempt: Attempt, answer: HeldLease | LeasedElsewhere): void {
    const { key, terms } = attempt
    if (!answer.held) {
      if (attempt.outcome !== undefined) this.#pass(key)
      else this.#pause(attempt, answer)
    } else if (attempt.outcome === undefined) this.#begin(attempt, answer, false)
    else {
      // Whoever asked has left meanwhile. The next one begins after Redis knows.
      this.#leases?.giveBack(answer, terms.leaseMs).then(() => this.#pass(key))
    }
  }

  #unanswered(attempt: Attempt): void {
    if (attempt.outcome === undefined) this.#beginWithout(attempt)
    else this.#pass(attempt.key)
  }

  /** Another process is at work. */
  #pause(attempt: Attempt, { retryAfterMs }: LeasedElsewhere): void {
    const leftMs = attempt.deadlineMs - this.#clock.nowMs()
    if (this.#closed || leftMs <= 0) {
      this.#settle(attempt, this.#closed ? 'closed' : 'held-elsewhere')
      this.#pass(attempt.key)
      return
    }
    const { pollMs, random } = this.#options
    attempt.state = 'pausing'
    this.#idle.add(attempt)
    // One ms more: what Redis counts as ended has ended after it, not at it.
    const pauseMs = Math.min(pollMs * (0.5 + random()), retryAfterMs + 1, leftMs)
    attempt.cancelTimer = this.#clock.schedule(pauseMs, () => {
      this.#idle.delete(attempt)
      this.#ask(attempt)
    })
  }

  /** Redis cannot say who is at work. */
  #beginWithout(attempt: Attempt): void {
    if (attempt.terms.onStoreLoss === 'local') this.#begin(attempt, undefined, true)
    else {
      this.#settle(attempt, 'unavailable')
      this.#pass(attempt.key)
    }
  }

  #begin(attempt: Attempt, lease: HeldLease | undefined, degraded: boolean): void {
    const operation = new Operation(this.#owner, attempt.key, attempt.terms, { lease, degraded })
    this.#begun[lease !== undefined ? 'fenced' : degraded ? 'degraded' : 'local'] += 1
    attempt.settle(operation)
    // Whoever listens may make the caller leave: it has begun by then.
    if (degraded) this.#goOnWithout(operation)
  }

  #end(operation: Operation): Promise<void> | undefined {
    this.#ended += 1
    this.#operationMs += this.#clock.nowMs() - operation.startedMs
    this.#degraded.get(operation)?.cancel()
    this.#degraded.delete(operation)
    const { lease, key, terms } = operation
    // A lease that is asked for may be granted yet: the next caller would be refused because of it.
    const returning = lease ? this.#leases?.giveBack(lease, terms.leaseMs) : this.#taking.get(operation)
    if (returning === undefined) {
      this.#pass(key)
      return undefined
    }
    return returning.then((wasHeld) => {
      // A process that was stopped learns only here that its lease ran out.
      if (wasHeld === false && !this.#lost.has(operation)) this.#countLost(operation)
      this.#pass(key)
    })
  }

  /** The lease of an operation under way is gone. */
  #leaseEnded(operation: Operation, cause: unknown): void {
    if (this.#leases?.available === false && operation.terms.onStoreLoss === 'local') {
      const lease = operation.degrade()
      if (lease !== undefined) this.#leases.giveBack(lease, operation.terms.leaseMs)
      this.#goOnWithout(operation)
      return
    }
    this.#countLost(operation)
    operation.loseRight(cause)
  }

  #countLost(operation: Operation): void {
    this.#lost.add(operation)
    this.#leasesLost += 1
    tell(channels.leaseLost, operation, this.#clock)
  }

  #goOnWithout(operation: Operation): void {
    this.#degraded.set(operation, undefined)
    this.#askAgain(operation)
    tell(channels.degraded, operation, this.#clock)
  }

  /** The key goes to the next in line. */
  #pass({ text }: EncodedKey): void {
    const next = this.#slots.pass(text)
    if (next !== undefined) {
      this.#idle.delete(next)
      next.cancelTimer?.()
      next.cancelTimer = undefined
      this.#ask(next)
    } else if (this.#slots.held === 0) this.#onFree?.()
  }

  /** Takes a caller out who has not begun, wherever it stands. */
  #drop(attempt: Attempt, reason: RefusalReason, cause?: unknown): void {
    if (attempt.outcome !== undefined) return
    const { key, state } = attempt
    this.#idle.delete(attempt)
    if (state === 'lined-up') this.#slots.stepOut(key.text, attempt)
    this.#settle(attempt, reason, cause)
    // While Redis is asked the key stays taken: the answer may be a lease, which must be given back first.
    if (state === 'pausing') this.#pass(key)
  }

  #refuse(reason: RefusalReason, key: EncodedKey, terms: Terms, cause?: unknown): Refusal {
    this.#refused[reason] += 1
    if (channels.refused.hasSubscribers) channels.refused.publish({ key: key.text, reason })
    return new Refusal(reason, { ...terms, maxOperations: this.#options.maxOperations }, cause)
  }

  #settle(attempt: Attempt, reason: RefusalReason, cause?: unknown): Attempt {
    attempt.settle(this.#refuse(reason, attempt.key, attempt.terms, cause))
    return attempt
  }

  /** Redis is there again: who began without it takes a lease now, so that other processes see it. */
  #takeUp(): void {
    const waiting = [...this.#degraded]
    const spreadMs = Math.min(MAX_TAKE_UP_MS, (waiting.length - TAKEN_AT_ONCE) / TAKEN_PER_MS)
    for (const [at, [operation, nextTry]] of waiting.entries()) {
      nextTry?.cancel()
      this.#degraded.set(operation, undefined)
      if (at < TAKEN_AT_ONCE) this.#takeLease(operation)
      else this.#takeLeaseLater(operation, this.#options.random() * spreadMs)
    }
  }

  #takeLease(operation: Operation): void {
    if (!this.#degraded.has(operation) || this.#taking.has(operation)) return
    const { key, terms } = operation
    const taken = async (answer: HeldLease | LeasedElsewhere) => {
      if (!answer.held) this.#overlap(operation, answer)
      else if (!this.#degraded.has(operation)) await this.#leases?.giveBack(answer, terms.leaseMs)
      else {
        this.#degraded.delete(operation)
        operation.adopt(answer)
      }
    }
    const taking = this.#leases
      ?.acquire(key.leaseName, terms)
      .then(taken)
      .catch(() => this.#askAgain(operation))
      .then(() => {
        this.#taking.delete(operation)
        return undefined
      })
    if (taking !== undefined) this.#taking.set(operation, taking)
  }

  /** Another process is at work on the same key, as it was to be feared. */
  #overlap(operation: Operation, { retryAfterMs }: LeasedElsewhere): void {
    if (!this.#overlapping.has(operation)) {
      this.#overlapping.add(operation)
      this.#overlapped += 1
    }
    this.#takeLeaseLater(operation, Math.min(retryAfterMs + 1, TAKE_LEASE_AGAIN_MS))
  }

  /** Redis did not answer. When it is lost, its return is the next try. */
  #askAgain(operation: Operation): void {
    if (!this.#leases?.available) return
    const askAgainMs = this.#degraded.get(operation)?.askAgainMs ?? ASK_AGAIN_MS
    // Many may have been refused at once.
    const afterMs = askAgainMs * (0.5 + this.#options.random())
    this.#takeLeaseLater(operation, afterMs, Math.min(2 * askAgainMs, MAX_ASK_AGAIN_MS))
  }

  #takeLeaseLater(operation: Operation, afterMs: number, askAgainMs = ASK_AGAIN_MS): void {
    if (!this.#degraded.has(operation)) return
    this.#degraded.get(operation)?.cancel()
    const cancel = this.#clock.schedule(afterMs, () => {
      if (this.#leases?.available) this.#takeLease(operation)
    })
    this.#degraded.set(operation, { cancel, askAgainMs })
  }
}

function tell(channel: (typeof channels)[keyof typeof channels], operation: Operation, clock: Clock): void {
  if (!channel.hasSubscribers) return
  const durationMs = clock.nowMs() - operation.startedMs
  channel.publish({ key: operation.key.text, fence: operation.fence, durationMs })
}
