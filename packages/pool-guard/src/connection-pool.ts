/*
 * The connections to one database. It knows no criticality and no queue: whoever comes gets an idle connection, or
 * waits for one that is being opened for him, or is refused. How many may come at once is decided before.
 *
 * Guarantees: at most `max + overflow` connections at any moment, those being opened, tidied up and cancelled
 * included; no connection is lent inside a transaction, in the middle of a statement, with changed session settings
 * or broken; what was idle for long is tried before it is lent; the connection used last is lent first; nothing that
 * happens to a connection ends the process; after `end()` nothing is left.
 */
import { type Clock, LONGEST_TIMER_MS } from '@holdfast/footing'
import type { ClientConfig } from 'pg'
import { type CancelTarget, sendCancelRequest } from './cancel-socket.ts'
import { Canceller } from './canceller.ts'
import type { CheckoutOptions, Connections } from './connections.ts'
import { ClosedError, ConnectError, DeadlineExceededError, ExhaustedError, ReleasedError } from './errors.ts'
import type { GuardedClient } from './guarded-client.ts'
import { LeakWatch } from './leak-watch.ts'
import { Loan, type LoanTerms } from './loan.ts'
import { abortedBy, PgConnection } from './pg-connection.ts'
import { type PoolEvent, publishPoolEvent } from './pool-events.ts'
import { type ConnectionPoolSettings, type ResolvedSettings, withDefaults } from './pool-settings.ts'
import { type ConsoleQuery, runSelfCheck, type SelfCheckReport, type SelfCheckWishes } from './self-check.ts'
import { classifyError, sqlStateOf } from './sqlstate.ts'
import { startupTimeouts } from './startup-timeouts.ts'

/** Counters since construction. */
export interface PoolTotals {
  readonly opened: number
  readonly connectFailures: number
  /** Connections that broke. */
  readonly lost: number
  /** Idle connections that failed their trial. */
  readonly pingFailures: number
  /** Clients released inside a transaction or while a statement ran. */
  readonly dirtyReleases: number
  readonly leaks: number
  readonly reclaimed: number
  /** CancelRequests after which the statement ended as cancelled. */
  readonly cancelled: number
  /** CancelRequests that came too late: the statement had ended by itself. */
  readonly cancelsTooLate: number
  /** Connections destroyed because a cancelled statement did not end. */
  readonly destroyedByCancel: number
}

interface Waiter {
  readonly options: CheckoutOptions
  readonly acquiredAt: Error | undefined
  readonly resolve: (client: GuardedClient) => void
  readonly reject: (error: unknown) => void
  stop: () => void
}

const MAINTENANCE_MS = 1000
/** Connections that are opened at a time for nobody in particular. */
const MAX_WARMING = 4
/** Closed at once, they would be opened and closed again for every statement of a load that needs them. */
const OVERFLOW_IDLE_MS = 5000

/** See the top of the file. */
export class ConnectionPool implements Connections {
  readonly #settings: ResolvedSettings
  readonly #config: ClientConfig
  readonly #onEvent: ((event: PoolEvent) => void) | undefined
  readonly #clock: Clock
  readonly #canceller: Canceller<CancelTarget>
  readonly #watch: LeakWatch
  readonly #terms: LoanTerms
  readonly #connections = new Set<PgConnection>()
  readonly #dialing = new Set<PgConnection>()
  readonly #idle: PgConnection[] = []
  /** Those who wait for a connection that is being opened; oldest first. Never more than `#dialing`. */
  readonly #waiters = new Set<Waiter>()
  readonly #loans = new Set<Loan>()
  readonly #endings = new Set<Promise<void>>()
  #suspectBeforeMs = Number.NEGATIVE_INFINITY
  #stopMaintenance: (() => void) | undefined
  #serverVersion = 0
  #closed = false
  #ending: Promise<void> | undefined
  #whenReturned: (() => void) | undefined
  #opened = 0
  #connectFailures = 0
  #lost = 0
  #pingFailures = 0
  #dirtyReleases = 0
  #reclaimed = 0
  #cancelled = 0
  #cancelsTooLate = 0
  #destroyedByCancel = 0

