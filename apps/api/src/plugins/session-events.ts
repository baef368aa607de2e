// What happens to sessions and deserves a look, in the log.

import diagnostics from 'node:diagnostics_channel'
import type { Clock } from '@holdfast/footing'
import type { OddityEvent, OutageEvent } from '@holdfast/redis-session'
import { RareEvents, type TellEvent } from '../rare-events.ts'

const NAME_LENGTH = 8

/** Those that only somebody can cause who tries something. */
const SUSPICIOUS: ReadonlySet<string> = new Set(['duplicate-cookie', 'unreadable-session'])

/** Tells them from now on; the answer ends that. */
export function tellSessionEvents(tell: TellEvent, clock: Pick<Clock, 'schedule'>): () => Promise<void> {
  const rare = new RareEvents(tell, clock)
  const odd = (message: unknown) => {
    const { what, session } = message as OddityEvent
    const type = SUSPICIOUS.has(what) ? 'SECURITY_EVENT' : 'SYSTEM_EVENT'
    rare.tell(
      type,
      `session.${what}`,
      session === undefined ? {} : { session: session.slice(0, NAME_LENGTH) },
    )
  }
  const outage = (message: unknown) => {
    const { state, forMs, untold } = message as OutageEvent
    const told = { for_ms: Math.round(forMs), untold }
    tell('SYSTEM_EVENT', `session.outage_${state}`, told, state === 'began' ? 'warn' : 'info')
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
