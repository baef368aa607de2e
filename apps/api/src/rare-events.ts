// Events that anybody can cause by the thousand: of each kind the first is told at once, and then at most one in a minute,
// which says how many there were.

import type { Clock } from '@holdfast/footing'
import type { EventLevel, EventType } from '@holdfast/logging'

const EVERY_MS = 60_000

/** What events are told by: `app.logging.event`. */
export type TellEvent = (type: EventType, event: string, fields?: object, level?: EventLevel) => void

/** Tells them. Kinds are words of the code, so there are few. */
export class RareEvents {
  readonly #tell: TellEvent
  readonly #clock: Pick<Clock, 'nowMs'>
  readonly #kinds = new Map<string, { toldMs: number; untold: number }>()

  constructor(tell: TellEvent, clock: Pick<Clock, 'nowMs'>) {
    this.#tell = tell
    this.#clock = clock
  }

  /** It has happened once more; `fields` are those of this time. */
  tell(type: EventType, event: string, fields: object, level: EventLevel = 'warn'): void {
    const nowMs = this.#clock.nowMs()
    const kind = this.#kinds.get(event) ?? { toldMs: Number.NEGATIVE_INFINITY, untold: 0 }
    this.#kinds.set(event, kind)
    kind.untold += 1
    if (nowMs - kind.toldMs < EVERY_MS) return
    this.#tell(type, event, { times: kind.untold, ...fields }, level)
    kind.toldMs = nowMs
    kind.untold = 0
  }
}
