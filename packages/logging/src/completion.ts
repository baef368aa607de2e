// What the one line of a request says, and how loudly. Knows no server: it is given what happened.

import { FinishedLine } from './guarded-logger.ts'

/** Levels of a completion line. */
export type CompletionLevel = 'info' | 'warn' | 'error'

/** As nginx has it, and as metrics count it: whoever asked did not wait for an answer. */
export const CLIENT_CLOSED_REQUEST = 499

/** The message of a completion line. */
export const COMPLETED = 'request completed'

/** What is known of an answer when it is over. */
export interface Outcome {
  /** Of the answer; meaningless where `answered` is false. */
  readonly status: number
  /** Whether the head of an answer was sent. */
  readonly answered: boolean
  /** Whether the answer was sent to its end. */
  readonly finished: boolean
  /** Whether the service itself broke it off. */
  readonly failed: boolean
  readonly durationMs: number
  readonly slowMs: number
}

/** How an outcome is told. */
export interface Verdict {
  readonly status: number
  readonly level: CompletionLevel
  readonly aborted: boolean
  readonly slow: boolean
}

/** How an outcome is told. */
export function verdictOf({ status, answered, finished, failed, durationMs, slowMs }: Outcome): Verdict {
  const told = answered || finished ? status : CLIENT_CLOSED_REQUEST
  const aborted = !finished && !failed
  const slow = durationMs > slowMs
  if (failed || told >= 500) return { status: told, level: 'error', aborted, slow }
  return { status: told, level: aborted || slow || told >= 400 ? 'warn' : 'info', aborted, slow }
}

/** The members of the line, an allow-list; what is undefined is not written. */
export interface CompletionFields {
  readonly correlation_id: string
  readonly request_id: string
  readonly trace_id: string | undefined
  readonly span_id: string | undefined
  readonly tenant: string | undefined
  readonly user_id: string | undefined
  readonly method: string | undefined
  readonly route: string | undefined
  readonly path: string
  readonly status: number
  readonly duration_ms: number
  readonly bytes: number | undefined
  readonly aborted: true | undefined
  readonly slow: true | undefined
  readonly err: unknown
}

/** The line where pino writes it. There are no other members than those, in their order. */
export class CompletionLine extends FinishedLine {
  constructor(fields: CompletionFields) {
    super()
    Object.assign(this, fields)
  }
}

/** Three digits after the point are microseconds. */
export function roundedMs(durationMs: number): number {
  return Math.round(durationMs * 1000) / 1000
}

/** The length that an answer says of itself. */
export function bytesOf(header: unknown): number | undefined {
  const bytes = typeof header === 'string' ? Number(header) : header
  return typeof bytes === 'number' && Number.isSafeInteger(bytes) ? bytes : undefined
}
