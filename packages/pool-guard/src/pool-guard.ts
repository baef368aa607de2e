import type { CircuitBreaker } from '@holdfast/circuit-breaker'
import { type Clock, holdProcess, LONGEST_TIMER_MS } from '@holdfast/footing'
import pg, { type ClientConfig, type QueryResult, type QueryResultRow } from 'pg'
import { clientConfig } from './connection-options.ts'
import { ConnectionPool } from './connection-pool.ts'
import type { Connections } from './connections.ts'
import { Gate, type GateLog, type GateSnapshot, type RouteMode } from './gate.ts'
import type { GuardedClient, QueryOptions } from './guarded-client.ts'
import { askOnce } from './one-question.ts'
import { type PoolGuardOptions, resolveOptions } from './options.ts'
import type { PoolEvent } from './pool-events.ts'
import type { PoolTotals } from './pool-totals.ts'
import { type PoolerView, PoolerWatch } from './pooler-watch.ts'
import type { PressureState } from './pressure.ts'
import type { Criticality, PoolScope } from './request-scope.ts'
import type { SelfCheckReport } from './self-check.ts'
import {
  runTransaction,
  type Transaction,
  type TransactionOptions,
  type TransactionSource,
} from './transaction.ts'
import { type Worker, WorkerLoop, type WorkerOptions } from './worker-loop.ts'

/** One line of `showPools()`, with the columns of PgBouncer 1.18. Ours is `sv_*` for connections, `cl_*` for callers. */
export interface PoolRow {
  readonly database: string
  readonly user: string
  /** Callers that have a connection. */
  readonly cl_active: number
  /** Callers that wait for one. */
  readonly cl_waiting: number
  readonly cl_active_cancel_req: number
  readonly cl_waiting_cancel_req: number
  /** Connections on loan. */
  readonly sv_active: number
  readonly sv_active_cancel: number
  readonly sv_being_canceled: number
  readonly sv_idle: number
  readonly sv_used: number
  readonly sv_tested: number
  /** Connections being opened. */
  readonly sv_login: number
  /** How long the first of those who wait has waited: whole seconds, and the rest in microseconds. */
  readonly maxwait: number
  readonly maxwait_us: number
  readonly pool_mode: string
}

/** Everything the guard knows, as plain data. */
export interface PoolGuardSnapshot extends GateSnapshot {
  readonly connections: Connections['counts']
  readonly totals: PoolTotals
  /** What PgBouncer said last; `undefined` when it is not asked. */
  readonly pooler: PoolerView | undefined
}

/** As `app.health.addCheck` takes it. */
export interface PoolGuardHealthCheck {
  readonly intervalMs: number
  /** A database that takes longer is degraded, in ms. */
  readonly degradedAboveMs: number
  readonly check: (context: { readonly signal: AbortSignal }) => Promise<{
    readonly status: 'healthy' | 'degraded' | 'unhealthy'
    readonly reason?: string
    readonly data: Readonly<Record<string, unknown>>
  }>
}

/** How long a worker may take to notice that it is to stop, in ms. */
const WORKER_GRACE_MS = 1000
const CONSOLE_TIMEOUT_MS = 2000
const CONNECT_LOG_MS = 10_000
const HEALTH_INTERVAL_MS = 2000
/** What a `select 1` may take, in ms; then it is a failure like any other. Shorter than the second health gives it. */
const HEALTH_BUDGET_MS = 900
const HEALTH_DEGRADED_MS = 100
const US_PER_MS = 1000
const MS_PER_SECOND = 1000

/**
 * The one door to a PostgreSQL, direct or behind PgBouncer: admission, connections, breaker and pressure in one.
 * See the README for what it does.
 */
export class PoolGuard {
  readonly name: string
  readonly clock: Clock
  readonly #gate: Gate
  readonly #connections: ConnectionPool
  readonly #config: ClientConfig
  readonly #transactions: TransactionSource
  readonly #consoleConfig: ClientConfig | undefined
  readonly #watch: PoolerWatch | undefined
  readonly #log: GateLog | undefined
  readonly #workers = new Set<Worker>()
  #closing: Promise<void> | undefined
  /** What had been opened, and when, as a failure was logged last. */
  #connectFailed = { opened: -1, atMs: Number.NEGATIVE_INFINITY }

