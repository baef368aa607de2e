import type { BreakerSnapshot, CircuitBreaker, Permit } from '@holdfast/circuit-breaker'
import { type Clock, withRetryAfter } from '@holdfast/footing'
import { Admission, type AdmissionCounts, type Refusal, type Ticket } from './admission.ts'
import type { Connections, LeaseOutcome } from './connections.ts'
import { outcomeOfConnecting } from './database-trouble.ts'
import {
  AbortedError,
  AcquireTimeoutError,
  ClosedError,
  DeadlineExceededError,
  OpenError,
  OptionError,
  QueueFullError,
  SaturatedError,
} from './errors.ts'
import { admissionChannels } from './events.ts'
import type { GuardedClient } from './guarded-client.ts'
import { LazyTimer } from './lazy-timer.ts'
import type { ResolvedAdmission } from './options.ts'
import { OutageWatch, SUSPECT_AFTER_MS } from './outage-watch.ts'
import { PressureGauge, type PressureState } from './pressure.ts'
import { ReadOnlyClient } from './read-only-client.ts'
import { type Criticality, currentScope, type PoolScope } from './request-scope.ts'
import { WaitHistogram } from './wait-histogram.ts'

/** Where a piece of work should go, and why. */
export interface RouteMode {
  /** `fallback`: answer from a cache or a default; `nothing`: there is no answer, 503 with `Retry-After`. */
  readonly use: 'database' | 'fallback' | 'nothing'
  readonly reason: 'well' | 'saturated' | 'pressed' | 'open' | 'closed'
  /** When the database may be tried again, in ms; 0 when it may now. */
  readonly retryAfterMs: number
}

/** What the gate knows, as plain data. */
export interface GateSnapshot {
  readonly name: string
  readonly processType: string
  readonly max: number
  readonly maxOverflow: number
  /** Slots that only critical work may use. */
  readonly reserve: number
  readonly inUse: number
  readonly inUseBy: Readonly<Record<Criticality, number>>
  readonly waiting: number
  readonly waitingBy: Readonly<Record<Criticality, number>>
  /** The share of `max` in use; above 1 with overflow. */
  readonly usage: number
  /** The longest wait at present, in ms. */
  readonly longestWaitMs: number
  readonly saturated: boolean
  readonly pressure: {
    readonly state: PressureState
    /** How long it has been in this state, in ms. */
    readonly forMs: number
    readonly transitions: number
  }
  readonly counts: AdmissionCounts
  /** Callers that left while they waited. */
  readonly left: Readonly<Record<Criticality, number>>
  /** Waits for a slot by length, see `WAIT_BUCKETS_SECONDS`. */
  readonly waits: Readonly<
    Record<Criticality, { readonly counts: readonly number[]; readonly sumMs: number }>
  >
  readonly breaker: BreakerSnapshot | undefined
  readonly closed: boolean
}

/** What the gate reports to; pino fits. */
export interface GateLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

/** What is behind a gate, and who hears of it. */
export interface GateParts {
  readonly connections: Pick<Connections, 'checkout'>
  /** Asks the database on a connection of its own. */
  readonly ask: (signal: AbortSignal) => Promise<unknown>
  readonly log?: GateLog | undefined
}

/** When a refused caller may try again, in ms: the queues are short, so a second is long. */
const RETRY_AFTER_MS = 1000
const NO_SCOPE: PoolScope = {}

/**
 * Who may go to the database, when, and what everybody else is told: admission, pressure and breaker over the
 * connections.
 *
 * Nothing waits here without a bound in number and time. While the breaker is open nothing touches the database but a
 * probe by timer, so that it is found well again without a request, and critical work, too, is refused at once: it could
 * only wait for a connection that is dead. While the pool is merely saturated or under pressure critical work passes.
 * When work does not end and others wait in vain, the probe asks before the time-outs of the work would tell;
 * when work fails after a long time, it asks at once, so that a database without much to do is found out as well.
 */
