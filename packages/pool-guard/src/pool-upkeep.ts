/*
 * Once a second, while a pool has idle connections or is to keep some: closes what is idle for too long or too old, and
 * opens what is missing.
 */
import type { Clock } from '@holdfast/footing'

/** What an idle connection is judged by, on the clock. */
export interface IdleConnection {
  /** Since when it is idle. */
  readonly changedMs: number
  /** When it is too old. */
  readonly expiresMs: number
}

/** How many connections stay, and how long the others. */
export interface IdleLimits {
  readonly min: number
  readonly max: number
  /** Above `min`, in ms. */
  readonly idleTimeoutMs: number
}

const EVERY_MS = 1000
/** Closed at once, overflow would be opened and closed again for every statement of a load that needs it. */
const OVERFLOW_IDLE_MS = 5000

/**
 * Those of `idle`, the longest idle first, that a pool of `total` connections does without. Pure. What is more than `max`
 * goes after five seconds, what is more than `min` after its time, and what is too old always.
 */
export function dispensable<Connection extends IdleConnection>(
  idle: readonly Connection[],
  total: number,
  { min, max, idleTimeoutMs }: IdleLimits,
  nowMs: number,
): readonly Connection[] {
  let left = total
  return idle.filter(({ changedMs, expiresMs }) => {
    const limitMs = left > max ? Math.min(OVERFLOW_IDLE_MS, idleTimeoutMs) : idleTimeoutMs
    const tooLong = nowMs - changedMs >= limitMs && left > min
    if (!tooLong && expiresMs > nowMs) return false
    left -= 1
    return true
  })
}

/** The timer of the upkeep: it runs while there is something to look after. */
export class PoolUpkeep {
  readonly #clock: Clock
  readonly #look: () => boolean
  #cancel: (() => void) | undefined
  #stopped = false

  /** `look` does what is to be done, and answers whether it is to be called again. */
  constructor(clock: Clock, look: () => boolean) {
    this.#clock = clock
    this.#look = look
  }

  /** Looks at once. */
  start(): void {
    this.#lookIn(0)
  }

  /** Looks within a second, and so on. */
  wake(): void {
    if (this.#cancel === undefined) this.#lookIn(EVERY_MS)
  }

  /** For good. */
  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }

  #lookIn(delayMs: number): void {
    if (this.#stopped) return
    this.#cancel = this.#clock.schedule(delayMs, () => {
      this.#cancel = undefined
      if (this.#look()) this.wake()
    })
  }
}
