// What an answer, or the lack of one, means for a notification. Pure.

import type { Verdict } from './channel.ts'
import type { OutboundAnswer } from './outbound-client.ts'

/** Nobody is believed who wants to be left alone for longer. */
const LONGEST_WAIT_MS = 3_600_000
/** They want another try: too slow, too early, too many. */
const AGAIN: ReadonlySet<number> = new Set([408, 425, 429])

/** What a webhook has answered: 2xx is a delivery, and what stands in the body does not matter. */
export function webhookVerdict({ status, retryAfter }: OutboundAnswer, wallMs: number): Verdict {
  if (status >= 200 && status < 300) return { outcome: 'sent' }
  return refusal(status, retryAfterMs(retryAfter, wallMs))
}

/** What the bot API has answered, which says in its body how long to wait. */
export function telegramVerdict(answer: OutboundAnswer): Verdict {
  const { status, text } = answer
  const { ok, parameters } = membersOf(text)
  if (status >= 200 && status < 300) {
    if (ok === true) return { outcome: 'sent' }
    return { outcome: 'retry', why: `answered ${status}, and not what the bot API answers` }
  }
  const { retry_after: seconds } = Object(parameters) as { readonly retry_after?: unknown }
  const afterMs = typeof seconds === 'number' && seconds >= 0 ? bounded(seconds * 1000) : undefined
  return refusal(status, afterMs)
}

/** Why there is no answer. The message is not kept: it may hold what was asked for. */
export function failureVerdict(error: unknown): Verdict {
  const { code, name, retryAfterMs } = Object(error) as Readonly<Record<string, unknown>>
  const word = typeof code === 'string' ? code : typeof name === 'string' ? name : 'unknown'
  if (word === 'HOLDFAST_ERR_API_ADDRESS_REFUSED') {
    return { outcome: 'dead', why: 'its name leads to where nothing may be sent' }
  }
  return {
    outcome: 'retry',
    why: `there was no answer: ${word.slice(0, 100)}`,
    afterMs: typeof retryAfterMs === 'number' ? bounded(retryAfterMs) : undefined,
  }
}

function refusal(status: number, afterMs: number | undefined): Verdict {
  const why = `answered ${status}`
  if (status >= 500 || AGAIN.has(status)) return { outcome: 'retry', why, afterMs }
  // Where a redirect leads, nobody has looked at.
  return { outcome: 'dead', why: status < 400 ? `${why}, and no redirect is followed` : why }
}

/** RFC 9110, 10.2.3: seconds or a date. */
function retryAfterMs(text: string | undefined, wallMs: number): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text)) return bounded(Number(text) * 1000)
  // Node takes `-5` for a date, too.
  const atMs = /^[A-Z][a-z]+, /.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(atMs) ? undefined : bounded(atMs - wallMs)
}

function bounded(ms: number): number {
  return Math.min(LONGEST_WAIT_MS, Math.max(0, ms))
}

function membersOf(text: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(text)) as Readonly<Record<string, unknown>>
  } catch {
    return {}
  }
}
