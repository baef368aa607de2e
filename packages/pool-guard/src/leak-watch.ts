/*
 * Finds clients that are held for too long. One timer looks at all of them, so that a checkout costs no timer. The
 * stack of the acquirer is recorded for one checkout in `stackEvery`, because that costs some microseconds; after a
 * leak without a stack, every one of the next checkouts records it, so that the second leak is found with it.
 */
import type { Clock } from '@holdfast/footing'

/** A client that is held for too long. */
export interface LeakReport {
  readonly heldMs: number
  /** How long its present state lasts. */
  readonly stateMs: number
  /** `querying`: a long statement; the others hold a connection without using it. */
  readonly state: 'querying' | 'idle' | 'idle in transaction'
  readonly processId: number
  readonly route?: string | undefined
  readonly tenant?: string | undefined
  /** The last statement without its literals, at most 200 characters. */
  readonly lastSql: string
  /** Where it was acquired, when that was recorded. */
  readonly stack?: string | undefined
}

/** What the watch sees of one client on loan. */
export interface Watched {
  readonly acquiredMs: number
  readonly acquiredAt: Error | undefined
  /** Set by the watch. */
  reported: boolean
  report(nowMs: number): LeakReport
  reclaim(heldMs: number): void
}

/** Settings of the watch. */
export interface LeakWatchSettings {
  readonly clock: Clock
  /** `Infinity` switches the watch off. */
  readonly leakAfterMs: number
  /** `Infinity` for never. */
  readonly reclaimAfterMs: number
  readonly stackEvery: number
  readonly onLeak: (report: LeakReport) => void
  readonly onReturned: (report: LeakReport) => void
}

/** Checkouts that all record their stack after a leak without one. */
const ALERT_CHECKOUTS = 1000

/** See the top of the file. */
export class LeakWatch {
  readonly #settings: LeakWatchSettings
  readonly #held = new Set<Watched>()
  readonly #lookEveryMs: number
  #cancel: (() => void) | undefined
  #untilStack = 0
  #alert = 0
  #leaks = 0

  constructor(settings: LeakWatchSettings) {
    this.#settings = settings
    const soonest = Math.min(settings.leakAfterMs, settings.reclaimAfterMs)
    this.#lookEveryMs = soonest === Number.POSITIVE_INFINITY ? 0 : Math.max(10, soonest / 4)
  }

  /** Clients that were held for too long so far, those in a long statement left out. */
  get leaks(): number {
    return this.#leaks
  }

  /** Clients on loan. */
  get held(): ReadonlySet<Watched> {
    return this.#held
  }

  /** The stack of the caller of `above`, for one checkout in `stackEvery`. */
  sample(above: (...parameters: never[]) => unknown): Error | undefined {
    if (this.#alert > 0) this.#alert -= 1
    else if (this.#untilStack > 0) {
      this.#untilStack -= 1
      return undefined
    } else this.#untilStack = this.#settings.stackEvery - 1
    const at = new Error('acquired here')
    Error.captureStackTrace(at, above)
    return at
  }

  /** The next checkouts record their stacks. */
  alert(): void {
    this.#alert = ALERT_CHECKOUTS
  }

  enter(client: Watched): void {
    this.#held.add(client)
    if (this.#cancel === undefined && this.#lookEveryMs > 0) this.#lookLater()
  }

  leave(client: Watched): void {
    this.#held.delete(client)
    if (client.reported) this.#settings.onReturned(client.report(this.#settings.clock.nowMs()))
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }

  #lookLater(): void {
    this.#cancel = this.#settings.clock.schedule(this.#lookEveryMs, () => {
      this.#cancel = undefined
      this.#look()
      if (this.#held.size > 0) this.#lookLater()
    })
  }

  #look(): void {
    const { clock, leakAfterMs, reclaimAfterMs, onLeak } = this.#settings
    const nowMs = clock.nowMs()
    for (const client of this.#held) {
      const heldMs = nowMs - client.acquiredMs
      if (heldMs >= leakAfterMs && !client.reported) {
        client.reported = true
        const report = client.report(nowMs)
        if (report.state !== 'querying') this.#leaks += 1
        if (report.stack === undefined) this.alert()
        onLeak(report)
      }
      if (heldMs >= reclaimAfterMs) client.reclaim(heldMs)
    }
  }
}

const MAX_FINGERPRINT = 200

/** A statement without its literals, so that it can be logged. */
export function fingerprint(sql: string): string {
  const bare = sql
    .slice(0, 10 * MAX_FINGERPRINT)
    .replaceAll(/--[^\n]*|\/\*[\s\S]*?(\*\/|$)/g, ' ')
    .replaceAll(/\$([A-Za-z_]*)\$[\s\S]*?(\$\1\$|$)/g, '?')
    .replaceAll(/(?:\b[EeBbXxNn])?'(?:[^'\\]|''|\\.)*('|$)/g, '?')
    .replaceAll(/(?<![\w$])-?\d+(\.\d+)?([eE][-+]?\d+)?\b/g, '?')
    .replaceAll(/\s+/g, ' ')
    .trim()
  return bare.length > MAX_FINGERPRINT ? `${bare.slice(0, MAX_FINGERPRINT)}...` : bare
}
