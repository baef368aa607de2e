// What a client sees of an answer, and what it asked for.

/** What users ask for; those that begin with `flood` are asked by whoever floods. */
export const KINDS = ['theme', 'session', 'bot status', 'bet', 'flood theme', 'flood status'] as const
export type Kind = (typeof KINDS)[number]

/**
 * `fresh` and `stale` (an older answer that says so) are what was asked for; `refused`: a 4xx for what it was; `limited`:
 * 429; `unavailable`: 503 or 504 that says when to come back; `error`: any other 5xx; `none`: no answer.
 */
export const CLASSES = ['fresh', 'stale', 'refused', 'limited', 'unavailable', 'error', 'none'] as const
export type AnswerClass = (typeof CLASSES)[number]

export type ClassCounts = Readonly<Record<AnswerClass, number>>

/** `head` is the head of the answer, in small letters. */
export function classOf(status: number, head: string): AnswerClass {
  if (status === 429) return 'limited'
  if (status === 503 || status === 504) return head.includes('\r\nretry-after:') ? 'unavailable' : 'error'
  if (status >= 500 || status < 200) return 'error'
  if (status >= 400) return 'refused'
  return head.includes('\r\nwarning:') ? 'stale' : 'fresh'
}

export function noCounts(): Record<AnswerClass, number> {
  return { fresh: 0, stale: 0, refused: 0, limited: 0, unavailable: 0, error: 0, none: 0 }
}
