// Why a try has failed, and what that means for the job. Pure.

import { maskText } from '@holdfast/logging'
import { PermanentJobError } from './job-queue.ts'

/**
 * `retryable`: another try may succeed. `permanent`: the handler knows that none will. `poison`: the payload is none
 * that the handler can read, so that it was not even begun.
 */
export type FailureKind = 'retryable' | 'permanent' | 'poison'

/** What stands with a job that has failed, and with its dead letter. */
export interface JobFailure {
  readonly kind: FailureKind
  readonly name: string
  readonly message: string
  /** For programs, where the error has one. */
  readonly code?: string
  readonly stack?: string
}

/** The handler has refused the payload. */
export class UnreadablePayloadError extends Error {
  override readonly name = 'UnreadablePayloadError'
}

const MAX_MESSAGE = 1000
const MAX_STACK = 4000
const MAX_WORD = 100

/** What an error says, without what looks like a secret, and not more of it than somebody reads. */
export function failureOf(error: unknown): JobFailure {
  const { code } = Object(error) as { code?: unknown }
  const reason = error instanceof UnreadablePayloadError ? error.cause : error
  const name = reason instanceof Error ? reason.name : 'Error'
  const message = reason instanceof Error ? reason.message : String(reason)
  const stack = reason instanceof Error ? reason.stack : undefined
  return {
    kind: kindOf(error),
    name: name.slice(0, MAX_WORD),
    message: maskText(message, MAX_MESSAGE),
    ...(typeof code === 'string' && code !== '' && { code: code.slice(0, MAX_WORD) }),
    ...(stack !== undefined && { stack: maskText(stack, MAX_STACK) }),
  }
}

function kindOf(error: unknown): FailureKind {
  if (error instanceof UnreadablePayloadError) return 'poison'
  return error instanceof PermanentJobError ? 'permanent' : 'retryable'
}
