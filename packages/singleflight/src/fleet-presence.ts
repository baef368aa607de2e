import type { Clock } from '@holdfast/footing'
import type { FleetMessage } from './fleet-store.ts'

/** What a flight of this process is to the fleet: who runs its work here, and who must learn what happens. */
export interface FleetTask {
  readonly flightId: string
  readonly encodedKey: string
  /** Aborts when the flight is given up, closed or abandoned. */
  readonly signal: AbortSignal
  /** Whether anybody in this process waits for it. */
  isWanted(): boolean
  /** Runs the work here; `fence` is undefined outside of a lease. */
  execute(fence: number | undefined, signal: AbortSignal): Promise<unknown>
  /** Told when it begins and ends to wait for another process: then nothing runs here that could go on alone. */
  follows(following: boolean): void
  /** Takes the key away from it, at once: nobody may join it any more. */
  disown(reason: 'forgotten' | 'unwanted'): void
}

/**
 * What may wake a flight that waits: what landed; `look` (ask the store again); `gap` (ask again, a little later:
 * everybody does); `ended` (nobody here wants it any more).
 */
export type News = FleetMessage | 'look' | 'gap' | 'ended'

/** One flight of this process, present in the fleet from before its first question until it lands. */
export class Presence {
  readonly id: string
  readonly task: FleetTask
  /** Of the flight it leads or follows; 0 before the store has answered. */
  fence = 0
  /** Set while it leads: what to do when the key is forgotten. */
  whenForgotten: (() => void) | undefined = undefined
  #forgottenBelow = 0
  #forgotten = false
  #news: News | undefined = undefined
  #wake: ((news: News) => void) | undefined = undefined

  constructor(id: string, task: FleetTask) {
    this.id = id
    this.task = task
  }

  deliver(news: News): void {
    if (this.#wake !== undefined) this.#wake(news)
    // What landed is not pushed out by a hint to ask for it.
    else if (this.#news === undefined || (news !== 'look' && news !== 'gap')) this.#news = news
  }

  /** The news that came since it was last asked, or the next, or `look` after so many milliseconds. */
  async next(delayMs: number, clock: Clock): Promise<News> {
    const news = this.#news
    this.#news = undefined
    if (news !== undefined) return news
    const { promise, resolve } = Promise.withResolvers<News>()
    const cancelTimer = clock.schedule(delayMs, () => resolve('look'))
    this.#wake = resolve
    try {
      return await promise
    } finally {
      this.#wake = undefined
      cancelTimer()
    }
  }

  /** Notes the fence of an answer. */
  knows(fence: number): void {
    this.fence = fence
    if (fence < this.#forgottenBelow) this.#forget()
  }

  /** The key was forgotten: flights of an earlier fence are. The order of message and answer is not known. */
  forget(fence: number): void {
    this.#forgottenBelow = fence
    if (this.fence !== 0 && this.fence < fence) this.#forget()
  }

  #forget(): void {
    // Once: while `minIntervalMs` holds everybody back, every answer has the fence of the flight before.
    if (this.#forgotten) return
    this.#forgotten = true
    this.whenForgotten?.()
    this.task.disown('forgotten')
    this.deliver('look')
  }
}
