import type { Clock } from '@holdfast/footing'
import type { Execution } from './observation.ts'

/** What a check receives. */
export interface CheckContext {
  /** Aborts when the check's time is over, and when the application closes. */
  readonly signal: AbortSignal
}

/** One check as the poller sees it. */
export interface PollerOptions {
  readonly check: (context: CheckContext) => unknown
  readonly intervalMs: number
  readonly timeoutMs: number
  /** Each wait is `intervalMs` times a factor between 1 - jitter and 1 + jitter. */
  readonly jitter: number
  readonly clock: Clock
  /** A number in [0, 1). */
  readonly random: () => number
  readonly onExecution: (execution: Execution) => void
}

/**
 * Runs one check for ever, on its own timer: the next wait begins when an execution has answered or timed out. There
 * is one slot. A check that ignores its signal keeps the slot: it is reported as timed out, then as hung at every
 * following turn, and no second execution begins before the first has settled. What it answers after its time is
 * dropped, for it would be older than what was reported.
 */
export class Poller {
  readonly #options: PollerOptions
  #slot: AbortController | undefined
  #slotSinceMs = 0
  #cancel: (() => void) | undefined
  #stopped = false

  constructor(options: PollerOptions) {
    this.#options = options
  }

  /** Whether an execution has not settled yet. */
  get busy(): boolean {
    return this.#slot !== undefined
  }

  /** Runs the check now, and from then on by its timer. */
  start(): void {
    this.#turn()
  }

  /** Ends the timer and aborts a running execution; nothing is reported any more. */
  stop(): void {
    this.#stopped = true
    this.#cancel?.()
    this.#slot?.abort(new DOMException('the application is closing', 'AbortError'))
  }

  #turn(): void {
    const { check, clock, timeoutMs } = this.#options
    if (this.#slot !== undefined) {
      this.#report({ kind: 'hung', durationMs: clock.nowMs() - this.#slotSinceMs })
      return
    }
    const slot = new AbortController()
    const startedMs = clock.nowMs()
    this.#slot = slot
    this.#slotSinceMs = startedMs
    let waiting = true
    this.#cancel = clock.schedule(timeoutMs, () => {
      waiting = false
      slot.abort(new DOMException(`the check did not answer within ${timeoutMs} ms`, 'TimeoutError'))
      this.#report({ kind: 'timed-out', durationMs: clock.nowMs() - startedMs })
    })
    const settle = (execution: Execution): void => {
      this.#slot = undefined
      if (!waiting || this.#stopped) return
      this.#cancel?.()
      this.#report(execution)
    }
    // The executor catches what the check throws synchronously.
    new Promise((resolve) => resolve(check({ signal: slot.signal }))).then(
      (result) => settle({ kind: 'answered', result, durationMs: clock.nowMs() - startedMs }),
      (error: unknown) => settle({ kind: 'threw', error, durationMs: clock.nowMs() - startedMs }),
    )
  }

  #report(execution: Execution): void {
    const { clock, intervalMs, jitter, random, onExecution } = this.#options
    this.#cancel = clock.schedule(intervalMs * (1 + jitter * (2 * random() - 1)), () => this.#turn())
    onExecution(execution)
  }
}
