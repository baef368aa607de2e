/*
 * One connection to PostgreSQL or PgBouncer, over a `pg.Client`.
 *
 * Guarantees: one statement at a time, the rest waits in order (at most 100). A statement has a limit; when it is
 * reached, or the caller leaves, a CancelRequest is sent, and when the server does not answer within
 * `cancelTimeoutMs` the connection is destroyed. A statement settles when the server is ready for the next one, so
 * that its outcome is known, and the next one starts only when the CancelRequest of the one before is through: it
 * can hit nothing but its own statement. Whatever happens to the connection, its errors have a listener.
 *
 * It does not know who uses it, nor pools.
 */
import type { EventEmitter } from 'node:events'
import type { Clock } from '@holdfast/footing'
import { Client, type ClientConfig, type QueryResult } from 'pg'
import type { CancelTarget } from './cancel-socket.ts'
import type { Canceller, CancelOutcome, PendingCancel } from './canceller.ts'
import type { LeaseOutcome } from './connections.ts'
import {
  AbortedError,
  ClientBusyError,
  ConnectError,
  ConnectionLostError,
  TxRolledBackError,
} from './errors.ts'
import { LazyTimer } from './lazy-timer.ts'
import { classifyError, endsConnection, sqlStateOf } from './sqlstate.ts'
import {
  changesSession,
  commits,
  isSingle,
  outcomeOf,
  overdueError,
  reject,
  type Statement,
  type StatementOrder,
} from './statement.ts'

/** Statements that may wait for each other on one connection. */
export const MAX_WAITING_STATEMENTS = 100

/** A CancelRequest that came before its statement is sent again, about so often until the connection is given up. */
const CANCELS_PER_STATEMENT = 5

/** What a connection needs of its pool. */
export interface ConnectionSurroundings {
  readonly clock: Clock
  readonly canceller: Canceller<CancelTarget>
  /** How long a cancelled statement may take to end, and an orderly end of the connection. */
  readonly cancelTimeoutMs: number
  /** The connection is gone. Called once, and not when `close` or `destroy` was called before. */
  readonly onLost: (connection: PgConnection, error: Error) => void
  readonly onCancel: (result: 'cancelled' | 'finished' | 'destroyed') => void
}

/** Members of `pg.Client` that its types leave out. */
interface ClientInternals {
  readonly processID: number | null
  readonly secretKey: number | null
  readonly ssl: CancelTarget['ssl'] | undefined
  readonly sslNegotiation?: string
  readonly connectionParameters: { query_timeout: number }
  readonly connection: { readonly stream: ClientStream } & EventEmitter
}

interface ClientStream {
  readonly remoteAddress?: string
  destroy(error?: Error): void
}

interface ParameterStatus {
  readonly parameterName: string
  readonly parameterValue: string
}

/** See the top of the file. */
export class PgConnection {
  /** When it was opened, on the clock. */
  openedMs = 0
  /** When it is closed instead of handed on. */
  expiresMs = Number.POSITIVE_INFINITY
  /** When the server last answered. */
  provenMs = 0
  /** When the last statement ended, or began while one runs. */
  changedMs = 0
  /** The text of the last statement, for the log of a leak. */
  lastText = ''
  /** A session setting was changed outside of a transaction: it must not meet the next user. */
  sessionChanged = false
  /** `server_version_num` as the server said at the start; 0 when it did not say. */
  serverVersion = 0
  /** What the present user's work says about the database; a failure stays one. */
  outcome: LeaseOutcome = 'ignored'

  readonly #client: Client
  readonly #surroundings: ConnectionSurroundings
  readonly #timer: LazyTimer
  readonly #waiting: Statement[] = []
  readonly #whenQuiet: (() => void)[] = []
  #active: Statement | undefined
  #cancel: PendingCancel | undefined
  #stopGrace: (() => void) | undefined
  #stopResend: (() => void) | undefined
  #lost: Error | undefined
  #closing = false
  #gone: (() => void) | undefined

