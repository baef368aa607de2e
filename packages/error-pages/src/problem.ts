import { type Failure, titleOf } from './failure.ts'
import type { Issue } from './issues.ts'

/** The `Content-Type` of a problem document. */
export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

/** A problem document (RFC 9457). */
export interface Problem {
  readonly type: 'about:blank'
  /** HTTP's own name of the status. */
  readonly title: string
  readonly status: number
  /** One or two sentences for people. */
  readonly detail: string
  /** Stable and made for programs. */
  readonly error: string
  /** Seconds until a new try makes sense; the same as the header `Retry-After`. */
  readonly retry_after?: number
  /** What is wrong with the input, member by member. */
  readonly errors?: readonly Issue[]
  /** By which the log knows this request. */
  readonly correlation_id: string
}

/** A document but for the id of the request, which stands last: text that is the same for all requests. */
export type ProblemHead = string

/** The document that tells a failure, for any request. */
export function problemHead({ status, detail, error, retryAfterSeconds, issues }: Failure): ProblemHead {
  const problem: Omit<Problem, 'correlation_id'> = {
    type: 'about:blank',
    title: titleOf(status),
    status,
    detail,
    error,
    ...(retryAfterSeconds !== undefined && { retry_after: retryAfterSeconds }),
    ...(issues !== undefined && { errors: issues }),
  }
  return JSON.stringify(problem).slice(0, -1)
}

/** The whole document, as JSON. */
export function problemText(head: ProblemHead, correlationId: string): string {
  return `${head},"correlation_id":${JSON.stringify(correlationId)}}`
}