export class Gate {
  readonly clock: Clock
  readonly #options: ResolvedAdmission
  readonly #connections: Pick<Connections, 'checkout'>
  readonly #log: GateLog | undefined
  readonly #admission: Admission
  readonly #gauge: PressureGauge
  readonly #timer: LazyTimer
  /** `undefined` with `breaker: false`. */
  readonly #outages: OutageWatch | undefined
  readonly #waits: Readonly<Record<Criticality, WaitHistogram>> = {
    critical: new WaitHistogram(),
    normal: new WaitHistogram(),
    background: new WaitHistogram(),
  }
  readonly #left: Record<Criticality, number> = { critical: 0, normal: 0, background: 0 }
  readonly #pressureListeners = new Set<(state: PressureState) => void>()
  #externalPressure = false
  #closed = false

  constructor(options: ResolvedAdmission, { connections, ask, log }: GateParts) {
    const { clock, random, breaker, max, maxOverflow, reserve, classes, promoteAfterMs, tenantShare } =
      options
    this.clock = clock
    this.#options = options
    this.#connections = connections
    this.#log = log
    this.#admission = new Admission({
      max,
      overflow: maxOverflow,
      reserve,
      classes,
      promoteAfterMs,
      tenantShare,
    })
    this.#gauge = new PressureGauge(clock.nowMs(), options.pressure)
    this.#timer = new LazyTimer(clock, () => this.#ring())
    if (breaker === undefined) return
    const onOpen = () => this.#admission.refuseWaiting(clock.nowMs(), 'open')
    this.#outages = new OutageWatch({ name: options.name, clock, random, breaker, ask, log, onOpen })
  }

  /** `undefined` with `breaker: false`. */
  get breaker(): CircuitBreaker | undefined {
    return this.#outages?.breaker
  }

  /** So many are in use or wait that only critical work should come. */
  get saturated(): boolean {
    return this.#gauge.saturated
  }

  /** The latched signal. */
  get pressure(): {
    readonly state: PressureState
    readonly changedMs: number
    readonly transitions: number
  } {
    return this.#gauge
  }

  /**
   * A connection, as soon as there is one for this class of work. The scope of the request fills in what `options`
   * leaves out; of two deadlines the earlier holds, and either signal ends the wait.
   *
   * Rejects with `QUEUE_FULL`, `SATURATED`, `ACQUIRE_TIMEOUT`, `OPEN`, `CLOSED` (503), `DEADLINE_EXCEEDED` (504),
   * `ABORTED` (499), and what opening a connection can raise.
   */
  acquire(options?: PoolScope): Promise<GuardedClient> {
    const scope = scopeOf(options)
    const { criticality = 'normal', signal, tenant, deadlineMs } = scope
    // Such work would hold a slot that nobody counts.
    if (this.#waits[criticality] === undefined) return Promise.reject(noClass(criticality))
    if (signal?.aborted === true) return Promise.reject(abortedBy(signal))
    const { breaker } = this
    const permit = breaker?.tryAcquire()
    if (permit === undefined && breaker !== undefined) {
      const refusal = this.#closed ? 'closed' : 'open'
      this.#admission.countRefusal(criticality, refusal)
      return Promise.reject(this.#refusal(criticality, refusal, 0, scope))
    }
    const nowMs = this.clock.nowMs()
    const ticket = this.#admission.request(nowMs, { criticality, tenant, deadlineMs })
    this.#observe(nowMs)
    if (ticket.state === 'granted') {
      this.#waits[criticality].record(0)
      return this.#checkOut(ticket, permit, scope)
    }
    if (ticket.state === 'refused') return Promise.reject(this.#refused(ticket, permit, scope))
    return this.#wait(ticket, permit, scope)
  }

  /**
   * Where work of this class should go now, without asking for a connection; the answer is a hint, for the next moment
   * may be different. `onSaturated: 'fallback'` is for what can as well be answered from a cache: it does not even
   * try the database while the pool is saturated or under pressure, which background work never does.
   */
  routeMode(criticality: Criticality, onSaturated: 'wait' | 'fallback' = 'wait'): RouteMode {
    const instead = criticality === 'critical' ? 'nothing' : 'fallback'
    if (this.#closed) return { use: instead, reason: 'closed', retryAfterMs: RETRY_AFTER_MS }
    if (this.#outages?.isOpen === true) {
      return { use: instead, reason: 'open', retryAfterMs: this.#outages.retryAfterMs }
    }
    if (criticality !== 'critical') {
      const careful = onSaturated === 'fallback' || criticality === 'background'
      if (careful && this.#gauge.saturated) return saturated
      if (careful && this.#gauge.state === 'pressed') return pressed
      if (this.#admission.wouldRefuse(criticality)) return saturated
    }
    return well
  }

  /** Tells `listener` every change of `pressure`; answers how to stop that. */
  onPressure(listener: (state: PressureState) => void): () => void {
    this.#pressureListeners.add(listener)
    return () => this.#pressureListeners.delete(listener)
  }

  /** What the pooler behind says: pressure that this process cannot see. */
  setExternalPressure(pressed: boolean): void {
    if (this.#closed) return
    this.#externalPressure = pressed
    this.#observe(this.clock.nowMs())
  }

  snapshot(): GateSnapshot {
    const { name, processType, max, maxOverflow, reserve } = this.#options
    const nowMs = this.clock.nowMs()
    const admission = this.#admission
    const byClass = <T>(read: (criticality: Criticality) => T): Record<Criticality, T> => ({
      critical: read('critical'),
      normal: read('normal'),
      background: read('background'),
    })
    return {
      name,
      processType,
      max,
      maxOverflow,
      reserve,
      inUse: admission.inUse,
      inUseBy: byClass((criticality) => admission.inUseOf(criticality)),
      waiting: admission.waiting,
      waitingBy: byClass((criticality) => admission.waitingOf(criticality)),
      usage: admission.inUse / max,
      longestWaitMs: admission.longestWaitMs(nowMs),
      saturated: this.#gauge.saturated,
      pressure: {
        state: this.#gauge.state,
        forMs: nowMs - this.#gauge.changedMs,
        transitions: this.#gauge.transitions,
      },
      counts: admission.counts(),
      left: { ...this.#left },
      waits: byClass((criticality) => this.#waits[criticality].snapshot()),
      breaker: this.breaker?.snapshot(),
      closed: this.#closed,
    }
  }

  /** Refuses newcomers and whoever waits; work in use goes on. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    const nowMs = this.clock.nowMs()
    this.#admission.close(nowMs)
    this.#outages?.close()
    this.#timer.stop()
    this.#pressureListeners.clear()
  }

  #wait(ticket: Ticket, permit: Permit | undefined, scope: PoolScope): Promise<GuardedClient> {
    const { signal } = scope
    return new Promise<GuardedClient>((resolve, reject) => {
      const leave = (): void => {
        const nowMs = this.clock.nowMs()
        if (!this.#admission.leave(nowMs, ticket)) return
        this.#left[ticket.criticality] += 1
        this.#ignore(permit)
        this.#observe(nowMs)
        this.#publishRefused(ticket.criticality, 'aborted', nowMs - ticket.askedMs, scope)
        reject(signal === undefined ? new AbortedError('') : abortedBy(signal))
      }
      ticket.onDecided = () => {
        signal?.removeEventListener('abort', leave)
        if (ticket.state === 'granted') {
          this.#waits[ticket.criticality].record(ticket.decidedMs - ticket.askedMs)
          resolve(this.#checkOut(ticket, permit, scope))
        } else {
          reject(this.#refused(ticket, permit, scope))
        }
      }
      signal?.addEventListener('abort', leave, { once: true })
    })
  }

  async #checkOut(
    ticket: Ticket,
    permit: Permit | undefined,
    { signal, deadlineMs, route, tenant, readOnly }: PoolScope,
  ): Promise<GuardedClient> {
    try {
      const client = await this.#connections.checkout({
        signal,
        deadlineMs,
        route,
        tenant,
        onRelease: (outcome) => this.#released(ticket, permit, outcome),
      })
      return readOnly === true ? new ReadOnlyClient(client) : client
    } catch (error) {
      this.#released(ticket, permit, outcomeOfConnecting(error))
      throw error
    }
  }

  #released(ticket: Ticket, permit: Permit | undefined, outcome: LeaseOutcome): void {
    const nowMs = this.clock.nowMs()
    if (outcome === 'success') this.#outages?.answered(nowMs)
    // First, so that a slot of a database that is gone is handed on to nobody.
    if (permit !== undefined) this.breaker?.settle(permit, outcome)
    this.#admission.release(nowMs, ticket)
    if (this.#closed) return
    this.#observe(nowMs)
    if (outcome === 'failure' && nowMs - ticket.decidedMs >= SUSPECT_AFTER_MS) this.#outages?.suspect(nowMs)
  }

  #ignore(permit: Permit | undefined): void {
    if (permit !== undefined) this.breaker?.settle(permit, 'ignored')
  }

  #observe(nowMs: number): void {
    const { inUse, waiting } = this.#admission
    const usage = inUse / this.#options.max
    if (this.#gauge.observe(nowMs, usage, waiting, this.#externalPressure)) this.#pressureChanged(nowMs)
    if (waiting > 0 || this.#gauge.nextChangeMs !== Number.POSITIVE_INFINITY) this.#setTimer(nowMs)
  }

  #setTimer(nowMs: number): void {
    const dueMs = Math.min(this.#admission.nextExpiryMs, this.#gauge.nextChangeMs)
    if (dueMs === Number.POSITIVE_INFINITY) this.#timer.lift()
    else this.#timer.set(dueMs, nowMs)
  }

  #ring(): void {
    const nowMs = this.clock.nowMs()
    this.#admission.expire(nowMs)
    if (this.#gauge.tick(nowMs)) this.#pressureChanged(nowMs)
    this.#observe(nowMs)
  }

  #pressureChanged(nowMs: number): void {
    const { state } = this.#gauge
    const { inUse, waiting } = this.#admission
    const { name, max } = this.#options
    const usage = inUse / max
    if (admissionChannels.pressure.hasSubscribers) {
      admissionChannels.pressure.publish({ pool: name, state, usage, waiting })
    }
    const fields = { pool: name, in_use: inUse, max, waiting }
    if (state === 'pressed') {
      this.#log?.warn(fields, `pool "${name}" is under pressure`)
      if (inUse > 0) this.#outages?.suspect(nowMs)
    } else {
      this.#log?.info(fields, `pool "${name}" is not under pressure any more`)
    }
    for (const listener of this.#pressureListeners) {
      // It is told in the middle of somebody's acquire, or by a timer: its error would lose a slot, or end the process.
      try {
        listener(state)
      } catch (error) {
        this.#log?.warn({ pool: name, reason: messageOf(error) }, 'a listener of onPressure failed')
      }
    }
  }

  #refused(ticket: Ticket, permit: Permit | undefined, scope: PoolScope): Error {
    this.#ignore(permit)
    const { criticality, refusal = 'saturated', askedMs, decidedMs } = ticket
    if (refusal === 'deadline') {
      this.#publishRefused(criticality, refusal, decidedMs - askedMs, scope)
      return new DeadlineExceededError(
        Math.max(0, Math.round(ticket.deadlineMs - decidedMs)),
        Math.max(1, Math.round(ticket.expectedMs)),
      )
    }
    if (refusal === 'timeout' && this.#admission.inUse > 0) this.#outages?.suspect(decidedMs)
    return this.#refusal(criticality, refusal, decidedMs - askedMs, scope)
  }

  #refusal(
    criticality: Criticality,
    refusal: Exclude<Refusal, 'deadline'>,
    waitedMs: number,
    scope: PoolScope,
  ): Error {
    this.#publishRefused(criticality, refusal, waitedMs, scope)
    const { name } = this.#options
    switch (refusal) {
      case 'queue-full':
        return withRetryAfter(
          new QueueFullError(criticality, this.#admission.waitingOf(criticality)),
          RETRY_AFTER_MS,
        )
      case 'timeout':
        return withRetryAfter(new AcquireTimeoutError(criticality, Math.round(waitedMs)), RETRY_AFTER_MS)
      case 'saturated':
        return withRetryAfter(new SaturatedError(criticality), RETRY_AFTER_MS)
      case 'open':
        return withRetryAfter(new OpenError(name), this.#outages?.retryAfterMs ?? RETRY_AFTER_MS)
      case 'closed':
        return withRetryAfter(new ClosedError(name), RETRY_AFTER_MS)
    }
  }

  #publishRefused(
    criticality: Criticality,
    reason: Refusal | 'aborted',
    waitedMs: number,
    { tenant, route }: PoolScope,
  ): void {
    if (!admissionChannels.refused.hasSubscribers) return
    const { name: pool } = this.#options
    admissionChannels.refused.publish({ pool, criticality, reason, waitedMs, tenant, route })
  }
}

const well: RouteMode = { use: 'database', reason: 'well', retryAfterMs: 0 }
const saturated: RouteMode = { use: 'fallback', reason: 'saturated', retryAfterMs: RETRY_AFTER_MS }
const pressed: RouteMode = { use: 'fallback', reason: 'pressed', retryAfterMs: RETRY_AFTER_MS }

/** What the caller says, and for the rest what his request says. */
function scopeOf(options: PoolScope | undefined): PoolScope {
  const scope = currentScope()
  if (options === undefined) return scope ?? NO_SCOPE
  if (scope === undefined) return options
  return {
    criticality: options.criticality ?? scope.criticality,
    tenant: options.tenant ?? scope.tenant,
    route: options.route ?? scope.route,
    signal: either(options.signal, scope.signal),
    deadlineMs: earlier(options.deadlineMs, scope.deadlineMs),
    readOnly: options.readOnly === true || scope.readOnly === true,
  }
}

function either(one: AbortSignal | undefined, other: AbortSignal | undefined): AbortSignal | undefined {
  if (one === undefined || one === other) return other
  return other === undefined ? one : AbortSignal.any([one, other])
}

function earlier(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined || other === undefined) return one ?? other
  return Math.min(one, other)
}

function noClass(criticality: unknown): Error {
  return new OptionError('criticality', "'critical', 'normal' or 'background'", String(criticality))
}

function abortedBy({ reason }: AbortSignal): Error {
  return new AbortedError(messageOf(reason), { cause: reason })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
