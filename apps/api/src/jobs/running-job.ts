// One try of a job in this process: until when it is ours, why it is to end, and when it has.

import type { Clock } from '@holdfast/footing'
import type { Claim } from './boss-store.ts'

/** Why a try was told to end. */
export type EndReason = 'deadline' | 'lost' | 'closing'

/** What became of the work itself. `ignored`: it was told to end, and goes on. */
export type WorkEnd =
  | { readonly end: 'done' }
  | { readonly end: 'failed'; readonly error: unknown }
  | { readonly end: 'ignored' }

/** What a handler that was told to end has to do so: before the database begins the next try, where there is time. */
const HEED_MS = 1000

export class RunningJob {
  readonly claim: Claim
  /** Its end is being written: it is nobody's business any more whose it is. */
  settling = false
  /** Until when nobody else begins it, as far as this process knows. */
  oursUntilMs: number
  reason: EndReason | undefined
  readonly #clock: Clock
  readonly #controller = new AbortController()
  readonly #cancelDeadline: () => void
  readonly #ignored: Promise<WorkEnd>
  #ignore: () => void = () => {}
  #cancelHeed: (() => void) | undefined

  /** `askedMs` is when it was asked for: what the database counts from is later. */
  constructor(claim: Claim, askedMs: number, clock: Clock, deadline: (claim: Claim) => Error) {
    this.claim = claim
    this.oursUntilMs = askedMs + claim.heartbeatMs
    this.#clock = clock
    this.#ignored = new Promise((resolve) => {
      this.#ignore = () => resolve({ end: 'ignored' })
    })
    const toldMs = askedMs + Math.max(claim.deadlineMs / 2, claim.deadlineMs - HEED_MS)
    const leftMs = Math.max(0, toldMs - clock.nowMs())
    this.#cancelDeadline = clock.schedule(leftMs, () => this.end('deadline', deadline(claim)))
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Tells the handler to end. Only the first reason counts. */
  end(reason: EndReason, error: Error): void {
    if (this.reason !== undefined || this.settling) return
    this.reason = reason
    this.#cancelHeed = this.#clock.schedule(HEED_MS, this.#ignore)
    this.#controller.abort(error)
  }

  /** How the work ends, or that it does not heed its signal. */
  async endOf(work: Promise<void>): Promise<WorkEnd> {
    const ended = work.then(
      (): WorkEnd => ({ end: 'done' }),
      (error: unknown): WorkEnd => ({ end: 'failed', error }),
    )
    const end = await Promise.race([ended, this.#ignored])
    this.settling = true
    this.#cancelDeadline()
    this.#cancelHeed?.()
    return end
  }
}