  constructor(config: ClientConfig, surroundings: ConnectionSurroundings) {
    this.#surroundings = surroundings
    this.#client = new Client({ keepAlive: true, ...config, query_timeout: undefined, pipeline: false })
    // A limit that is pg's own would leave the statement running; the address may hold one, too.
    this.#internals.connectionParameters.query_timeout = 0
    this.#timer = new LazyTimer(surroundings.clock, () => this.#overdue())
    // For good: a killed backend makes a client emit up to three errors, and one without a listener ends the process.
    this.#client.on('error', (error) => this.#lose(error))
    this.#client.on('end', () => {
      this.#lose(new Error('the server closed the connection'))
      this.#gone?.()
    })
    this.#client.on('drain', () => this.#drained())
    this.#internals.connection.on('parameterStatus', (status: ParameterStatus) => {
      if (status.parameterName === 'server_version') this.serverVersion = versionNumber(status.parameterValue)
    })
  }

  /** The process id the server or the pooler gave: PgBouncer's are made up. */
  get processId(): number {
    return this.#internals.processID ?? 0
  }

  /** In words, without secrets. */
  get address(): string {
    const { host, port } = this.#client
    return `${host}:${port}`
  }

  /** `I` outside of a transaction, `T` in one, `E` in one that failed. */
  get transactionStatus(): 'I' | 'T' | 'E' {
    return this.#client.getTransactionStatus() ?? 'I'
  }

  /** Whether a statement runs. */
  get busy(): boolean {
    return this.#active !== undefined
  }

  get lost(): boolean {
    return this.#lost !== undefined
  }

  /** Whether it may be handed on as it is. */
  get clean(): boolean {
    return (
      this.#lost === undefined &&
      this.#active === undefined &&
      this.#cancel === undefined &&
      this.#waiting.length === 0 &&
      !this.sessionChanged &&
      this.transactionStatus === 'I'
    )
  }

  get #internals(): ClientInternals {
    return this.#client as unknown as ClientInternals
  }

  /** Opens it, or ends the attempt for good after `timeoutMs`. Rejects with `..._CONNECT`. */
  connect(timeoutMs: number): Promise<void> {
    const { clock } = this.#surroundings
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        stop()
        this.destroy()
        const { reason } = classifyError(error)
        const failure = new ConnectError(this.address, reason ?? error.message)
        reject(Object.assign(failure, { cause: error, sqlState: sqlStateOf(error) }))
      }
      const stop = clock.schedule(timeoutMs, () => fail(new Error(`no answer within ${timeoutMs} ms`)))
      this.#client.connect((error: Error | null) => {
        if (error !== null && error !== undefined) {
          fail(error)
        } else if (this.#lost !== undefined) {
          fail(this.#lost)
        } else {
          stop()
          this.openedMs = clock.nowMs()
          this.provenMs = this.openedMs
          this.changedMs = this.openedMs
          resolve()
        }
      })
    })
  }

  /** Runs a statement, after those that wait already. Rejects with the server's error, or with a coded one. */
  run(order: StatementOrder): Promise<QueryResult> {
    return new Promise((resolve, reject) => {
      const statement: Statement = {
        text: order.text,
        values: order.values,
        name: order.name,
        dueMs: order.dueMs,
        limitMs: order.limitMs,
        byDeadline: order.byDeadline === true,
        lastWord: order.lastWord === true,
        resolve,
        reject,
        failed: false,
        error: undefined,
        cancelled: undefined,
        unheed: undefined,
      }
      const free = this.#active === undefined && this.#cancel === undefined
      if (!free && this.#waiting.length >= MAX_WAITING_STATEMENTS) {
        reject(new ClientBusyError(MAX_WAITING_STATEMENTS))
        return
      }
      if (order.signal !== undefined) this.#heed(statement, order.signal)
      if (free) this.#start(statement)
      else this.#waiting.push(statement)
    })
  }

  /** Ends the running statement by a CancelRequest, and everything that waits. All reject with `reason`. */
  interrupt(reason: Error): void {
    for (const statement of this.#waiting.splice(0)) {
      if (statement.lastWord === true) this.#waiting.push(statement)
      else reject(statement, reason)
    }
    if (this.#active !== undefined && this.#active.lastWord !== true) this.#cancelActive(this.#active, reason)
  }

  #heed(statement: Statement, signal: AbortSignal): void {
    const leave = () => {
      const reason = abortedBy(signal, 'a statement was given up')
      if (this.#active === statement) {
        this.#cancelActive(statement, reason)
        return
      }
      const place = this.#waiting.indexOf(statement)
      if (place === -1) return
      this.#waiting.splice(place, 1)
      reject(statement, reason)
    }
    signal.addEventListener('abort', leave, { once: true })
    statement.unheed = () => signal.removeEventListener('abort', leave)
  }

  /** Resolves when no statement runs or waits, and no CancelRequest is under way. */
  quiet(): Promise<void> {
    if (this.#isQuiet) return Promise.resolve()
    return new Promise((resolve) => this.#whenQuiet.push(resolve))
  }

  /** Ends it in order; by force when the server has not closed it within `cancelTimeoutMs`. */
  close(): Promise<void> {
    if (this.#lost !== undefined) return Promise.resolve()
    this.#closing = true
    this.#lose(new Error('the connection was closed'))
    return new Promise((resolve) => {
      const stop = this.#surroundings.clock.schedule(this.#surroundings.cancelTimeoutMs, () => {
        this.#internals.connection.stream.destroy()
        resolve()
      })
      this.#gone = () => {
        stop()
        resolve()
      }
      // Its promise never settles when the socket is gone already.
      void this.#client.end()
    })
  }

  /** Ends it at once, with whatever runs on it, which rejects with `reason` or `..._CONNECTION_LOST`. */
  destroy(reason?: Error): void {
    this.#closing = true
    this.#lose(reason ?? new Error('the connection was destroyed'), reason)
    this.#internals.connection.stream.destroy()
  }

  get #isQuiet(): boolean {
    return this.#active === undefined && this.#cancel === undefined && this.#waiting.length === 0
  }

  #start(statement: Statement): void {
    if (this.#lost !== undefined) {
      reject(statement, lostError(this.#lost))
      return
    }
    const nowMs = this.#surroundings.clock.nowMs()
    if (statement.dueMs <= nowMs) {
      reject(statement, overdueError(statement))
      this.#next()
      return
    }
    this.#active = statement
    this.changedMs = nowMs
    this.lastText = statement.text
    if (statement.dueMs !== Number.POSITIVE_INFINITY) this.#timer.set(statement.dueMs, nowMs)
    const done = (error: Error | null, result: QueryResult | readonly QueryResult[]) => {
      if (error !== null && error !== undefined) this.#failed(statement, error)
      else this.#succeeded(statement, result)
    }
    const { text, name } = statement
    const values = (statement.values ?? []) as unknown[]
    if (name === undefined) this.#client.query(text, values, done as never)
    else this.#client.query({ name, text, values }, done as never)
  }

  /** The server is ready for the next statement. */
  #succeeded(statement: Statement, answer: QueryResult | readonly QueryResult[]): void {
    // After an error that pg found itself it calls a second time; what counts is the first.
    if (this.#active !== statement || statement.failed) return
    const result = isSingle(answer) ? answer : answer.at(-1)
    if (result === undefined) return
    if (!this.sessionChanged) this.sessionChanged = changesSession(statement.text, answer)
    if (result.command === 'ROLLBACK' && commits.test(statement.text)) {
      this.#ended(statement)
      reject(statement, new TxRolledBackError())
      return
    }
    this.#ended(statement)
    statement.unheed?.()
    statement.resolve(result)
  }

  /** The statement failed; it settles when the server is ready for the next one, or gone. */
  #failed(statement: Statement, error: Error): void {
    if (this.#active !== statement || statement.failed) return
    statement.failed = true
    statement.error = error
    if (endsConnection(error)) {
      this.#lose(error)
      this.#internals.connection.stream.destroy()
    }
  }

  #drained(): void {
    const statement = this.#active
    if (statement === undefined || !statement.failed) return
    this.#ended(statement)
    const { error, cancelled } = statement
    if (cancelled !== undefined && sqlStateOf(error) === '57014') reject(statement, cancelled)
    else reject(statement, error)
  }

  #ended(statement: Statement): void {
    this.#active = undefined
    this.#timer.lift()
    const nowMs = this.#surroundings.clock.nowMs()
    this.changedMs = nowMs
    this.provenMs = nowMs
    this.#learn(outcomeOf(statement))
    if (statement.cancelled !== undefined) {
      this.#surroundings.onCancel(sqlStateOf(statement.error) === '57014' ? 'cancelled' : 'finished')
    }
    this.#next()
  }

  /** Starts the next statement, when the last one and its CancelRequest are through. */
  #next(): void {
    if (this.#active !== undefined || this.#cancel !== undefined) return
    if (this.#stopGrace !== undefined) this.#stopCancelTimers()
    const next = this.#waiting.shift()
    if (next !== undefined) this.#start(next)
    else if (this.#whenQuiet.length > 0) for (const tell of this.#whenQuiet.splice(0)) tell()
  }

  #overdue(): void {
    if (this.#active !== undefined) this.#cancelActive(this.#active, overdueError(this.#active))
  }

  #cancelActive(statement: Statement, reason: Error): void {
    if (statement.cancelled !== undefined) return
    statement.cancelled = reason
    this.#timer.lift()
    const { clock, cancelTimeoutMs } = this.#surroundings
    this.#stopGrace = clock.schedule(cancelTimeoutMs, () => this.#giveUp(reason))
    this.#sendCancel(reason)
  }

  #sendCancel(reason: Error): void {
    const { processID, secretKey, ssl, sslNegotiation, connection } = this.#internals
    const target: CancelTarget = {
      host: this.#client.host,
      port: this.#client.port,
      address: connection.stream.remoteAddress,
      ssl: ssl ?? false,
      directTls: sslNegotiation === 'direct',
      processId: processID ?? 0,
      secretKey: secretKey ?? 0,
    }
    this.#cancel = this.#surroundings.canceller.cancel(target, (outcome) =>
      this.#cancelEnded(outcome, reason),
    )
  }

  #cancelEnded(outcome: CancelOutcome, reason: Error): void {
    this.#cancel = undefined
    if (this.#lost !== undefined) return
    // It may still arrive, and must not find another statement here.
    if (outcome === 'unknown') {
      this.#giveUp(reason)
    } else if (this.#active === undefined) {
      this.#next()
    } else {
      // It overtook the statement and found nothing to cancel, or the server is slow to end it.
      const { clock, cancelTimeoutMs } = this.#surroundings
      this.#stopResend = clock.schedule(cancelTimeoutMs / CANCELS_PER_STATEMENT, () => {
        this.#stopResend = undefined
        this.#sendCancel(reason)
      })
    }
  }

  /** The server did not answer the CancelRequest, or may get it too late. */
  #giveUp(reason: Error): void {
    if (this.#lost !== undefined) return
    this.#surroundings.onCancel('destroyed')
    this.#learn('failure')
    const error = new Error('a cancelled statement did not end in time')
    this.#lose(error, this.#active === undefined ? undefined : reason)
    this.#internals.connection.stream.destroy()
  }

  #stopCancelTimers(): void {
    this.#stopGrace?.()
    this.#stopGrace = undefined
    this.#stopResend?.()
    this.#stopResend = undefined
  }

  #learn(outcome: LeaseOutcome): void {
    if (this.outcome !== 'failure' && outcome !== 'ignored') this.outcome = outcome
  }

  #lose(error: Error, reason?: Error): void {
    if (this.#lost !== undefined) return
    this.#lost = error
    if (!this.#closing) this.#learn(classifyError(error).kind === 'infrastructure' ? 'failure' : 'success')
    this.#timer.stop()
    this.#stopCancelTimers()
    const cancel = this.#cancel
    this.#cancel = undefined
    cancel?.abandon()
    const statement = this.#active
    this.#active = undefined
    if (statement !== undefined) {
      const cause = statement.failed ? (statement.error as Error) : error
      const failure = reason ?? statement.cancelled ?? lostError(cause)
      reject(statement, failure)
    }
    for (const waiting of this.#waiting.splice(0)) reject(waiting, reason ?? lostError(error))
    if (!this.#closing) this.#surroundings.onLost(this, error)
    for (const tell of this.#whenQuiet.splice(0)) tell()
  }
}

/** The error of a caller whose signal aborted. */
export function abortedBy(signal: AbortSignal, what: string): Error {
  return Object.assign(new AbortedError(what), { cause: signal.reason })
}

/** `18.4 (Debian ...)` or `19devel` as a `server_version_num`: minor versions before 10 are left out. */
export function versionNumber(version: string): number {
  const [, major = '0', minor = '0'] = /^(\d+)(?:\.(\d+))?/.exec(version) ?? []
  return Number(major) * 10_000 + Number(minor)
}

function lostError(cause: Error): Error {
  const { reason } = classifyError(cause)
  return Object.assign(new ConnectionLostError(reason ?? cause.message), {
    cause,
    sqlState: sqlStateOf(cause),
  })
}
