import { wholeSeconds } from '@holdfast/footing'
import { ActiveError, TenantBlockedError } from './errors.ts'
import type { ActiveRule } from './plan.ts'

/** What a refused request is told, whatever the form. In the words of an error, for pages. */
export interface MaintenanceRefusal {
  readonly statusCode: 403 | 503
  readonly code: string
  readonly message: string
  readonly retryAfterSeconds: number | undefined
  /** For `@holdfast/error-pages`: the message is for whoever asked, and the service is closed on purpose. */
  readonly expose: true
  readonly page?: 'maintenance'
}

/** The `Content-Type` of a problem document. */
export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

const ACTIVE = new ActiveError('').code
const BLOCKED = new TenantBlockedError('').code

/** `retryAfterMs` undefined: nobody knows when it ends, and coming back is of no use. */
export function refusalOf(message: string, retryAfterMs: number | undefined): MaintenanceRefusal {
  if (retryAfterMs === undefined) {
    return { statusCode: 403, code: BLOCKED, message, retryAfterSeconds: undefined, expose: true }
  }
  const retryAfterSeconds = wholeSeconds(retryAfterMs)
  return { statusCode: 503, code: ACTIVE, message, retryAfterSeconds, expose: true, page: 'maintenance' }
}

/** The problem document (RFC 9457). */
export function problemOf(
  { statusCode, code, message, retryAfterSeconds }: MaintenanceRefusal,
  { mode, rule: { fromMs, untilMs } }: ActiveRule,
  requestId: string,
): string {
  return JSON.stringify({
    type: 'about:blank',
    title: statusCode === 403 ? 'Forbidden' : 'Service Unavailable',
    status: statusCode,
    detail: message,
    error: code,
    ...(retryAfterSeconds !== undefined && { retry_after: retryAfterSeconds }),
    message,
    maintenance: { mode, from: instant(fromMs), until: instant(untilMs) },
    correlation_id: requestId,
  })
}

/** RFC 3339, in UTC; null for no moment. */
export function instant(atMs: number | undefined): string | null {
  return atMs === undefined ? null : new Date(atMs).toISOString()
}
