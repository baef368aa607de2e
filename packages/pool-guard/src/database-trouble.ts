import type { LeaseOutcome } from './connections.ts'
import * as errors from './errors.ts'
import { classifyError, sqlStateOf } from './sqlstate.ts'

/** A server that does not let us in, and one that does not within the deadline, count against it. */
export function outcomeOfConnecting(error: unknown): LeaseOutcome {
  if (error instanceof errors.ConnectError || error instanceof errors.DeadlineExceededError) return 'failure'
  return classifyError(error).kind === 'infrastructure' ? 'failure' : 'ignored'
}

/**
 * Whether an error says that the database cannot answer now, so that a cache should: every refusal of this package and
 * every failure of the infrastructure. Not: errors of the statement, a caller that left, and errors of a socket that is
 * somebody else's: those of the database's connections have come through here and have a code of this package.
 */
export function isDatabaseTrouble(error: unknown): boolean {
  if (troubles.some((kind) => error instanceof kind)) return true
  const { kind } = classifyError(error)
  return sqlStateOf(error) !== undefined && (kind === 'infrastructure' || kind === 'timeout')
}

const troubles = [
  errors.AcquireTimeoutError,
  errors.ClosedError,
  errors.ConnectError,
  errors.ConnectionLostError,
  errors.DeadlineExceededError,
  errors.ExhaustedError,
  errors.OpenError,
  errors.QueryTimeoutError,
  errors.QueueFullError,
  errors.SaturatedError,
] as const
