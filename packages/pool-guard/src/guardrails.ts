/*
 * Time limits that the server enforces, set in the very message that begins a transaction. `set local` is the only
 * form that holds through PgBouncer's transaction pooling and leaks to nobody: it ends with the transaction. In one
 * simple message with BEGIN it costs no round trip.
 */

import { OptionError } from './errors.ts'

/** What the server is to enforce in a transaction, in ms. 0 is PostgreSQL's "no limit". */
export interface Guardrails {
  /** One statement. Default 3000. */
  readonly statementTimeoutMs?: number
  /** Waiting for one lock. Must be shorter than `statementTimeoutMs` to ever matter. Default 1000. */
  readonly lockTimeoutMs?: number
  /** Idle between two statements; the server then ends the connection. Default 5000. */
  readonly idleInTransactionTimeoutMs?: number
  /** The whole transaction, with PostgreSQL 17 or later; the server then ends the connection. Default 0. */
  readonly transactionTimeoutMs?: number
}

/** How a transaction begins. */
export interface BeginOptions extends Guardrails {
  /** `read committed`, `repeatable read`, `serializable`. Default: that of the role. */
  readonly isolation?: string | undefined
  /** Writing is an error. Default false. */
  readonly readOnly?: boolean | undefined
}

/** The guardrails with every default filled in. */
export type ResolvedGuardrails = Required<Guardrails>

export const guardrailDefaults: ResolvedGuardrails = {
  statementTimeoutMs: 3000,
  lockTimeoutMs: 1000,
  idleInTransactionTimeoutMs: 5000,
  transactionTimeoutMs: 0,
}

/** They enter the text of a statement. */
const isolations = new Set(['read committed', 'read uncommitted', 'repeatable read', 'serializable'])

/** The first server with `transaction_timeout`. */
const transactionTimeoutSince = 170_000

/**
 * The one message that begins a transaction under `limits`. `remainingMs` is what is left of the caller's deadline:
 * no limit of the server is longer. `serverVersion` is `server_version_num`, or 0 when it is not known.
 */
export function beginMessage(
  limits: ResolvedGuardrails,
  options: BeginOptions,
  remainingMs: number,
  serverVersion: number,
): { readonly text: string; readonly statementTimeoutMs: number } {
  const statementTimeoutMs = shortest(options.statementTimeoutMs ?? limits.statementTimeoutMs, remainingMs)
  const lockTimeoutMs = shortest(options.lockTimeoutMs ?? limits.lockTimeoutMs, remainingMs)
  const idleMs = options.idleInTransactionTimeoutMs ?? limits.idleInTransactionTimeoutMs
  const transactionMs = options.transactionTimeoutMs ?? limits.transactionTimeoutMs
  let text = 'begin'
  if (options.isolation !== undefined && !isolations.has(options.isolation)) {
    throw new OptionError('isolation', `one of ${[...isolations].join(', ')}`, String(options.isolation))
  }
  if (options.isolation !== undefined) text += ` isolation level ${options.isolation}`
  if (options.readOnly === true) text += ' read only'
  text += `; set local statement_timeout = ${statementTimeoutMs}; set local lock_timeout = ${lockTimeoutMs}`
  text += `; set local idle_in_transaction_session_timeout = ${Math.ceil(idleMs)}`
  if (transactionMs > 0 && serverVersion >= transactionTimeoutSince) {
    text += `; set local transaction_timeout = ${Math.ceil(transactionMs)}`
  }
  return { text, statementTimeoutMs }
}

/** 0 means "no limit" to PostgreSQL, so what is left of a deadline is at least 1 ms. */
function shortest(limitMs: number, remainingMs: number): number {
  if (remainingMs === Number.POSITIVE_INFINITY) return Math.ceil(limitMs)
  const restMs = Math.max(1, Math.ceil(remainingMs))
  return limitMs === 0 ? restMs : Math.min(Math.ceil(limitMs), restMs)
}
