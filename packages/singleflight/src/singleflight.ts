/*
 * One execution per key, shared by everybody who asks while it runs.
 *
 * Guarantees: as long as a flight owns its key, no second one starts for that key. A key is owned until its
 * work settles, is forgotten, is given up after `maxFlightMs`, or is abandoned with `whenAbandoned: 'abort'`.
 * A flight that no longer owns its key changes nothing when it lands: its late result goes to those who still
 * wait for it, and to nobody else. Work runs in the async context in which the Singleflight was constructed,
 * never in a caller's.
 *
 * Does not guarantee anything across processes (flights with `fleet` do, see fleet.ts), and does not remember
 * values: it is no cache.
 *
 * After golang.org/x/sync/singleflight, with what it lacks: leaving, deadlines, bounds and an owned key after
 * a time-out.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Channel } from 'node:diagnostics_channel'
import { newOwnerName } from '@holdfast/redis-guard'
import { ErrorMemory } from './error-memory.ts'
import {
  AbandonedError,
  ClosedError,
  FlightsFullError,
  FlightTimeoutError,
  InvalidOptionError,
  ReentrantError,
  WaitersFullError,
  WaitTimeoutError,
  withRetryHint,
} from './errors.ts'
import { channels } from './events.ts'
import { Fleet, type FleetSnapshot } from './fleet.ts'
import type { FleetStore } from './fleet-store.ts'
import { abortedBy, Flight, type FlightContext, type Outcome, type Sharing } from './flight.ts'
import { encodeKey, type FlightKey } from './key.ts'
import {
  type ResolvedFleetCall,
  type ResolvedOptions,
  resolveFleetCall,
  resolveOptions,
  type SingleflightOptions,
  type WaiterOptions,
} from './options.ts'
import { RedisFleetStore } from './redis-fleet-store.ts'
import { copyError } from './shared-error.ts'

/** Counters since construction, and gauges of this moment. */
export interface SingleflightSnapshot {
  /** Works started in this process. */
  readonly executions: number
  /** Calls that joined a flight instead of starting one. */
  readonly joined: number
  /** Works that failed while they mattered to somebody or owned their key. */
  readonly failed: number
  /** Works that have not settled yet. */
  readonly inFlight: number
  /** Calls that wait now. */
  readonly waiters: number
  /** Flights whose last waiter left. */
  readonly abandoned: number
  /** Flights that lost their key to `forget`. */
  readonly forgotten: number
  /** Flights that were not back at `hardTimeoutMs`. */
  readonly timedOut: number
  /** Flights given up at `maxFlightMs`. */
  readonly givenUp: number
  /** Calls refused because of `maxFlights` or `maxWaiters`. */
  readonly rejectedFull: number
  /** Calls answered from a remembered error (`errorTtlMs`). */
  readonly answeredFromError: number
  /** Errors remembered now. */
  readonly errorsRemembered: number
  /** Age of the oldest work that has not settled, in milliseconds; 0 when there is none. */
  readonly oldestFlightMs: number
  /** The flights across processes. */
  readonly fleet: FleetSnapshot
  readonly closed: boolean
}

/** The work of a flight. */
export type Work<T> = (context: FlightContext) => T | PromiseLike<T>

/** Which flight's work is running: makes a flight that waits for itself visible. */
const flying = new AsyncLocalStorage<Flight>()

function throwCopy(error: unknown): never {
  throw copyError(error)
}

class Context implements FlightContext {
  readonly key: FlightKey
  readonly #flight: Flight

  constructor(flight: Flight) {
    this.key = flight.key
    this.#flight = flight
  }

  get signal(): AbortSignal {
    return this.#flight.signal
  }

  get flightId(): string {
    return this.#flight.id
  }

  get fence(): undefined {
    return undefined
  }
}

/** A group of keys in which each key has at most one execution at a time. */
export class Singleflight {
  readonly #options: ResolvedOptions
  readonly #sharing: Sharing
  readonly #errors: ErrorMemory
  readonly #fleet: Fleet
  /** The flight that owns each key. */
  readonly #owners = new Map<string, Flight>()
  /** Every flight in the air, with or without a key. Oldest first. */
  readonly #inAir = new Set<Flight>()
  readonly #neutral = AsyncLocalStorage.snapshot()
  readonly #onLeave = (flight: Flight) => this.#left(flight)
  #executions = 0
  #joined = 0
  #failed = 0
  #abandoned = 0
  #forgotten = 0
  #timedOut = 0
  #givenUp = 0
  #rejectedFull = 0
  #answeredFromError = 0
  #closed = false

