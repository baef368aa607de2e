/**
 * Who of several workers does not answer any more: one that is busy for ever, or was stopped. Each is asked, and not asked
 * again before it has answered. Guarantees: time counts against a worker only while whoever asks is on time himself, so
 * that nobody is stuck because the machine was suspended, or is too busy for both of them.
 */

import type { Clock } from '@holdfast/footing'

/** Who can be asked. */
export interface Watched {
  /** Resolves when its event loop has come round; never rejects. Left out: nobody asks. */
  answers?(): Promise<void>
}

/** What a watch is made of. */
export interface WorkerWatchParts<Worker extends Watched> {
  readonly clock: Pick<Clock, 'nowMs' | 'schedule'>
  /** One that has not answered for so long is stuck; 0: none ever is. */
  readonly stuckAfterMs: number
  /** Those that are to answer, looked at every time. */
  readonly watched: () => Iterable<Worker>
  /** Told at every look, as long as it is watched and says nothing. */
  readonly stuck: (worker: Worker, silentMs: number) => void
}

/** So many looks without an answer, each on time, and one is stuck. */
const LOOKS = 6

/** Asks, and counts who says nothing. */
export class WorkerWatch<Worker extends Watched & object> {
  readonly #parts: WorkerWatchParts<Worker>
  readonly #everyMs: number
  /** Those that have been asked and have not answered, with the looks since. */
  readonly #silent = new WeakMap<Worker, { looks: number }>()
  #lookedMs = 0
  #cancel = () => {}

  constructor(parts: WorkerWatchParts<Worker>) {
    this.#parts = parts
    this.#everyMs = parts.stuckAfterMs / LOOKS
  }

  /** Looks from now on. */
  begin(): void {
    if (this.#parts.stuckAfterMs === 0) return
    this.#lookedMs = this.#parts.clock.nowMs()
    this.#lookLater()
  }

  /** Looks no more. */
  end(): void {
    this.#cancel()
  }

  /** Whether it was asked and has not answered. */
  isSilent(worker: Worker): boolean {
    return this.#silent.has(worker)
  }

  /** For how long it has said nothing, as far as that counts; 0 when it was not asked. */
  silentMs(worker: Worker): number {
    return (this.#silent.get(worker)?.looks ?? 0) * this.#everyMs
  }

  #lookLater(): void {
    this.#cancel = this.#parts.clock.schedule(this.#everyMs, () => this.#look())
  }

  #look(): void {
    const { clock, watched, stuck } = this.#parts
    const nowMs = clock.nowMs()
    // Then answers may lie here that nobody has read, and those who are asked may have been as late.
    const isLate = nowMs - this.#lookedMs > 2 * this.#everyMs
    this.#lookedMs = nowMs
    this.#lookLater()
    for (const worker of watched()) {
      const silence = this.#silent.get(worker)
      if (silence === undefined) this.#ask(worker)
      else if (!isLate) {
        silence.looks += 1
        if (silence.looks >= LOOKS) stuck(worker, this.silentMs(worker))
      }
    }
  }

  #ask(worker: Worker): void {
    const answering = worker.answers?.()
    if (answering === undefined) return
    this.#silent.set(worker, { looks: 0 })
    answering.then(() => this.#silent.delete(worker))
  }
}
