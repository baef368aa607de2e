import type { Clock } from '@holdfast/footing'
import type { QueryResult, QueryResultRow } from 'pg'
import type { CheckoutOptions } from './connections.ts'
import {
  AbortedError,
  DeadlineExceededError,
  OptionError,
  QueryTimeoutError,
  ReclaimedError,
  ReleasedError,
  StatementNameError,
  TxOutcomeUnknownError,
} from './errors.ts'
import type { GuardedClient, QueryOptions } from './guarded-client.ts'
import { type BeginOptions, beginMessage, type ResolvedGuardrails } from './guardrails.ts'
import { fingerprint, type LeakReport, type Watched } from './leak-watch.ts'
import { abortedBy, type PgConnection } from './pg-connection.ts'
import { sqlStateOf } from './sqlstate.ts'

/** What a loan needs of its pool. */
export interface LoanTerms {
  readonly clock: Clock
  /** One statement outside of a transaction, or `Infinity`. */
  readonly statementTimeoutMs: number
  readonly guardrails: ResolvedGuardrails
  /** What the server gets to enforce its limit, before a CancelRequest is sent. */
  readonly graceMs: number
  /** For ROLLBACK. */
  readonly cancelTimeoutMs: number
  readonly namedStatements: boolean
  /** `server_version_num`, or 0 before it is known. */
  readonly serverVersion: () => number
  readonly giveBack: (loan: Loan, connection: PgConnection, destroy: boolean) => void
  /** Somebody used a client after its release. */
  readonly onMisuse: () => void
  /** A client is taken back because it was held for too long. */
  readonly onReclaim: () => void
}

/** The one implementation of a `GuardedClient`: a connection for as long as it is on loan. */
export class Loan implements GuardedClient, Watched {
  readonly options: CheckoutOptions
  readonly acquiredMs: number
  readonly acquiredAt: Error | undefined
  reported = false
  readonly #terms: LoanTerms
  readonly #onAbort: (() => void) | undefined
  #connection: PgConnection | undefined
  /** Of the last connection, for reports after the release. */
  #last: { readonly processId: number; readonly lastText: string } | undefined
  #ended: Error | undefined
  /** The statement_timeout of the server in this transaction. */
  #serverTimeoutMs = Number.POSITIVE_INFINITY

