// When a line was written, as text (ISO 8601, UTC). Made once for all lines of a millisecond: making it takes longer than
// the rest of a line.

import type { Clock } from '@holdfast/footing'

/** Tells the time of `clock`. */
export function lineTime(clock: Pick<Clock, 'wallMs'>): () => string {
  let textOfMs = Number.NaN
  let text = ''
  return () => {
    const nowMs = clock.wallMs()
    if (nowMs !== textOfMs) {
      text = new Date(nowMs).toISOString()
      textOfMs = nowMs
    }
    return text
  }
}
