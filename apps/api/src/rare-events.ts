// Events that anybody can cause by the thousand: of each kind the first is told at once, and what comes in the minute after
// it at its end, as one more that says how many there were and what the last one was.

import { AsyncResource } from 'node:async_hooks'
import type { Clock } from '@holdfast/footing'
import type { EventLevel, EventType } from '@holdfast/logging'

const EVERY_MS = 60_000

/** What events are told by: `app.logging.event`. */
export type TellEvent = (type: EventType, event: string, fields?: object, level?: EventLevel) => void

/** What came since the last one of its kind was told. */
interface Untold {
  times: number
  /** Tells the last of them. */
  tell: (times: number) => void
}

/**
 * Tells them. Kinds are words of the code, so there are few, and of each there is one timer at most. What has come in the
 * last minute of a process is not told.
 */
export class RareEvents {
  readonly #tell: TellEvent
  readonly #clock: Pick<Clock, 'schedule'>
  /** Whoever began a minute is not who is told of at its end. */
  readonly #nobody = new AsyncResource('RareEvents')
  /** The kinds of which one was told in the last minute. */
  readonly #untold = new Map<string, Untold>()

  constructor(tell: TellEvent, clock: Pick<Clock, 'schedule'>) {
    this.#tell = tell
    this.#clock = clock
  }

  /** It has happened once more; `fields` are those of this time. */
  tell(type: EventType, event: string, fields: object, level: EventLevel = 'warn'): void {
    const tell = (times: number) => this.#tell(type, event, { times, ...fields }, level)
    const untold = this.#untold.get(event)
    if (untold === undefined) {
      tell(1)
      this.#wait(event)
      return
    }
    untold.times += 1
    untold.tell = tell
  }

  #wait(event: string): void {
    const untold: Untold = { times: 0, tell: () => {} }
    this.#untold.set(event, untold)
    this.#clock.schedule(EVERY_MS, () => {
      this.#untold.delete(event)
      if (untold.times === 0) return
      this.#nobody.runInAsyncScope(untold.tell, undefined, untold.times)
      this.#wait(event)
    })
  }
}