  constructor(settings: ConnectionPoolSettings) {
    const resolved = withDefaults(settings)
    this.#settings = resolved
    this.#clock = resolved.clock
    this.#onEvent = settings.onEvent
    this.#config = {
      ...settings.connection,
      ...(settings.connectionString === undefined ? {} : { connectionString: settings.connectionString }),
    }
    this.#canceller = new Canceller(sendCancelRequest, resolved.maxConcurrentCancels)
    this.#watch = new LeakWatch({
      clock: resolved.clock,
      leakAfterMs: resolved.leakAfterMs,
      reclaimAfterMs: resolved.reclaimAfterMs,
      stackEvery: resolved.stackEvery,
      onLeak: (report) => this.#tell({ kind: 'leak', ...report }),
      onReturned: (report) => this.#tell({ kind: 'returned-late', ...report }),
    })
    this.#terms = {
      clock: resolved.clock,
      statementTimeoutMs: resolved.statementTimeoutMs,
      guardrails: resolved.guardrails,
      graceMs: resolved.graceMs,
      cancelTimeoutMs: resolved.cancelTimeoutMs,
      namedStatements: resolved.namedStatements,
      serverVersion: () => this.#serverVersion,
      giveBack: (loan, connection, destroy) => this.#giveBack(loan, connection, destroy),
      onMisuse: () => this.#watch.alert(),
      onReclaim: () => {
        this.#reclaimed += 1
      },
    }
    if (resolved.min > 0) this.#maintainIn(0)
  }

  /** Connections at this moment: `inUse` are on loan, being tried or being tidied up; `max` is with overflow. */
  get counts(): Connections['counts'] {
    const connecting = this.#dialing.size
    const idle = this.#idle.length
    const total = this.#connections.size
    return { total, idle, inUse: total - idle - connecting, connecting, max: this.#capacity }
  }

  /** Counters since construction. */
  get totals(): PoolTotals {
    return {
      opened: this.#opened,
      connectFailures: this.#connectFailures,
      lost: this.#lost,
      pingFailures: this.#pingFailures,
      dirtyReleases: this.#dirtyReleases,
      leaks: this.#watch.leaks,
      reclaimed: this.#reclaimed,
      cancelled: this.#cancelled,
      cancelsTooLate: this.#cancelsTooLate,
      destroyedByCancel: this.#destroyedByCancel,
    }
  }

  /** `server_version_num` of the server, or 0 before the first connection. */
  get serverVersion(): number {
    return this.#serverVersion
  }

  /**
   * Lends a client. Rejects with `..._CLOSED`, `..._ABORTED`, `..._DEADLINE_EXCEEDED`, `..._CONNECT`, or at once with
   * `..._EXHAUSTED`: it is for whoever calls not to come more often than `max + overflow` times at once.
   */
  checkout(options: CheckoutOptions = {}): Promise<GuardedClient> {
    const refusal = this.#refusal(options)
    if (refusal !== undefined) return Promise.reject(refusal)
    const acquiredAt = this.#watch.sample(this.checkout)
    const nowMs = this.#clock.nowMs()
    const connection = this.#takeIdle(nowMs)
    if (connection === undefined) return this.#waitForNew(options, acquiredAt)
    const idleMs = nowMs - connection.provenMs
    if (idleMs < this.#settings.pingAfterIdleMs && connection.provenMs >= this.#suspectBeforeMs) {
      return Promise.resolve(this.#lend(connection, options, nowMs, acquiredAt))
    }
    const lent = this.#tryFirst(connection, options, acquiredAt)
    const over = () => {}
    this.#finish(lent.then(over, over))
    return lent
  }

  /**
   * Looks at the way to the database. `connections` is what all processes of the service may open together (default:
   * this pool's), `console` asks PgBouncer's console. Never rejects.
   */
  selfCheck(
    options: { readonly connections?: number | undefined; readonly console?: ConsoleQuery | undefined } = {},
  ): Promise<SelfCheckReport> {
    const { guardrails, statementTimeoutMs, namedStatements } = this.#settings
    const wishes: SelfCheckWishes = {
      guardrails,
      statementTimeoutMs,
      namedStatements,
      startupTimeouts: startupTimeouts(this.#config),
      connections: options.connections ?? this.#capacity,
    }
    return runSelfCheck(() => this.checkout({ route: 'self-check' }), wishes, options.console)
  }

  /**
   * Refuses whoever comes, lets those who have a client finish for `graceMs` (default 5000) and then takes it from
   * them. Resolves when every connection is gone. Never rejects.
   */
  end(options: { readonly graceMs?: number } = {}): Promise<void> {
    this.#ending ??= this.#end(options.graceMs ?? 5000)
    return this.#ending
  }

  get #capacity(): number {
    return this.#settings.max + this.#settings.overflow
  }

  async #end(graceMs: number): Promise<void> {
    this.#closed = true
    this.#stopMaintenance?.()
    for (const waiter of [...this.#waiters]) this.#refuse(waiter, new ClosedError(this.#settings.name))
    for (const dialing of [...this.#dialing]) dialing.destroy()
    for (const connection of this.#idle.splice(0)) this.#close(connection)
    if (this.#loans.size > 0) {
      await new Promise<void>((resolve) => {
        const stop = this.#clock.schedule(Math.min(graceMs, LONGEST_TIMER_MS), resolve)
        this.#whenReturned = () => {
          stop()
          resolve()
        }
      })
      for (const loan of [...this.#loans]) loan.takeBack(new ClosedError(this.#settings.name))
    }
    while (this.#endings.size > 0) await Promise.all(this.#endings)
    this.#watch.stop()
  }

  #refusal({ signal, deadlineMs }: CheckoutOptions): Error | undefined {
    if (this.#closed) return new ClosedError(this.#settings.name)
    if (signal?.aborted === true) return abortedBy(signal, 'no client was lent')
    if (deadlineMs !== undefined && deadlineMs <= this.#clock.nowMs()) return new DeadlineExceededError(0, 0)
    return undefined
  }

  #lend(
    connection: PgConnection,
    options: CheckoutOptions,
    nowMs: number,
    acquiredAt: Error | undefined,
  ): GuardedClient {
    connection.changedMs = nowMs
    const loan = new Loan(connection, this.#terms, options, nowMs, acquiredAt)
    this.#loans.add(loan)
    this.#watch.enter(loan)
    return loan
  }

  #takeIdle(nowMs: number): PgConnection | undefined {
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (connection.expiresMs > nowMs) return connection
      this.#close(connection)
    }
    return undefined
  }

  /** A connection of which nothing was heard for long, or since another one fell silent. */
  async #tryFirst(
    connection: PgConnection,
    options: CheckoutOptions,
    acquiredAt: Error | undefined,
  ): Promise<GuardedClient> {
    const startMs = this.#clock.nowMs()
    const limitMs = this.#settings.pingTimeoutMs
    const alive = await connection.run({ text: 'select 1', dueMs: startMs + limitMs, limitMs }).then(
      () => true,
      () => false,
    )
    await connection.quiet()
    if (!alive || !connection.clean) {
      this.#pingFailures += 1
      this.#drop(connection)
      // What was not heard of since then would cost the next ones a trial each.
      for (const other of this.#idle.filter(({ provenMs }) => provenMs < startMs)) this.#drop(other)
    }
    const refusal = this.#refusal(options)
    if (refusal === undefined) {
      if (connection.lost) return this.#waitForNew(options, acquiredAt)
      return this.#lend(connection, options, this.#clock.nowMs(), acquiredAt)
    }
    if (!connection.lost) this.#toIdle(connection)
    throw refusal
  }

  #waitForNew(options: CheckoutOptions, acquiredAt: Error | undefined): Promise<GuardedClient> {
    if (this.#waiters.size >= this.#dialing.size) {
      if (this.#connections.size >= this.#capacity) return Promise.reject(new ExhaustedError(this.#capacity))
      this.#dial()
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { options, acquiredAt, resolve, reject, stop: () => {} }
      this.#waiters.add(waiter)
      const { signal, deadlineMs } = options
      const leave = () => {
        if (signal !== undefined) this.#refuse(waiter, abortedBy(signal, 'no connection was open yet'))
      }
      signal?.addEventListener('abort', leave, { once: true })
      const stopTimer =
        deadlineMs === undefined || deadlineMs - this.#clock.nowMs() > LONGEST_TIMER_MS
          ? undefined
          : this.#clock.schedule(Math.max(0, deadlineMs - this.#clock.nowMs()), () =>
              this.#refuse(waiter, new DeadlineExceededError(0, 0)),
            )
      waiter.stop = () => {
        stopTimer?.()
        signal?.removeEventListener('abort', leave)
      }
    })
  }

  #refuse(waiter: Waiter, error: unknown): void {
    this.#waiters.delete(waiter)
    waiter.stop()
    waiter.reject(error)
  }

  /** Opens a connection for the oldest waiter at the time it is open, or to lie idle. Never rejects. */
  #dial(): void {
    const { clock, cancelTimeoutMs } = this.#settings
    const connection = new PgConnection(this.#config, {
      clock,
      canceller: this.#canceller,
      cancelTimeoutMs,
      onLost: (lost, error) => this.#onLost(lost, error),
      onCancel: (result) => this.#onCancel(result),
    })
    this.#connections.add(connection)
    this.#dialing.add(connection)
    this.#finish(
      this.#open(connection).then(
        () => this.#dialed(connection),
        (error: unknown) => this.#dialFailed(connection, error),
      ),
    )
  }

  async #open(connection: PgConnection): Promise<void> {
    const { connectTimeoutMs, onConnect, maxLifetimeMs, lifetimeJitter, random } = this.#settings
    await connection.connect(connectTimeoutMs)
    connection.expiresMs = connection.openedMs + maxLifetimeMs * (1 - lifetimeJitter * random())
    if (onConnect === undefined) return
    const dueMs = this.#clock.nowMs() + connectTimeoutMs
    const limitMs = connectTimeoutMs
    let stop = () => {}
    try {
      await Promise.race([
        onConnect({ query: (text, values) => connection.run({ text, values, dueMs, limitMs }) }),
        new Promise((_, reject) => {
          stop = this.#clock.schedule(connectTimeoutMs, () =>
            reject(new Error(`onConnect took longer than ${connectTimeoutMs} ms`)),
          )
        }),
      ])
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      throw Object.assign(new ConnectError(connection.address, `onConnect failed: ${why}`), { cause: error })
    } finally {
      stop()
    }
    await connection.quiet()
    // What it sets is meant for everybody.
    connection.sessionChanged = false
  }

  #dialed(connection: PgConnection): void {
    this.#dialing.delete(connection)
    this.#opened += 1
    this.#serverVersion = connection.serverVersion
    if (this.#closed || connection.lost) this.#drop(connection)
    else if (connection.clean) this.#toIdle(connection)
    else this.#finish(this.#tidy(connection))
    this.#warmUp()
  }

  #dialFailed(connection: PgConnection, error: unknown): void {
    this.#dialing.delete(connection)
    this.#drop(connection)
    if (this.#closed) return
    this.#connectFailures += 1
    const reason = error instanceof Error ? error.message : String(error)
    this.#tell({ kind: 'connect-failed', reason, sqlState: sqlStateOf(error) })
    if (this.#waiters.size <= this.#dialing.size) return
    const [first] = this.#waiters
    if (first !== undefined) this.#refuse(first, error)
  }

  #onLost(connection: PgConnection, error: Error): void {
    const place = this.#idle.indexOf(connection)
    if (place !== -1) this.#idle.splice(place, 1)
    const dialing = this.#dialing.has(connection)
    if (!dialing) {
      this.#connections.delete(connection)
      this.#lost += 1
      const { reason } = classifyError(error)
      this.#tell({
        kind: 'connection-lost',
        inUse: place === -1,
        reason: reason ?? error.message,
        sqlState: sqlStateOf(error),
      })
      if (this.#settings.min > 0) this.#maintainIn(MAINTENANCE_MS)
    }
    // Whatever took this one may have taken others that do not know it yet.
    this.#suspectBeforeMs = this.#clock.nowMs()
  }

  #onCancel(result: 'cancelled' | 'finished' | 'destroyed'): void {
    if (result === 'cancelled') this.#cancelled += 1
    else if (result === 'finished') this.#cancelsTooLate += 1
    else this.#destroyedByCancel += 1
    this.#tell({ kind: 'cancel', result })
  }

  #giveBack(loan: Loan, connection: PgConnection, destroy: boolean): void {
    this.#loans.delete(loan)
    this.#watch.leave(loan)
    if (destroy) this.#finish(this.#tidyAndDrop(connection, loan))
    else if (connection.clean) this.#returned(connection, loan)
    else this.#finish(this.#tidy(connection, loan))
    if (this.#loans.size === 0) this.#whenReturned?.()
  }

  /** The connection of a loan is free for others, or gone. */
  #returned(connection: PgConnection, loan: Loan | undefined): void {
    const { outcome } = connection
    if (connection.lost) this.#drop(connection)
    else if (connection.clean) this.#toIdle(connection)
    else this.#close(connection)
    loan?.options.onRelease?.(outcome)
  }

  async #tidyAndDrop(connection: PgConnection, loan: Loan): Promise<void> {
    if (connection.busy) connection.interrupt(new ReleasedError('destroyed while a statement ran'))
    await connection.quiet()
    const { outcome } = connection
    this.#close(connection)
    loan.options.onRelease?.(outcome)
  }

  /** Ends what is left of the work of others, so that the connection can be handed on. Never rejects. */
  async #tidy(connection: PgConnection, loan?: Loan): Promise<void> {
    const dirty = !connection.lost && (connection.busy || connection.transactionStatus !== 'I')
    if (dirty && loan !== undefined) {
      this.#dirtyReleases += 1
      const { route, tenant, stack } = loan.report(this.#clock.nowMs())
      const state = connection.busy ? 'querying' : 'idle in transaction'
      this.#tell({ kind: 'dirty-release', state, route, tenant, stack })
      if (stack === undefined) this.#watch.alert()
    }
    connection.interrupt(new ReleasedError('a statement was not finished'))
    await connection.quiet()
    if (!connection.lost && connection.transactionStatus !== 'I') {
      const limitMs = this.#settings.cancelTimeoutMs
      const dueMs = this.#clock.nowMs() + limitMs
      await connection.run({ text: 'rollback', dueMs, limitMs }).catch(() => {})
      await connection.quiet()
    }
    this.#returned(connection, loan)
  }

  #toIdle(connection: PgConnection): void {
    const nowMs = this.#clock.nowMs()
    if (this.#closed || connection.expiresMs <= nowMs) {
      this.#close(connection)
      return
    }
    const [waiter] = this.#waiters
    if (waiter === undefined) {
      this.#idle.push(connection)
      if (this.#stopMaintenance === undefined) this.#maintainIn(MAINTENANCE_MS)
      return
    }
    this.#waiters.delete(waiter)
    waiter.stop()
    waiter.resolve(this.#lend(connection, waiter.options, nowMs, waiter.acquiredAt))
  }

  #close(connection: PgConnection): void {
    this.#connections.delete(connection)
    this.#finish(connection.close())
  }

  /** `end()` waits for it. It never rejects. */
  #finish(ending: Promise<void>): void {
    this.#endings.add(ending)
    void ending.then(() => this.#endings.delete(ending))
  }

  #drop(connection: PgConnection): void {
    this.#connections.delete(connection)
    const place = this.#idle.indexOf(connection)
    if (place !== -1) this.#idle.splice(place, 1)
    connection.destroy()
  }

  #maintainIn(delayMs: number): void {
    if (this.#closed || this.#stopMaintenance !== undefined) return
    this.#stopMaintenance = this.#clock.schedule(delayMs, () => {
      this.#stopMaintenance = undefined
      this.#maintain()
      const { min } = this.#settings
      if (this.#idle.length > 0 || min > 0) this.#maintainIn(MAINTENANCE_MS)
    })
  }

  /** Closes what is idle for too long or too old, and opens what is missing of the `min`. */
  #maintain(): void {
    const { idleTimeoutMs, min, max } = this.#settings
    const nowMs = this.#clock.nowMs()
    // The one used last is lent first, so these begin with the ones that nobody has needed for the longest.
    for (const connection of [...this.#idle]) {
      const { size } = this.#connections
      const limitMs = size > max ? Math.min(OVERFLOW_IDLE_MS, idleTimeoutMs) : idleTimeoutMs
      const tooLong = nowMs - connection.changedMs >= limitMs && size > min
      if (!tooLong && connection.expiresMs > nowMs) continue
      this.#idle.splice(this.#idle.indexOf(connection), 1)
      this.#close(connection)
    }
    this.#warmUp()
  }

  /** A few at a time: the next when one is open, and after a failure at the next maintenance. */
  #warmUp(): void {
    if (this.#closed) return
    while (this.#connections.size < this.#settings.min && this.#dialing.size < MAX_WARMING) this.#dial()
  }

  #tell(event: PoolEvent): void {
    publishPoolEvent(event)
    this.#onEvent?.(event)
  }
}
