// What happens to sessions and deserves a look, in the log. Of each kind the first at once, and then at most one line in a
// minute, which says how many there were: whoever can cause one can cause thousands.

import diagnostics from 'node:diagnostics_channel'
import type { Clock } from '@holdfast/footing'
import type { OddityEvent, OutageEvent } from '@holdfast/redis-session'
import type { FastifyBaseLogger } from 'fastify'

const EVERY_MS = 60_000
const NAME_LENGTH = 8

/** Those that only somebody can cause who tries something. */
const SUSPICIOUS: ReadonlySet<string> = new Set(['duplicate-cookie', 'unreadable-session'])

/** Logs from now on; the answer ends that. */
export function logSessionEvents(
  log: Pick<FastifyBaseLogger, 'info' | 'warn'>,
  clock: Pick<Clock, 'nowMs'>,
): () => Promise<void> {
  const kinds = new Map<string, { saidMs: number; unsaid: number }>()
  const odd = (message: unknown) => {
    const { what, session } = message as OddityEvent
    const nowMs = clock.nowMs()
    const kind = kinds.get(what) ?? { saidMs: Number.NEGATIVE_INFINITY, unsaid: 0 }
    kinds.set(what, kind)
    kind.unsaid += 1
    if (nowMs - kind.saidMs < EVERY_MS) return
    const event = SUSPICIOUS.has(what) ? 'SECURITY_EVENT' : 'SYSTEM_EVENT'
    const name = session === undefined ? {} : { session: session.slice(0, NAME_LENGTH) }
    log.warn({ event, kind: `session.${what}`, times: kind.unsaid, ...name }, 'a session deserves a look')
    kind.saidMs = nowMs
    kind.unsaid = 0
  }
  const outage = (message: unknown) => {
    const { state, forMs, untold } = message as OutageEvent
    const told = { event: 'SYSTEM_EVENT', kind: `session.outage_${state}`, for_ms: Math.round(forMs), untold }
    if (state === 'began') log.warn(told, 'without Redis: who is signed in is believed for a while')
    else log.info(told, 'Redis says again who is signed in')
  }
  const listeners = { oddity: odd, outage }
  const named = Object.entries(listeners).map(
    ([name, told]) => [`holdfast:redis-session:${name}`, told] as const,
  )
  for (const [name, told] of named) diagnostics.subscribe(name, told)
  return async () => {
    for (const [name, told] of named) diagnostics.unsubscribe(name, told)
  }
}
