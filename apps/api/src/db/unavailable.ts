import type { Classification } from '@holdfast/error-pages'
import { classifyError } from '@holdfast/pool-guard'

/** What a client waits before it tries again when nobody knows better. */
const DEFAULT_RETRY_SECONDS = 1

/** That the database could not be asked, or did not answer in time. */
export interface Unavailable {
  /** 503; 504 when the statement had begun and took too long. */
  readonly status: 503 | 504
  readonly retryAfterSeconds: number
  /** Whether somebody decided in advance to refuse, as opposed to something that went wrong. */
  readonly refused: boolean
}

/**
 * Whether an error says that the database is full, slow or gone, and not that a statement was wrong. Refusals of the
 * pool say so themselves; what comes from the server or the network is told by its code.
 */
export function unavailability(error: unknown): Unavailable | undefined {
  const { statusCode, retryAfterSeconds, code } = (error ?? {}) as Record<string, unknown>
  const known = typeof retryAfterSeconds === 'number'
  const seconds = known ? Math.max(1, Math.ceil(retryAfterSeconds)) : DEFAULT_RETRY_SECONDS
  if (statusCode === 503 || statusCode === 504) {
    const ours = known || String(code).startsWith('HOLDFAST_ERR_POOL_GUARD_')
    return ours ? { status: statusCode, retryAfterSeconds: seconds, refused: known } : undefined
  }
  if (statusCode !== undefined || classifyError(error).kind === 'caller') return undefined
  return { status: 503, retryAfterSeconds: seconds, refused: false }
}

/** Nothing may be written: a rule of maintenance says so, or the server that answers is not the one that takes writes. */
const READ_ONLY_TRANSACTION = '25006'
const READ_ONLY: Classification = {
  status: 503,
  error: 'HOLDFAST_ERR_API_READ_ONLY',
  detail: 'Nothing can be changed at the moment, and nothing was.',
  retryAfterSeconds: 60,
  level: 'warn',
}

/** The connection was lost during COMMIT. Nothing is wrong with the service, and nobody can say more. */
const COMMIT_LOST = 'HOLDFAST_ERR_POOL_GUARD_TX_OUTCOME_UNKNOWN'
const OUTCOME_UNKNOWN: Classification = {
  status: 503,
  error: 'HOLDFAST_ERR_API_OUTCOME_UNKNOWN',
  detail: 'Whether it was done is not known. Look before you ask for it again.',
  retryAfterSeconds: DEFAULT_RETRY_SECONDS,
  level: 'warn',
}

/** The same for error-pages. Whoever refuses logs once that he does; what went wrong is a warning. */
export function classifyUnavailable(error: unknown): Classification | undefined {
  if (classifyError(error).sqlState === READ_ONLY_TRANSACTION) return READ_ONLY
  if ((Object(error) as { code?: unknown }).code === COMMIT_LOST) return OUTCOME_UNKNOWN
  const unavailable = unavailability(error)
  if (unavailable === undefined) return undefined
  const { status, retryAfterSeconds, refused } = unavailable
  return { status, retryAfterSeconds, level: refused ? 'debug' : 'warn' }
}