  /**
   * `store` is where flights across processes meet; default: `options.redis`, and none without it.
   *
   * @throws `HOLDFAST_ERR_SINGLEFLIGHT_INVALID_OPTION`
   */
  constructor(options?: SingleflightOptions, store?: FleetStore) {
    this.#options = resolveOptions(options)
    const { redis, fleet, clock, random } = this.#options
    this.#fleet = new Fleet({
      store: store ?? (redis === undefined ? undefined : new RedisFleetStore(redis, fleet.namespace)),
      clock,
      random,
      processName: newOwnerName(),
    })
    this.#errors = new ErrorMemory(this.#options.errorTtlMs, this.#options.maxFlights)
    this.#sharing = {
      onValue: this.#options.copyValue,
      onError: this.#options.copyErrors ? throwCopy : undefined,
    }
  }

  /**
   * Runs `work`, or joins the flight of this key that is already in the air.
   *
   * Never throws; everything arrives as a rejection. The caller whose work runs receives what it threw, the
   * others a copy of it (see `copyErrors`). All receive the same value: do not mutate it, or set `copyValue`.
   * `work` starts at once, in the async context in which this object was constructed.
   *
   * With `fleet` the flight is one across all processes that share a Redis: `work` runs in one of them, after one
   * question to Redis, and at once in each of them while Redis cannot be reached.
   *
   * Rejects with `HOLDFAST_ERR_SINGLEFLIGHT_` + `KEY_INVALID`, `KEY_TOO_LONG`, `INVALID_OPTION` (caller's
   * mistake), `FLIGHTS_FULL`, `WAITERS_FULL`, `CLOSED` (503, with `retryAfterSeconds`), `WAIT_TIMEOUT`,
   * `FLIGHT_TIMEOUT` (504), `ABORTED` (the caller's own signal), `REENTRANT`; with `fleet` also with
   * `VALUE_NOT_SHAREABLE`, `CODEC_FAILED` (the work's mistake), and with the failure of another process (see
   * `RemoteFailure`).
   */
  run<T>(key: FlightKey, work: Work<T>, waiter?: WaiterOptions): Promise<T> {
    let encodedKey: string
    try {
      encodedKey = encodeKey(key)
    } catch (error) {
      return Promise.reject(error)
    }
    const flight = this.#owners.get(encodedKey)
    if (flight === undefined) return this.#start(key, encodedKey, work, waiter) as Promise<T>
    if (flight.waiters >= this.#options.maxWaiters) return this.#refuseWaiter()
    const within = flying.getStore()
    if (within !== undefined && waitsFor(within, flight)) return Promise.reject(new ReentrantError())
    if (waiter === undefined && !flight.overdue) {
      this.#joined += 1
      return flight.wait(false) as Promise<T>
    }
    if (wantedFence(waiter) > flight.minFence) {
      return this.#start(key, encodedKey, work, waiter) as Promise<T>
    }
    return this.#joinPatiently(flight, waiter) as Promise<T>
  }

  /**
   * Takes the key away from its flight, and drops a remembered error: the next call starts afresh. Those who
   * wait get the result of the flight they joined, which reaches nobody else. Returns whether there was
   * anything to forget. Throws like `encodeKey`.
   */
  forget(key: FlightKey): boolean {
    const encodedKey = encodeKey(key)
    const hadError = this.#errors.forget(encodedKey)
    const flight = this.#owners.get(encodedKey)
    if (flight === undefined) return hadError
    this.#disown(flight, 'forgotten')
    return true
  }

  /**
   * `forget` in all processes of the fleet: the next call anywhere starts afresh, a value or failure that has just
   * landed is dropped, and the flight that is in the air lands for those alone who joined it. Resolves with false
   * when Redis could not be told: then others may get a value of before for as long as `handoffMs`. Never rejects
   * because of Redis; throws like `encodeKey`.
   */
  forgetEverywhere(key: FlightKey): Promise<boolean> {
    this.forget(key)
    return this.#fleet.forget(encodeKey(key))
  }

  /** Whether a flight owns this key now. Throws like `encodeKey`. */
  has(key: FlightKey): boolean {
    return this.#owners.has(encodeKey(key))
  }

  /** Counters and gauges as plain data. */
  snapshot(): SingleflightSnapshot {
    let waiters = 0
    for (const flight of this.#inAir) waiters += flight.waiters
    const [oldest] = this.#inAir
    return {
      executions: this.#executions,
      joined: this.#joined,
      failed: this.#failed,
      inFlight: this.#inAir.size,
      waiters,
      abandoned: this.#abandoned,
      forgotten: this.#forgotten,
      timedOut: this.#timedOut,
      givenUp: this.#givenUp,
      rejectedFull: this.#rejectedFull,
      answeredFromError: this.#answeredFromError,
      errorsRemembered: this.#errors.size,
      oldestFlightMs: oldest === undefined ? 0 : this.#options.clock.nowMs() - oldest.startedAtMs,
      fleet: this.#fleet.snapshot(),
      closed: this.#closed,
    }
  }

  /** Rejects everybody who waits and everybody who comes with `..._CLOSED`, and aborts all signals. */
  close(): void {
    this.#closed = true
    this.#owners.clear()
    this.#errors.clear()
    for (const flight of [...this.#inAir]) {
      this.#release(flight, withRetryHint(new ClosedError()))
    }
    this.#fleet.close()
  }

  /** Resolves when everything that flights had to tell the other processes is told, or has failed. */
  drained(): Promise<void> {
    return this.#fleet.drained()
  }

  #start(key: FlightKey, encodedKey: string, work: Work<unknown>, waiter: WaiterOptions | undefined) {
    if (this.#closed) return Promise.reject(withRetryHint(new ClosedError()))
    const { clock, maxFlights, hardTimeoutMs } = this.#options
    if (this.#errors.size > 0) {
      const failure = this.#errors.recall(encodedKey, clock.nowMs())
      if (failure !== undefined) {
        this.#answeredFromError += 1
        return Promise.reject(this.#options.copyErrors ? copyError(failure.error) : failure.error)
      }
    }
    const excuse = this.#excuse(waiter)
    if (excuse !== undefined) return Promise.reject(excuse)
    let fleet: ResolvedFleetCall | undefined
    if (waiter?.fleet !== undefined && waiter.fleet !== false) {
      try {
        fleet = resolveFleetCall(waiter.fleet, this.#options.fleet)
      } catch (error) {
        return Promise.reject(error)
      }
    }
    if (this.#inAir.size >= maxFlights) {
      this.#rejectedFull += 1
      return Promise.reject(withRetryHint(new FlightsFullError(maxFlights)))
    }
    const parent = flying.getStore()
    const flight = new Flight(key, encodedKey, clock.nowMs(), parent, this.#sharing)
    flight.minFence = fleet?.minFence ?? 0
    this.#owners.set(encodedKey, flight)
    this.#inAir.add(flight)
    const answer =
      waiter === undefined ? flight.wait(true) : this.#waitPatiently(flight, true, waiter, Infinity)
    this.#neutral(() => {
      if (hardTimeoutMs !== Infinity) {
        flight.cancelTimer = clock.schedule(hardTimeoutMs, () => this.#isOverdue(flight))
      }
      flying.run(flight, () => {
        if (fleet === undefined) this.#execute(flight, work)
        else this.#executeInFleet(flight, work, fleet)
      })
    })
    return answer
  }

  #execute(flight: Flight, work: Work<unknown>): void {
    this.#ran(flight)
    // A synchronous throw lands like a rejection, after everybody who asks in this very tick has joined.
    new Promise((resolve) => {
      resolve(work(new Context(flight)))
    }).then(
      (value) => this.#land(flight, { failed: false, value }),
      (error: unknown) => this.#land(flight, { failed: true, error }),
    )
  }

  /** Runs the work here or waits for another process that does. */
  #executeInFleet(flight: Flight, work: Work<unknown>, settings: ResolvedFleetCall): void {
    const { id: flightId, encodedKey, key, signal } = flight
    this.#fleet
      .fly(
        {
          flightId,
          encodedKey,
          signal,
          isWanted: () => flight.waiters > 0,
          execute: async (fence, signal) => {
            this.#ran(flight)
            return work({ key, flightId, signal, fence })
          },
          follows: (following) => {
            flight.following = following
          },
          disown: (reason) => this.#disown(flight, reason),
        },
        settings,
      )
      .then(
        (value) => this.#land(flight, { failed: false, value }),
        (error: unknown) => this.#land(flight, { failed: true, error }),
      )
  }

  #ran(flight: Flight): void {
    flight.ran = true
    this.#executions += 1
  }

  #disown(flight: Flight, reason: 'forgotten' | 'unwanted'): void {
    if (this.#owners.get(flight.encodedKey) !== flight) return
    this.#owners.delete(flight.encodedKey)
    if (reason === 'unwanted') return
    this.#forgotten += 1
    publish(channels.forgotten, flight)
  }

  #land(flight: Flight, outcome: Outcome): void {
    // Given up or closed before: nobody waits for it and its key may belong to another.
    if (!this.#inAir.delete(flight)) return
    flight.parent = undefined
    flight.cancelTimer?.()
    const nowMs = this.#options.clock.nowMs()
    if (outcome.failed && flight.ran) this.#failed += 1
    if (this.#owners.get(flight.encodedKey) === flight) {
      this.#owners.delete(flight.encodedKey)
      if (outcome.failed) {
        // A copy, because the leader may change what it is given.
        const error = this.#options.copyErrors ? copyError(outcome.error) : outcome.error
        this.#errors.remember(flight.encodedKey, error, nowMs)
      }
    }
    if (channels.landed.hasSubscribers) {
      const durationMs = nowMs - flight.startedAtMs
      const { id: flightId, encodedKey } = flight
      channels.landed.publish({ flightId, encodedKey, durationMs, failed: outcome.failed })
    }
    flight.answer(outcome)
  }

  #joinPatiently(flight: Flight, waiter: WaiterOptions | undefined): Promise<unknown> {
    const excuse = this.#excuse(waiter)
    if (excuse !== undefined) return Promise.reject(excuse)
    this.#joined += 1
    // Whoever joins an overdue flight waits no longer for it than anybody waits for any flight.
    return this.#waitPatiently(flight, false, waiter, flight.overdue ? this.#options.hardTimeoutMs : Infinity)
  }

  #waitPatiently(flight: Flight, leads: boolean, waiter: WaiterOptions | undefined, limitMs: number) {
    return flight.waitPatiently(leads, {
      signal: waiter?.signal,
      timeoutMs: Math.min(waiter?.timeoutMs ?? Infinity, limitMs),
      clock: this.#options.clock,
      onLeave: this.#onLeave,
    })
  }

  /** Why a call may not even begin to wait. */
  #excuse(waiter: WaiterOptions | undefined): Error | undefined {
    const timeoutMs = waiter?.timeoutMs
    if (timeoutMs !== undefined && !(timeoutMs > 0)) {
      if (timeoutMs <= 0) return new WaitTimeoutError(timeoutMs)
      return new InvalidOptionError('timeoutMs', 'a number of milliseconds', String(timeoutMs))
    }
    return waiter?.signal?.aborted === true ? abortedBy(waiter.signal) : undefined
  }

  #refuseWaiter(): Promise<never> {
    this.#rejectedFull += 1
    return Promise.reject(withRetryHint(new WaitersFullError(this.#options.maxWaiters)))
  }

  #left(flight: Flight): void {
    // An overdue flight keeps its key whoever leaves: starting its slow work again would pile it up.
    if (flight.waiters > 0 || flight.overdue || flight.abandoned) return
    flight.abandoned = true
    this.#abandoned += 1
    publish(channels.abandoned, flight)
    // A flight that waits for another process has no work to continue.
    if (this.#options.whenAbandoned === 'continue' && !flight.following) return
    // The key first: whoever comes while the listeners of the signal run must not join a dying flight.
    if (this.#owners.get(flight.encodedKey) === flight) this.#owners.delete(flight.encodedKey)
    this.#abort(flight, new AbandonedError())
  }

  #isOverdue(flight: Flight): void {
    const { clock, hardTimeoutMs, maxFlightMs } = this.#options
    flight.overdue = true
    this.#timedOut += 1
    publish(channels.overdue, flight)
    flight.cancelTimer =
      maxFlightMs === Infinity
        ? undefined
        : clock.schedule(maxFlightMs - hardTimeoutMs, () => this.#giveUp(flight))
    flight.answer({ failed: true, error: new FlightTimeoutError('hardTimeoutMs', hardTimeoutMs) })
  }

  #giveUp(flight: Flight): void {
    this.#givenUp += 1
    publish(channels.givenUp, flight)
    if (this.#owners.get(flight.encodedKey) === flight) this.#owners.delete(flight.encodedKey)
    this.#release(flight, new FlightTimeoutError('maxFlightMs', this.#options.maxFlightMs))
  }

  /** Lets go of a flight whose work has not settled. */
  #release(flight: Flight, error: Error): void {
    this.#inAir.delete(flight)
    flight.parent = undefined
    flight.cancelTimer?.()
    flight.answer({ failed: true, error })
    this.#abort(flight, error)
  }

  /** Listeners of the signal belong to the work: they run in its context, not in that of whoever left last. */
  #abort(flight: Flight, reason: Error): void {
    this.#neutral(() => flight.abort(reason))
  }
}

/** A flight that may bring an older value than this is not joined; the one that is started takes its key. */
function wantedFence(waiter: WaiterOptions | undefined): number {
  const fleet = waiter?.fleet
  return typeof fleet === 'object' ? (fleet.minFence ?? 0) : 0
}

function waitsFor(within: Flight, flight: Flight): boolean {
  for (let current: Flight | undefined = within; current !== undefined; current = current.parent) {
    if (current === flight) return true
  }
  return false
}

function publish(channel: Channel, flight: Flight): void {
  if (!channel.hasSubscribers) return
  channel.publish({ flightId: flight.id, encodedKey: flight.encodedKey, waiters: flight.waiters })
}
