/*
 * What a refused request is told: a problem document (RFC 9457) of the types that
 * draft-ietf-httpapi-ratelimit-headers-11 defines, with `error` and `retry_after` for programs. Built once for each set
 * of violated policies; a refusal puts the seconds into it.
 */
import { retryAfterSeconds } from './rate-limit-headers.ts'
import type { Decision } from './store.ts'

/** The answer to a refused request, and what an `onLimit` function is told. */
export interface Refusal {
  /** 429; 503 when it is refused only because the shared store is lost (`onStoreLoss: 'closed'`). */
  readonly statusCode: 429 | 503
  /** The names of the policies that refused it. */
  readonly violated: readonly string[]
  /** Until a retry can succeed; `Infinity` when none ever can, because the cost is above a capacity. */
  readonly retryAfterMs: number
  /** The same as the header `Retry-After`: rounded up and at least 1; undefined for never. */
  readonly retryAfterSeconds: number | undefined
  /** The problem document, as JSON. */
  readonly body: string
  readonly decision: Decision
}

/** The `Content-Type` of a refusal. */
export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

/** Sets of violated policies whose documents are kept. */
const MAX_KEPT = 1000

interface Parts {
  readonly head: string
  readonly tail: string
  readonly whole: string
}

/** Makes refusals. */
export class Refusals {
  readonly #parts = new Map<string, Parts>()

  /** Sets of violated policies whose documents are kept at present; at most 1,000. */
  get kept(): number {
    return this.#parts.size
  }

  of(decision: Decision): Refusal {
    const { violated, retryAfterMs } = decision
    const statusCode = isStoreLoss(decision) ? 503 : 429
    const seconds = retryAfterSeconds(decision)
    const { head, tail, whole } = this.#partsOf(violated, statusCode)
    const body = seconds === undefined ? whole : head + seconds + tail
    return { statusCode, violated, retryAfterMs, retryAfterSeconds: seconds, body, decision }
  }

  #partsOf(violated: readonly string[], statusCode: 429 | 503): Parts {
    const key = violated.length === 1 ? `${statusCode}${violated[0]}` : `${statusCode}${violated.join()}`
    const known = this.#parts.get(key)
    if (known !== undefined) return known
    if (this.#parts.size >= MAX_KEPT) this.#parts.clear()
    const { type, title, error, detail } = words[statusCode]
    const begin = JSON.stringify({ type, title, status: statusCode, detail, error }).slice(0, -1)
    const end = `"violated-policies":${JSON.stringify(violated)}}`
    const parts = { head: `${begin},"retry_after":`, tail: `,${end}`, whole: `${begin},${end}` }
    this.#parts.set(key, parts)
    return parts
  }
}

const words = {
  429: {
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    title: 'Too Many Requests',
    error: 'too_many_requests',
    detail: 'A rate limit is reached.',
  },
  503: {
    type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
    title: 'Service Unavailable',
    error: 'service_unavailable',
    detail: 'Rate limits cannot be checked at the moment.',
  },
} as const

/** Whether nothing but the loss of the store refuses it. */
function isStoreLoss({ degraded, verdicts }: Decision): boolean {
  if (!degraded) return false
  const refusing = verdicts.filter(({ allowed, policy }) => !allowed && !policy.shadow)
  return refusing.every(({ policy }) => policy.onStoreLoss === 'closed')
}
