/*
 * A transaction for plain SQL.
 *
 * Guarantees: the guardrails begin with it, in one message; it is committed, or its rejection says that it is not
 * (`TX_ROLLED_BACK` when the server rolled back instead), or that nobody can know (`TX_OUTCOME_UNKNOWN`, when the
 * connection broke during COMMIT), and then it is not tried again. It is tried again after a serialization failure
 * or a deadlock, when that is wished for, with nothing held while it waits; and once when the connection turned out
 * to be broken at BEGIN, when nothing can have happened yet. COMMIT and ROLLBACK are not cancelled by a leaving
 * caller.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Clock } from '@holdfast/footing'
import type { QueryResult, QueryResultRow } from 'pg'
import { DeadlineExceededError, TxNestedError } from './errors.ts'
import type { GuardedClient, QueryOptions } from './guarded-client.ts'
import type { BeginOptions } from './guardrails.ts'
import { checks } from './option-checks.ts'
import { abortedBy } from './pg-connection.ts'
import { currentScope, type PoolScope } from './request-scope.ts'
import { classifyError } from './sqlstate.ts'

/** How a transaction runs. What is left out of the scope is that of the request. */
export interface TransactionOptions extends PoolScope, BeginOptions {
  /**
   * How often it is tried again after a serialization failure (40001) or a deadlock (40P01). The work runs again from
   * its beginning, so it must do nothing but statements. At most 100; default 0.
   */
  readonly retries?: number | undefined
}

/** What the work of a transaction gets. */
export interface Transaction {
  readonly processId: number
  /** 1 for the first try. */
  readonly attempt: number
  query<R extends QueryResultRow = QueryResultRow>(
    sql: string,
    parameters?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<QueryResult<R>>
  /** Runs a part of the work that may fail without the rest: its statements are undone, and its error is thrown. */
  savepoint<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
}

/** What a transaction needs of the pool guard. */
export interface TransactionSource {
  acquire(scope: PoolScope): Promise<GuardedClient>
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
  /** A try failed and another one follows. */
  readonly onRetry?: ((attempt: number, error: unknown) => void) | undefined
}

/** Before the second try; doubled before each further one. */
const FIRST_PAUSE_MS = 10
const LONGEST_PAUSE_MS = 1000
const MAX_RETRIES = 100
/** How far an error's `cause` is followed. */
const MAX_CAUSES = 5

interface Running {
  readonly source: TransactionSource
  readonly around: Running | undefined
  /** What it started and did not wait for still runs in its context, and may begin one of its own. */
  over: boolean
}

const running = new AsyncLocalStorage<Running | undefined>()

/** Runs `work` in a transaction. Rejects with what it throws, or with a coded error; see the top of the file. */
export async function runTransaction<T>(
  source: TransactionSource,
  options: TransactionOptions,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  const around = running.getStore()
  for (let outer = around; outer !== undefined; outer = outer.around) {
    if (outer.source === source && !outer.over) throw new TxNestedError()
  }
  const retries = checks.count('retries', options.retries ?? 0, 0, MAX_RETRIES)
  for (let attempt = 1; ; attempt += 1) {
    const here: Running = { source, around, over: false }
    try {
      return await running.run(here, () => attemptOnce(source, options, work, attempt))
    } catch (error) {
      if (attempt > retries || !lostAgainstOthers(error)) throw error
      source.onRetry?.(attempt, error)
      await pause(source, options, attempt, error)
    } finally {
      here.over = true
    }
  }
}

async function attemptOnce<T>(
  source: TransactionSource,
  options: TransactionOptions,
  work: (tx: Transaction) => Promise<T>,
  attempt: number,
): Promise<T> {
  const { client, signal } = await begun(source, options)
  const open = new OpenTransaction(client, attempt)
  try {
    const result = await work(open)
    if (signal?.aborted === true) throw abortedBy(signal, 'a transaction was not committed')
    await client.commit()
    return result
  } catch (error) {
    if (client.transactionStatus !== 'I') await client.rollback().catch(() => {})
    throw open.explained(error)
  } finally {
    client.release()
  }
}

/** A client inside a new transaction. */
async function begun(source: TransactionSource, options: TransactionOptions) {
  const { criticality, tenant, route, signal, deadlineMs } = options
  const scope = definedOnly({ criticality, tenant, route, signal, deadlineMs })
  for (let attempt = 1; ; attempt += 1) {
    const client = await source.acquire(scope)
    try {
      await client.begin(options)
      return { client, signal: signal ?? currentScope()?.signal }
    } catch (error) {
      if (client.transactionStatus !== 'I') await client.rollback().catch(() => {})
      client.release()
      const broken = (error as { code?: unknown }).code === 'HOLDFAST_ERR_POOL_GUARD_CONNECTION_LOST'
      if (!broken || attempt > 1) throw error
    }
  }
}

class OpenTransaction implements Transaction {
  readonly attempt: number
  readonly #client: GuardedClient
  #savepoints = 0
  #firstFailure: unknown

