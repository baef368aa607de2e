import { CircuitBreaker, type Transition } from '@holdfast/circuit-breaker'
import type { Clock } from '@holdfast/footing'
import { DatabaseProbe } from './database-probe.ts'
import type { GateLog } from './gate.ts'
import type { BreakerOptions } from './options.ts'

/** What the watch needs. */
export interface OutageWatchParts {
  readonly name: string
  readonly clock: Clock
  readonly random: () => number
  readonly breaker: Required<BreakerOptions>
  /** Asks the database on a connection of its own. */
  readonly ask: (signal: AbortSignal) => Promise<unknown>
  readonly log: GateLog | undefined
  /** The database counts as gone from now on. */
  readonly onOpen: () => void
}

/** When a refused caller may try again, in ms. */
const RETRY_AFTER_MS = 1000
/** Work that has not ended for so long, while others wait or to fail then, makes the database suspect, in ms. */
export const SUSPECT_AFTER_MS = 500

/**
 * Whether the database is there: a breaker that work opens by failing, and a probe that alone closes it. While it is
 * open the probe asks by timer; while it is closed, once, when work does not end and others wait in vain, before the
 * time-outs of the work would tell, or when work fails after a long time.
 */
export class OutageWatch {
  readonly breaker: CircuitBreaker
  readonly #parts: OutageWatchParts
  readonly #probe: DatabaseProbe
  /** When work last ended well. */
  #answeredMs: number

  constructor(parts: OutageWatchParts) {
    const { name, clock, random, breaker, ask } = parts
    this.#parts = parts
    this.#answeredMs = clock.nowMs()
    this.breaker = new CircuitBreaker(name, {
      clock,
      random,
      failureThreshold: breaker.failureThreshold,
      openMs: breaker.openMs,
      failureRate: Number.POSITIVE_INFINITY,
      // The pool bounds how many come back at once.
      rampMs: 0,
      probing: 'manual',
      onTransition: (transition) => this.#changed(transition),
    })
    this.#probe = new DatabaseProbe({
      ask,
      clock,
      random,
      intervalMs: breaker.probeIntervalMs,
      timeoutMs: breaker.probeTimeoutMs,
      onResult: (answered, error) => this.#probed(answered, error),
    })
  }

  /** Whether work is kept from the database. */
  get isOpen(): boolean {
    return this.breaker.retryAfterMs() > 0
  }

  /** What to tell a caller who is refused: the probe finds the database well long before `openMs` is over. */
  get retryAfterMs(): number {
    return Math.max(RETRY_AFTER_MS, 2 * this.#parts.breaker.probeIntervalMs)
  }

  /** Work has ended well. */
  answered(nowMs: number): void {
    this.#answeredMs = nowMs
  }

  /** Work does not end, or not well: asked at once, the database says whether it is still there. */
  suspect(nowMs: number): void {
    if (nowMs - this.#answeredMs >= SUSPECT_AFTER_MS && !this.isOpen) this.#probe.once()
  }

  /** Leaves no timer and no question behind. */
  close(): void {
    this.#probe.close()
    this.breaker.close()
  }

  #probed(answered: boolean, error: unknown): void {
    const { breaker } = this
    if (breaker.state === 'closed') {
      const why = error instanceof Error ? error.message : String(error)
      if (!answered) breaker.trip(`work does not end, and a probe failed: ${why}`)
      return
    }
    // Asked for only now, so that a probe that fails changes no state, and nobody reads of it in the log.
    const permit = answered ? breaker.tryAcquireProbe() : undefined
    if (permit !== undefined) breaker.settle(permit, 'success')
  }

  #changed({ to, reason, cause }: Transition): void {
    const { name, log, clock, onOpen } = this.#parts
    if (to === 'open') {
      log?.warn({ pool: name, cause, reason }, `pool "${name}" is closed off: ${reason}`)
      onOpen()
      this.#probe.start()
    } else if (to === 'closed') {
      log?.info({ pool: name, cause }, `pool "${name}" is open for work again`)
      this.#probe.stop()
      this.#answeredMs = clock.nowMs()
    }
  }
}
