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
import { answers, tidyUp } from './between-loans.ts'
import { type CancelTarget, sendCancelRequest } from './cancel-socket.ts'
import { Canceller } from './canceller.ts'
import { openConnection } from './connection-opening.ts'
import { clientConfig } from './connection-options.ts'
import { ConnectionWaiters } from './connection-waiters.ts'
import type { CheckoutOptions, Connections } from './connections.ts'
import { ClosedError, deadlinePassed, ExhaustedError, ReleasedError } from './errors.ts'
import type { GuardedClient } from './guarded-client.ts'
import { LeakWatch } from './leak-watch.ts'
import { Loan, type LoanTerms } from './loan.ts'
import { abortedBy, PgConnection } from './pg-connection.ts'
import { type PoolEvent, publishPoolEvent } from './pool-events.ts'
import { type ConnectionPoolSettings, type ResolvedSettings, withDefaults } from './pool-settings.ts'
import { noCounts, type PoolTotals } from './pool-totals.ts'
import { dispensable, PoolUpkeep } from './pool-upkeep.ts'
import { type ConsoleQuery, runSelfCheck, type SelfCheckReport, type SelfCheckWishes } from './self-check.ts'
import { classifyError, sqlStateOf } from './sqlstate.ts'
import { startupTimeouts } from './startup-timeouts.ts'

/** Connections that are opened at a time for nobody in particular. */
const MAX_WARMING = 4

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
  /** Never more than are being opened. */
  readonly #waiters: ConnectionWaiters
  readonly #loans = new Set<Loan>()
  readonly #endings = new Set<Promise<void>>()
  readonly #upkeep: PoolUpkeep
  readonly #counters = noCounts()
  #suspectBeforeMs = Number.NEGATIVE_INFINITY
  #serverVersion = 0
  #closed = false
  #ending: Promise<void> | undefined
  #whenReturned: (() => void) | undefined

  constructor(settings: ConnectionPoolSettings) {
    const resolved = withDefaults(settings)
    this.#settings = resolved
    this.#clock = resolved.clock
    this.#onEvent = settings.onEvent
    this.#config = clientConfig(settings)
    this.#waiters = new ConnectionWaiters(resolved.clock)
    this.#upkeep = new PoolUpkeep(resolved.clock, () => this.#maintain())
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
        this.#counters.reclaimed += 1
      },
    }
    if (resolved.min > 0) this.#upkeep.start()
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
    return { ...this.#counters, leaks: this.#watch.leaks }
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
    options: {
      readonly connections?: number | undefined
      readonly steadyConnections?: number | undefined
      readonly console?: ConsoleQuery | undefined
      readonly database?: string | undefined
    } = {},
  ): Promise<SelfCheckReport> {
    const { guardrails, statementTimeoutMs, namedStatements } = this.#settings
    const wishes: SelfCheckWishes = {
      guardrails,
      statementTimeoutMs,
      namedStatements,
      startupTimeouts: startupTimeouts(this.#config),
      connections: options.connections ?? this.#capacity,
      steadyConnections:
        options.steadyConnections ?? (options.connections === undefined ? this.#settings.max : undefined),
    }
    return runSelfCheck(
      () => this.checkout({ route: 'self-check' }),
      wishes,
      options.console,
      options.database,
    )
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
    this.#upkeep.stop()
    this.#waiters.refuseAll(new ClosedError(this.#settings.name))
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
    if (deadlineMs !== undefined && deadlineMs <= this.#clock.nowMs()) return deadlinePassed()
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
    if (!(await answers(connection, this.#clock, this.#settings.pingTimeoutMs))) {
      this.#counters.pingFailures += 1
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
    if (this.#waiters.count >= this.#dialing.size) {
      if (this.#connections.size >= this.#capacity) return Promise.reject(new ExhaustedError(this.#capacity))
      this.#dial()
    }
    return this.#waiters.wait(options, acquiredAt)
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
      openConnection(connection, this.#settings).then(
        () => this.#dialed(connection),
        (error: unknown) => this.#dialFailed(connection, error),
      ),
    )
  }

  #dialed(connection: PgConnection): void {
    this.#dialing.delete(connection)
    this.#counters.opened += 1
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
    this.#counters.connectFailures += 1
    const reason = error instanceof Error ? error.message : String(error)
    this.#tell({ kind: 'connect-failed', reason, sqlState: sqlStateOf(error) })
    if (this.#waiters.count > this.#dialing.size) this.#waiters.refuseOne(error)
  }

  #onLost(connection: PgConnection, error: Error): void {
    const place = this.#idle.indexOf(connection)
    if (place !== -1) this.#idle.splice(place, 1)
    const dialing = this.#dialing.has(connection)
    if (!dialing) {
      this.#connections.delete(connection)
      this.#counters.lost += 1
      const { reason } = classifyError(error)
      this.#tell({
        kind: 'connection-lost',
        inUse: place === -1,
        reason: reason ?? error.message,
        sqlState: sqlStateOf(error),
      })
      if (this.#settings.min > 0) this.#upkeep.wake()
    }
    // Whatever took this one may have taken others that do not know it yet.
    this.#suspectBeforeMs = this.#clock.nowMs()
  }

  #onCancel(result: 'cancelled' | 'finished' | 'destroyed'): void {
    if (result === 'cancelled') this.#counters.cancelled += 1
    else if (result === 'finished') this.#counters.cancelsTooLate += 1
    else this.#counters.destroyedByCancel += 1
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
      this.#counters.dirtyReleases += 1
      const { route, tenant, stack } = loan.report(this.#clock.nowMs())
      const state = connection.busy ? 'querying' : 'idle in transaction'
      this.#tell({ kind: 'dirty-release', state, route, tenant, stack })
      if (stack === undefined) this.#watch.alert()
    }
    await tidyUp(connection, this.#clock, this.#settings.cancelTimeoutMs)
    this.#returned(connection, loan)
  }

  #toIdle(connection: PgConnection): void {
    const nowMs = this.#clock.nowMs()
    if (this.#closed || connection.expiresMs <= nowMs) {
      this.#close(connection)
      return
    }
    if (this.#waiters.serve((options, acquiredAt) => this.#lend(connection, options, nowMs, acquiredAt)))
      return
    this.#idle.push(connection)
    this.#upkeep.wake()
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

  #maintain(): boolean {
    const nowMs = this.#clock.nowMs()
    // The one used last is lent first, so these begin with the ones that nobody has needed for the longest.
    for (const connection of dispensable(this.#idle, this.#connections.size, this.#settings, nowMs)) {
      this.#idle.splice(this.#idle.indexOf(connection), 1)
      this.#close(connection)
    }
    this.#warmUp()
    return this.#idle.length > 0 || this.#settings.min > 0
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