  constructor(client: GuardedClient, attempt: number) {
    this.#client = client
    this.attempt = attempt
  }

  get processId(): number {
    return this.#client.processId
  }

  async query<R extends QueryResultRow = QueryResultRow>(
    sql: string,
    parameters?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<QueryResult<R>> {
    try {
      return await this.#client.query<R>(sql, parameters, options)
    } catch (error) {
      this.#firstFailure ??= error
      throw error
    }
  }

  async savepoint<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    this.#savepoints += 1
    const name = `holdfast_${this.#savepoints}`
    await this.query(`savepoint ${name}`)
    try {
      const result = await work(this)
      await this.query(`release savepoint ${name}`)
      return result
    } catch (error) {
      // What failed in it is undone and must not explain a later rollback of the rest.
      await this.#client
        .query(`rollback to savepoint ${name}; release savepoint ${name}`)
        .then(() => {
          this.#firstFailure = undefined
        })
        .catch(() => {})
      throw error
    }
  }

  /** A rollback instead of a commit, with the failure that led to it as its cause. */
  explained(error: unknown): unknown {
    const { code } = Object(error) as { code?: unknown }
    if (code !== 'HOLDFAST_ERR_POOL_GUARD_TX_ROLLED_BACK' || this.#firstFailure === undefined) return error
    return Object.assign(error as Error, { cause: this.#firstFailure })
  }
}

function lostAgainstOthers(error: unknown): boolean {
  let current = error
  for (let depth = 0; depth < MAX_CAUSES && typeof current === 'object' && current !== null; depth += 1) {
    const { code, cause } = current as { code?: unknown; cause?: unknown }
    if (code === 'HOLDFAST_ERR_POOL_GUARD_TX_OUTCOME_UNKNOWN') return false
    const { kind, retryable } = classifyError(current)
    if (kind === 'contention' && retryable) return true
    current = cause
  }
  return false
}

/** Waits with jitter, holding nothing. Rejects when the caller leaves, or has no time for another try. */
async function pause(
  { clock, random }: TransactionSource,
  options: TransactionOptions,
  attempt: number,
  cause: unknown,
): Promise<void> {
  const scope = currentScope()
  const signal = options.signal ?? scope?.signal
  const deadlineMs = options.deadlineMs ?? scope?.deadlineMs ?? Number.POSITIVE_INFINITY
  const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1)) * (0.5 + random())
  const remainingMs = deadlineMs - clock.nowMs()
  if (pauseMs >= remainingMs) {
    const error = new DeadlineExceededError(Math.max(0, Math.round(remainingMs)), Math.round(pauseMs))
    throw Object.assign(error, { cause })
  }
  await new Promise<void>((resolve, reject) => {
    const leave = () => {
      stop()
      if (signal !== undefined) reject(abortedBy(signal, 'a transaction was not tried again'))
    }
    const stop = clock.schedule(pauseMs, () => {
      signal?.removeEventListener('abort', leave)
      resolve()
    })
    if (signal?.aborted === true) leave()
    else signal?.addEventListener('abort', leave, { once: true })
  })
}

/** Without the members that are undefined: they would hide those of the request. */
function definedOnly(scope: PoolScope): PoolScope {
  return Object.fromEntries(Object.entries(scope).filter(([, value]) => value !== undefined))
}