  /** @throws `HOLDFAST_ERR_POOL_GUARD_OPTION` */
  constructor(options: PoolGuardOptions = {}) {
    const { admission, connections, pooler, log } = resolveOptions(options)
    const { name, clock, random, max, maxOverflow, breaker } = admission
    this.name = name
    this.clock = clock
    this.#log = log
    this.#config = clientConfig(connections)
    this.#connections = new ConnectionPool({
      ...connections,
      name,
      max,
      overflow: maxOverflow,
      clock,
      random,
      onEvent: (event) => this.#tell(event),
    })
    const timeoutMs = breaker?.probeTimeoutMs ?? 0
    this.#gate = new Gate(admission, {
      connections: this.#connections,
      ask: (signal) => askOnce(this.#config, 'select 1', { clock, timeoutMs, signal }),
      log,
    })
    this.#transactions = { acquire: (scope) => this.#gate.acquire(scope), clock, random }
    if (pooler === undefined) return
    this.#consoleConfig = { connectionString: pooler.connectionString }
    this.#watch = new PoolerWatch({
      ...pooler,
      database: pooler.database ?? this.#address.database,
      clock,
      random,
      log,
      onView: (saturated) => this.#gate.setExternalPressure(saturated),
    })
    this.#watch.start()
  }

  /** The breaker of this database, for operators (`isolate`, `disable`) and lists; `undefined` with `breaker: false`. */
  get breaker(): CircuitBreaker | undefined {
    return this.#gate.breaker
  }

  /** Instant: so many are in use or wait that only critical work should come. For routing one request. */
  get saturated(): boolean {
    return this.#gate.saturated
  }

  /** Latched: `pressed` when saturation lasts. For metrics, readiness, workers and refreshes. */
  get pressure(): {
    readonly state: PressureState
    readonly changedMs: number
    readonly transitions: number
  } {
    return this.#gate.pressure
  }

  /** Tells `listener` every change of `pressure`; answers how to stop that. */
  onPressure(listener: (state: PressureState) => void): () => void {
    return this.#gate.onPressure(listener)
  }

  /**
   * Where work of this class should go now, without asking for a connection; a hint, for the next moment may be
   * different. With `onSaturated: 'fallback'` not even when the pool is merely saturated or under pressure.
   */
  routeMode(criticality: Criticality, onSaturated?: 'wait' | 'fallback'): RouteMode {
    return this.#gate.routeMode(criticality, onSaturated)
  }

  /**
   * A connection, as soon as there is one for this class of work; `release()` it. What `options` leaves out comes from
   * the scope of the request.
   *
   * Rejects with `QUEUE_FULL`, `SATURATED`, `ACQUIRE_TIMEOUT`, `OPEN`, `CLOSED`, `CONNECT` (503),
   * `DEADLINE_EXCEEDED` (504), `ABORTED` (499).
   */
  acquire(options?: PoolScope): Promise<GuardedClient> {
    return this.#gate.acquire(options)
  }

  /** One statement on a connection of its own. Rejects as `acquire`, and as `GuardedClient.query`. */
  async query<R extends QueryResultRow = QueryResultRow>(
    sql: string,
    parameters?: readonly unknown[],
    options?: PoolScope & Omit<QueryOptions, 'signal'>,
  ): Promise<QueryResult<R>> {
    const client = await this.#gate.acquire(options)
    try {
      const { timeoutMs, name } = options ?? {}
      return await client.query<R>(sql, parameters, { timeoutMs, name })
    } finally {
      client.release()
    }
  }

  /**
   * A transaction with the guardrails. `work` may run again when `retries` is given. Rejects as `acquire`, with what
   * `work` throws, with `TX_ROLLED_BACK`, `TX_OUTCOME_UNKNOWN` or `TX_NESTED`.
   */
  transaction<T>(options: TransactionOptions, work: (tx: Transaction) => Promise<T>): Promise<T> {
    return runTransaction(this.#transactions, options, work)
  }

  /**
   * Looks at the way to the database, and at PgBouncer's console when `pooler` is given. `connections` is what all
   * processes of the service may open together, default: what this one may; `steadyConnections` those of them that are
   * no overflow. Never rejects.
   */
  selfCheck(
    options: { readonly connections?: number; readonly steadyConnections?: number } = {},
  ): Promise<SelfCheckReport> {
    const config = this.#consoleConfig
    const { clock } = this
    const ask = async (text: string) => {
      const { signal } = new AbortController()
      return (await askOnce(config ?? {}, text, { clock, timeoutMs: CONSOLE_TIMEOUT_MS, signal })).rows
    }
    const { database } = this.#address
    return this.#connections.selfCheck({
      ...options,
      database,
      console: config === undefined ? undefined : ask,
    })
  }

  /**
   * Starts a worker: it finds, saves and pauses, and holds a connection for the save alone. `close()` stops it.
   *
   * @throws `HOLDFAST_ERR_POOL_GUARD_OPTION`
   */
  startWorker<Found>(options: WorkerOptions<Found>): Worker {
    const { clock, random } = this.#transactions
    const worker = new WorkerLoop(options, {
      clock,
      random,
      log: this.#log,
      pressure: () => this.pressure.state,
      transaction: (transactionOptions, work) => this.transaction(transactionOptions, work),
      onStopped: (stopped) => this.#workers.delete(stopped),
    })
    this.#workers.add(worker)
    return worker
  }

  /** The pool as PgBouncer would show it. */
  showPools(): readonly PoolRow[] {
    const { connecting, idle, inUse } = this.#connections.counts
    const { inUse: granted, waiting, longestWaitMs } = this.#gate.snapshot()
    const { database, user } = this.#address
    return [
      {
        database,
        user,
        cl_active: granted,
        cl_waiting: waiting,
        cl_active_cancel_req: 0,
        cl_waiting_cancel_req: 0,
        sv_active: inUse,
        sv_active_cancel: 0,
        sv_being_canceled: 0,
        sv_idle: idle,
        sv_used: 0,
        sv_tested: 0,
        sv_login: connecting,
        maxwait: Math.floor(longestWaitMs / MS_PER_SECOND),
        maxwait_us: Math.floor((longestWaitMs % MS_PER_SECOND) * US_PER_MS),
        pool_mode: 'transaction',
      },
    ]
  }

  /** Everything the guard knows, as plain data. */
  snapshot(): PoolGuardSnapshot {
    return {
      ...this.#gate.snapshot(),
      connections: this.#connections.counts,
      totals: this.#connections.totals,
      pooler: this.#watch?.view(),
    }
  }

  /** A check for `app.health.addCheck`: asks the database as critical work, and says what the pool looks like. */
  healthCheck(): PoolGuardHealthCheck {
    return {
      intervalMs: HEALTH_INTERVAL_MS,
      degradedAboveMs: HEALTH_DEGRADED_MS,
      check: async ({ signal }) => {
        const { breaker, inUse, max, waiting, pressure } = this.#gate.snapshot()
        const data = {
          in_use: inUse,
          max,
          waiting,
          pressure: pressure.state,
          breaker: breaker?.state ?? 'none',
        }
        if (breaker !== undefined && breaker.state !== 'closed') {
          return { status: 'unhealthy', reason: `the breaker is open: ${breaker.reason}`, data }
        }
        const deadlineMs = this.clock.nowMs() + HEALTH_BUDGET_MS
        await this.query('select 1', [], { criticality: 'critical', signal, deadlineMs })
        if (pressure.state === 'pressed')
          return { status: 'degraded', reason: 'the pool is under pressure', data }
        return { status: 'healthy', data }
      },
    }
  }

  /**
   * Refuses newcomers and whoever waits with `CLOSED`, lets work that has a connection finish for `graceMs` (default
   * 5000), then takes it away. Resolves when every connection is gone; never rejects.
   */
  close(options?: { readonly graceMs?: number }): Promise<void> {
    this.#closing ??= this.#close(options)
    return this.#closing
  }

  async #close(options: { readonly graceMs?: number } | undefined): Promise<void> {
    // What waits for a search that heeds no signal has but timers, and a process that ends there would not come to
    // what follows the close.
    const letGo = holdProcess()
    // First: what they have begun to save is theirs to finish, and a pause ends at once.
    const stopped = Promise.all([...this.#workers].map((worker) => worker.stop()))
    this.#gate.close()
    await Promise.all([this.#watch?.close(), this.#connections.end(options)])
    // A search that does not heed its signal has no connection to lose, and must not hold up the end.
    await new Promise<void>((resolve) => {
      const graceMs = Math.min(options?.graceMs ?? WORKER_GRACE_MS, LONGEST_TIMER_MS)
      const cancel = this.clock.schedule(graceMs, resolve)
      void stopped.then(() => {
        cancel()
        resolve()
      })
    })
    letGo()
  }

  get #address(): { readonly database: string; readonly user: string } {
    // Never connects: a client knows how pg reads addresses and the environment.
    const { database = '', user = '' } = new pg.Client(this.#config)
    return { database, user }
  }

  #tell(event: PoolEvent): void {
    if (event.kind === 'connect-failed') this.#tellConnectFailed(event.reason, event.sqlState)
    if (event.kind !== 'leak' && event.kind !== 'returned-late' && event.kind !== 'dirty-release') return
    this.#log?.warn({ pool: this.name, ...event }, leakTexts[event.kind])
  }

  /** One line for an outage, and not more than one in 10 s when connections come and go. */
  #tellConnectFailed(reason: string, sqlState: string | undefined): void {
    const nowMs = this.clock.nowMs()
    const { opened } = this.#connections.totals
    const { opened: before, atMs } = this.#connectFailed
    if (opened === before || nowMs - atMs < CONNECT_LOG_MS) return
    this.#connectFailed = { opened, atMs: nowMs }
    this.#log?.warn({ pool: this.name, reason, sqlState }, `pool "${this.name}" cannot connect: ${reason}`)
  }
}

const leakTexts = {
  leak: 'a database connection is held for too long',
  'returned-late': 'a database connection that was held for too long came back',
  'dirty-release': 'a database connection was released in the middle of its work',
} as const
