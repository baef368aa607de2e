/*
 * One statement on a connection, and what its end says: about the database, about the session, and to its caller.
 */
import type { QueryResult } from 'pg'
import type { LeaseOutcome } from './connections.ts'
import { DeadlineExceededError, QueryTimeoutError } from './errors.ts'
import { classifyError } from './sqlstate.ts'

/** One statement and how long it may take. */
export interface StatementOrder {
  readonly text: string
  readonly values?: readonly unknown[] | undefined
  readonly name?: string | undefined
  /** When it is cancelled, on the clock; `Infinity` for never. */
  readonly dueMs: number
  /** What it may take in ms, for the error when `dueMs` is reached. */
  readonly limitMs: number
  /** That limit is what was left of the caller's deadline. */
  readonly byDeadline?: boolean
  /** Cancels this statement alone. */
  readonly signal?: AbortSignal | undefined
  /** `interrupt` leaves it alone: the outcome of a COMMIT must be known. */
  readonly lastWord?: boolean
}

/** A statement under way. */
export interface Statement extends StatementOrder {
  readonly resolve: (result: QueryResult) => void
  readonly reject: (error: unknown) => void
  failed: boolean
  error: unknown
  /** Why it is being cancelled. */
  cancelled: Error | undefined
  /** Stops listening to its signal. */
  unheed: (() => void) | undefined
}

/** What an ended statement says about the database. */
export function outcomeOf({ failed, error, cancelled }: Statement): LeaseOutcome {
  if (!failed) return 'success'
  const { kind } = classifyError(error)
  if (kind === 'infrastructure') return 'failure'
  if (kind !== 'timeout') return 'success'
  // Too slow for its own limit, or for the server's; but a caller that left says nothing.
  return cancelled === undefined || cancelled instanceof QueryTimeoutError ? 'failure' : 'ignored'
}

/** Settles it for its caller. */
export function reject(statement: Statement, error: unknown): void {
  statement.unheed?.()
  statement.reject(error)
}

/** It took longer than it may. */
export function overdueError(statement: Statement): Error {
  return statement.byDeadline === true
    ? new DeadlineExceededError(0, Math.round(statement.limitMs))
    : new QueryTimeoutError(statement.limitMs)
}

/** A COMMIT, by its text. */
export const commits = /^\s*(commit|end)\b/i

/** Whether something of these statements outlives them, and their transaction when that is committed. */
export function changesSession(text: string, answer: QueryResult | readonly QueryResult[]): boolean {
  const changes = ({ command }: QueryResult) =>
    command === 'SET' ? setsSession.test(text) : sessionCommands.has(command)
  return isSingle(answer) ? changes(answer) : answer.some(changes)
}

/** DISCARD and RESET undo what `onConnect` has set. */
const sessionCommands = new Set(['LISTEN', 'PREPARE', 'RESET', 'DISCARD'])
/** A SET for the session, alone or among other statements; the server calls SET LOCAL the same. */
const setsSession = /(?:^|;)(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/)*set\s+(?!local\s|transaction\s|constraints\s)/i

/** pg answers several statements in one text with a list. */
export function isSingle(answer: QueryResult | readonly QueryResult[]): answer is QueryResult {
  return !Array.isArray(answer)
}
