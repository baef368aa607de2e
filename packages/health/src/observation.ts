import type { Observation, Outcome } from './check-state.ts'

/** What a check may answer; answering nothing means healthy. */
export interface CheckResult {
  /** Default: `healthy`. `degraded` and `unhealthy` are explicit: they count at once, without hysteresis. */
  readonly status?: Outcome
  /** Why, for authorised callers and the log; cut at 200 characters. */
  readonly reason?: string
  /** Facts for authorised callers (session statistics, queue depth); at most 4 KiB of JSON. */
  readonly data?: Readonly<Record<string, unknown>>
}

/** How one execution of a check ended. */
export type Execution =
  | { readonly kind: 'answered'; readonly result: unknown; readonly durationMs: number }
  | { readonly kind: 'threw'; readonly error: unknown; readonly durationMs: number }
  | { readonly kind: 'timed-out'; readonly durationMs: number }
  | { readonly kind: 'hung'; readonly durationMs: number }

/** The cause of an observation: `reported` by the check itself, an `error` with or without a code, or its time. */
export type Cause = 'none' | 'slow' | 'reported' | 'error' | 'timeout' | 'hung'

/** An observation with everything that people may want to know about it. */
export interface ObservedExecution extends Observation {
  readonly cause: Cause
  readonly durationMs: number
  readonly code: string | undefined
  readonly reason: string | undefined
  readonly data: unknown
}

export const maxReasonLength = 200
export const maxDataBytes = 4096

// These say "no answer in time", which one lost packet can cause; every other code names what went wrong.
const timeoutCodes = new Set([
  'ABORT_ERR',
  'ETIMEDOUT',
  'ESOCKETTIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  '57014', // PostgreSQL query_canceled: its statement_timeout
  '55P03', // PostgreSQL lock_not_available: its lock_timeout
])
const timeoutNames = new Set(['TimeoutError', 'AbortError'])

/**
 * Reads one execution. Slow, timed-out and hung executions and errors without a code are ambiguous; an error with a
 * code, its own or its cause's (fetch wraps ECONNREFUSED twice), and a status that the check reported are firm. Never
 * throws, whatever the check answered.
 */
export function readExecution(execution: Execution, degradedAboveMs: number | undefined): ObservedExecution {
  try {
    return read(execution, degradedAboveMs)
  } catch {
    // A getter that throws, a revoked proxy: a check that answers so must not end the process.
    const reason = 'the check answered or threw something that cannot be read'
    const { durationMs } = execution
    return {
      outcome: 'unhealthy',
      firm: false,
      cause: 'error',
      durationMs,
      code: undefined,
      reason,
      data: undefined,
    }
  }
}

function read(execution: Execution, degradedAboveMs: number | undefined): ObservedExecution {
  const { durationMs } = execution
  const base = { durationMs, code: undefined, reason: undefined, data: undefined }
  switch (execution.kind) {
    case 'answered':
      return readAnswer(execution.result, durationMs, degradedAboveMs)
    case 'threw': {
      const { code, timeout } = codeOf(execution.error)
      return {
        outcome: 'unhealthy',
        firm: code !== undefined && !timeout,
        cause: timeout ? 'timeout' : 'error',
        durationMs,
        code,
        reason: cut(messageOf(execution.error)),
        data: undefined,
      }
    }
    case 'timed-out':
      return { ...base, outcome: 'unhealthy', firm: false, cause: 'timeout' }
    case 'hung':
      return { ...base, outcome: 'unhealthy', firm: false, cause: 'hung' }
  }
}

function readAnswer(
  result: unknown,
  durationMs: number,
  degradedAboveMs: number | undefined,
): ObservedExecution {
  const fields: { status?: unknown; reason?: unknown; data?: unknown } =
    typeof result === 'object' && result !== null ? result : {}
  const told = fields.status ?? 'healthy'
  const reason = typeof fields.reason === 'string' ? cut(fields.reason) : undefined
  const data = fields.data === undefined ? undefined : boundedCopy(fields.data, maxDataBytes)
  const rest = { durationMs, code: undefined, data }
  if (told === 'degraded' || told === 'unhealthy') {
    return { ...rest, outcome: told, firm: true, cause: 'reported', reason }
  }
  if (told !== 'healthy') {
    // A check that misspells its answer must not pass as healthy.
    const wrong = 'the check answered with a status other than healthy, degraded or unhealthy'
    return { ...rest, outcome: 'unhealthy', firm: true, cause: 'reported', reason: wrong }
  }
  if (degradedAboveMs !== undefined && durationMs > degradedAboveMs) {
    return { ...rest, outcome: 'degraded', firm: false, cause: 'slow', reason }
  }
  return { ...rest, outcome: 'healthy', firm: true, cause: 'none', reason }
}

/**
 * A plain copy of `value` through JSON, which no later change can reach; what does not fit `maxBytes`, or cannot be
 * serialised, is replaced by a note that says so.
 */
export function boundedCopy(value: unknown, maxBytes: number): unknown {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch {
    return { omitted: 'not serialisable as JSON' }
  }
  if (text === undefined) return { omitted: 'not serialisable as JSON' }
  const bytes = Buffer.byteLength(text)
  if (bytes > maxBytes) return { omitted: `${bytes} bytes, the maximum is ${maxBytes}` }
  return JSON.parse(text)
}

/** The first `maxReasonLength` characters. */
export function cut(text: string): string {
  return text.length > maxReasonLength ? `${text.slice(0, maxReasonLength - 3)}...` : text
}

const maxCauses = 5

function codeOf(error: unknown): { code: string | undefined; timeout: boolean } {
  let at: unknown = error
  for (let depth = 0; depth < maxCauses && typeof at === 'object' && at !== null; depth += 1) {
    const { name, code, cause } = at as { name?: unknown; code?: unknown; cause?: unknown }
    // By name first: a DOMException has a legacy numeric code that would look like an explicit error.
    if (typeof name === 'string' && timeoutNames.has(name)) return { code: name, timeout: true }
    if (typeof code === 'string' || typeof code === 'number') {
      const text = cut(String(code))
      return { code: text, timeout: timeoutCodes.has(text) }
    }
    at = cause
  }
  return { code: undefined, timeout: false }
}

function messageOf(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error)
  } catch {
    return 'a value that cannot be shown'
  }
}
