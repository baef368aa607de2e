/* A count that is asked for often and made seldom: it is shared, and believed for a while. */
import type { Clock } from '@holdfast/footing'
import type { SessionStatistics } from './activity.ts'

const BELIEVED_MS = 5000

export class Statistics {
  readonly #clock: Clock
  readonly #count: () => Promise<SessionStatistics>
  #counting: Promise<SessionStatistics> | undefined
  #last: SessionStatistics | undefined

  constructor(clock: Clock, count: () => Promise<SessionStatistics>) {
    this.#clock = clock
    this.#count = count
  }

  /** The last count when it is recent, or cannot be made now; undefined when there never was one. */
  async get(canCount: boolean): Promise<SessionStatistics | undefined> {
    const last = this.#last
    const isRecent = last !== undefined && this.#clock.wallMs() - last.countedAt.getTime() < BELIEVED_MS
    if (isRecent || !canCount) return last
    this.#counting ??= this.#count().finally(() => {
      this.#counting = undefined
    })
    try {
      this.#last = await this.#counting
    } catch {
      // What was counted before is better than nothing.
    }
    return this.#last
  }
}