  constructor(
    connection: PgConnection,
    terms: LoanTerms,
    options: CheckoutOptions,
    nowMs: number,
    acquiredAt: Error | undefined,
  ) {
    this.#connection = connection
    this.#terms = terms
    this.options = options
    this.acquiredMs = nowMs
    this.acquiredAt = acquiredAt
    const { signal } = options
    connection.outcome = 'ignored'
    if (signal !== undefined) {
      this.#onAbort = () => this.#connection?.interrupt(abortedBy(signal, 'its statements were cancelled'))
      signal.addEventListener('abort', this.#onAbort, { once: true })
    }
  }

  get processId(): number {
    return this.#connection?.processId ?? this.#last?.processId ?? 0
  }

  get transactionStatus(): 'I' | 'T' | 'E' {
    return this.#connection?.transactionStatus ?? 'I'
  }

  query<R extends QueryResultRow = QueryResultRow>(
    sql: string,
    parameters?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<QueryResult<R>> {
    const connection = this.#connection
    if (connection === undefined) return Promise.reject(this.#useAfterRelease())
    if (typeof sql !== 'string') return Promise.reject(new OptionError('sql', 'a text', typeof sql))
    const { clock, statementTimeoutMs, namedStatements } = this.#terms
    const { signal, deadlineMs } = this.options
    if (signal?.aborted === true) return Promise.reject(abortedBy(signal, 'a statement was not begun'))
    const own = options?.signal
    if (own?.aborted === true) return Promise.reject(abortedBy(own, 'a statement was not begun'))
    if (options?.name !== undefined && !namedStatements) {
      return Promise.reject(new StatementNameError(options.name))
    }
    const nowMs = clock.nowMs()
    let limitMs = options?.timeoutMs ?? statementTimeoutMs
    if (Number.isNaN(limitMs)) return Promise.reject(new OptionError('timeoutMs', 'milliseconds', 'NaN'))
    let byDeadline = false
    // The server's own limit speaks first where there is one: its answer leaves the connection in order.
    if (limitMs >= this.#serverTimeoutMs) limitMs = this.#serverTimeoutMs + this.#terms.graceMs
    if (deadlineMs !== undefined && deadlineMs - nowMs < limitMs) {
      limitMs = deadlineMs - nowMs
      byDeadline = true
      if (limitMs <= 0) return Promise.reject(new DeadlineExceededError(0, 1))
    }
    const answer = connection.run({
      text: sql,
      values: parameters,
      name: options?.name,
      dueMs: nowMs + limitMs,
      limitMs,
      byDeadline,
      signal: own,
    }) as Promise<QueryResult<R>>
    return this.#serverTimeoutMs === Number.POSITIVE_INFINITY ? answer : this.#underServerTimeout(answer)
  }

  async begin(options: BeginOptions = {}): Promise<void> {
    const { clock, guardrails, serverVersion } = this.#terms
    const { deadlineMs = Number.POSITIVE_INFINITY } = this.options
    const remainingMs = deadlineMs - clock.nowMs()
    const { text, statementTimeoutMs } = beginMessage(guardrails, options, remainingMs, serverVersion())
    this.#serverTimeoutMs = Number.POSITIVE_INFINITY
    await this.query(text)
    if (statementTimeoutMs > 0) this.#serverTimeoutMs = statementTimeoutMs
  }

  async commit(): Promise<void> {
    const connection = this.#connection
    if (connection === undefined) throw this.#useAfterRelease()
    try {
      await this.#lastWord(connection, 'commit', this.#terms.statementTimeoutMs + this.#terms.graceMs)
    } catch (error) {
      if (!connection.lost) throw error
      const why = error instanceof Error ? error.message : String(error)
      throw Object.assign(new TxOutcomeUnknownError(why), { cause: error })
    }
  }

  async rollback(): Promise<void> {
    const connection = this.#connection
    if (connection === undefined) throw this.#useAfterRelease()
    // What was not waited for would hold up the end, and is undone anyway.
    connection.interrupt(new AbortedError('its transaction was rolled back'))
    try {
      await this.#lastWord(connection, 'rollback', this.#terms.cancelTimeoutMs)
    } catch (error) {
      // The server undoes what it can no longer commit.
      connection.destroy()
      throw error
    }
  }

  cancel(reason: Error): void {
    this.#connection?.interrupt(reason)
  }

  release(): void {
    this.#giveBack(false)
  }

  destroy(): void {
    this.#giveBack(true)
  }

  /** Takes the connection back from whoever holds it. */
  reclaim(heldMs: number): void {
    this.#terms.onReclaim()
    this.takeBack(new ReclaimedError(Math.round(heldMs)))
  }

  /** Ends the loan from the side of the pool; everything on it rejects with `reason`. */
  takeBack(reason: Error): void {
    this.#ended = reason
    this.#connection?.interrupt(reason)
    this.#giveBack(true)
  }

  report(nowMs: number): LeakReport {
    const connection = this.#connection
    const state = connection === undefined || connection.busy ? 'querying' : idleState(connection)
    return {
      heldMs: Math.round(nowMs - this.acquiredMs),
      stateMs: Math.round(nowMs - (connection?.changedMs ?? nowMs)),
      state,
      processId: this.processId,
      route: this.options.route,
      tenant: this.options.tenant,
      lastSql: fingerprint(connection?.lastText ?? this.#last?.lastText ?? ''),
      stack: this.acquiredAt?.stack,
    }
  }

  #lastWord(connection: PgConnection, text: string, limitMs: number): Promise<unknown> {
    this.#serverTimeoutMs = Number.POSITIVE_INFINITY
    const dueMs = this.#terms.clock.nowMs() + limitMs
    return connection.run({ text, dueMs, limitMs, lastWord: true })
  }

  /** A statement that the server cancelled by the limit we gave it, and not because we asked. */
  async #underServerTimeout<T>(answer: Promise<T>): Promise<T> {
    const limitMs = this.#serverTimeoutMs
    const { clock } = this.#terms
    const startMs = clock.nowMs()
    try {
      return await answer
    } catch (error) {
      const byServer = sqlStateOf(error) === '57014' && clock.nowMs() - startMs >= 0.9 * limitMs
      throw byServer ? Object.assign(new QueryTimeoutError(limitMs), { cause: error }) : error
    }
  }

  #giveBack(destroy: boolean): void {
    const connection = this.#connection
    if (connection === undefined) return
    this.#last = { processId: connection.processId, lastText: connection.lastText }
    this.#connection = undefined
    if (this.#onAbort !== undefined) this.options.signal?.removeEventListener('abort', this.#onAbort)
    this.#terms.giveBack(this, connection, destroy)
  }

  #useAfterRelease(): Error {
    if (this.#ended !== undefined) return this.#ended
    this.#terms.onMisuse()
    const { route = 'no route' } = this.options
    const why = this.acquiredAt === undefined ? `${route}; where it was acquired was not recorded` : route
    return Object.assign(new ReleasedError(why), { cause: this.acquiredAt })
  }
}

function idleState(connection: PgConnection): LeakReport['state'] {
  return connection.transactionStatus === 'I' ? 'idle' : 'idle in transaction'
}
