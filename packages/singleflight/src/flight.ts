/*
 * One execution in the air and everybody who waits for it.
 *
 * A waiter without signal and deadline costs one derived promise. A waiter with either has its own record and
 * may leave at any time; leaving touches nobody else. `answer` settles everybody at once; a flight may be
 * answered more than once (first by the hard time-out, later by its landing), each time for those who wait
 * then. Who owns the key, and when time is up, is decided by `Singleflight`.
 */
import type { Clock } from '@holdfast/footing'
import { AbortedError, WaitTimeoutError } from './errors.ts'
import type { FlightKey } from './key.ts'

/** What the work of a flight is given. */
export interface FlightContext {
  /** Aborts when the flight is given up, closed, or abandoned with `whenAbandoned: 'abort'`. */
  readonly signal: AbortSignal
  /** Unique in this process; for logs. */
  readonly flightId: string
  /** The key as the first caller gave it. */
  readonly key: FlightKey
  /**
   * With `fleet`: larger than that of every earlier flight of this key in any process. Undefined without, and while
   * Redis cannot be reached. `signal` aborts when the lease behind it is lost.
   */
  readonly fence: number | undefined
}

/** How a result reaches the waiters that did not start the flight. `undefined`: as it is. */
export interface Sharing {
  readonly onValue: ((value: unknown) => unknown) | undefined
  readonly onError: ((error: unknown) => never) | undefined
}

/** The result of a flight. */
export type Outcome =
  | { readonly failed: false; readonly value: unknown }
  | { readonly failed: true; readonly error: unknown }

/** What a patient waiter brings: its signal, its time, the clock, and whom to tell when it leaves. */
export interface Patience {
  readonly signal: AbortSignal | undefined
  readonly timeoutMs: number
  readonly clock: Clock
  readonly onLeave: (flight: Flight) => void
}

interface Waiter {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  readonly leads: boolean
  /** Takes its timer and its listener away. */
  readonly release: () => void
}

let flightsStarted = 0

export class Flight {
  readonly key: FlightKey
  readonly encodedKey: string
  readonly startedAtMs: number
  /** The flight whose work started this one; let go of on landing, so that chains cannot grow. */
  parent: Flight | undefined
  /** Past its hard time-out, but still in the air. */
  overdue = false
  abandoned = false
  /** Waits for another process: nothing runs here. */
  following = false
  /** With `fleet`: what it lands with has at least this fence. */
  minFence = 0
  /** Its work was started here. */
  ran = false
  cancelTimer: (() => void) | undefined = undefined

  readonly #sharing: Sharing
  readonly #number = ++flightsStarted
  #shared: PromiseWithResolvers<unknown> | undefined = undefined
  #leader: PromiseWithResolvers<unknown> | undefined = undefined
  #plain = 0
  #patient: Set<Waiter> | undefined = undefined
  #controller: AbortController | undefined = undefined

  constructor(
    key: FlightKey,
    encodedKey: string,
    startedAtMs: number,
    parent: Flight | undefined,
    sharing: Sharing,
  ) {
    this.key = key
    this.encodedKey = encodedKey
    this.startedAtMs = startedAtMs
    this.parent = parent
    this.#sharing = sharing
  }

  get id(): string {
    return `flight-${this.#number}`
  }

  get waiters(): number {
    return this.#plain + (this.#patient === undefined ? 0 : this.#patient.size)
  }

  /** Created when first asked for: most work never looks at it. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  abort(reason: Error): void {
    this.#controller ??= new AbortController()
    this.#controller.abort(reason)
  }

  /** Adds a waiter that stays until the flight is answered. */
  wait(leads: boolean): Promise<unknown> {
    this.#plain += 1
    if (leads) {
      this.#leader = Promise.withResolvers()
      return this.#leader.promise
    }
    this.#shared ??= Promise.withResolvers()
    return this.#shared.promise.then(this.#sharing.onValue, this.#sharing.onError)
  }

  /** Adds a waiter that may leave before. Its signal must not have aborted yet. */
  waitPatiently(leads: boolean, patience: Patience): Promise<unknown> {
    const { signal, timeoutMs, clock, onLeave } = patience
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#patient ??= new Set()
    const waiters = this.#patient
    const leave = (error: Error) => {
      waiters.delete(waiter)
      waiter.release()
      reject(error)
      onLeave(this)
    }
    const onAbort = () => leave(abortedBy(signal))
    const cancelTimer =
      timeoutMs === Number.POSITIVE_INFINITY
        ? undefined
        : clock.schedule(timeoutMs, () => leave(new WaitTimeoutError(timeoutMs)))
    const waiter: Waiter = {
      resolve,
      reject,
      leads,
      release() {
        cancelTimer?.()
        signal?.removeEventListener('abort', onAbort)
      },
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    waiters.add(waiter)
    return promise
  }

  /** Settles everybody who waits now. */
  answer(outcome: Outcome): void {
    const shared = this.#shared
    const leader = this.#leader
    const patient = this.#patient
    this.#shared = undefined
    this.#leader = undefined
    this.#patient = undefined
    this.#plain = 0
    // The leader last: it gets the original, and may change it only when the copies have been made.
    for (const waiting of [shared, leader]) {
      if (outcome.failed) waiting?.reject(outcome.error)
      else waiting?.resolve(outcome.value)
    }
    if (patient === undefined) return
    for (const waiter of patient) {
      waiter.release()
      settle(waiter, outcome, this.#sharing)
    }
  }
}

/** The error of a waiter whose signal aborted. Like Node's own, it is named AbortError and keeps the reason. */
export function abortedBy(signal: AbortSignal | undefined): Error {
  return Object.assign(new AbortedError({ cause: signal?.reason }), { name: 'AbortError' })
}

function settle(waiter: Waiter, outcome: Outcome, sharing: Sharing): void {
  if (waiter.leads) {
    if (outcome.failed) waiter.reject(outcome.error)
    else waiter.resolve(outcome.value)
    return
  }
  try {
    if (!outcome.failed)
      waiter.resolve(sharing.onValue === undefined ? outcome.value : sharing.onValue(outcome.value))
    else if (sharing.onError === undefined) waiter.reject(outcome.error)
    else sharing.onError(outcome.error)
  } catch (error) {
    waiter.reject(error)
  }
}
