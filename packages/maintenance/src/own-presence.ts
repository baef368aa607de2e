/*
 * What this process tells the others about itself: the state it keeps to, and how many changes are under way that each
 * rule `drain-writes` is about. It goes along whenever the store is asked; here is decided when that cannot wait.
 */
import type { Clock } from '@holdfast/footing'
import type { Plan } from './plan.ts'
import { presenceText } from './quiescence.ts'
import type { WritesInFlight } from './writes-in-flight.ts'

/** What it works with. */
export interface OwnPresenceParts {
  readonly clock: Clock
  readonly writes: WritesInFlight
  /** Of the state that this process keeps to. */
  readonly version: () => number
  /** What is in force here by that state; undefined: nothing is. */
  readonly plan: () => Plan | undefined
  /** Whether a setting or a file says instead what is in force. */
  readonly isOverridden: () => boolean
  /** Tells it to the others. */
  readonly tell: () => void
}

/** Ends of writes that come together are told together. */
const TELL_AFTER_MS = 20
/** A process that tells others of every write would do nothing else. */
const TELL_EVERY_MS = 500

/** The presence of one process. */
export class OwnPresence {
  readonly #parts: OwnPresenceParts
  #cancel: (() => void) | undefined
  #toldMs = Number.NEGATIVE_INFINITY
  #closed = false

  constructor(parts: OwnPresenceParts) {
    this.#parts = parts
  }

  /** As it is at this moment. */
  text(): string {
    const { plan, version, writes, isOverridden } = this.#parts
    const draining: Record<string, number> = {}
    // What a file says is no rule that the others know.
    if (!isOverridden()) {
      for (const { rule, mode } of plan()?.rules ?? []) {
        if (mode === 'drain-writes') draining[rule.id] = writes.count(rule)
      }
    }
    return presenceText({ version: version(), draining })
  }

  /** A write has ended: it may have been the last one that others wait for. */
  writeEnded(): void {
    const { plan, writes } = this.#parts
    const isDone = plan()?.rules.some(({ rule, mode }) => mode === 'drain-writes' && writes.count(rule) === 0)
    if (isDone) this.tellSoon()
  }

  /** Others may be waiting for it. */
  tellSoon(): void {
    if (this.#cancel !== undefined || this.#closed) return
    const { clock, tell } = this.#parts
    const waitMs = Math.max(TELL_AFTER_MS, this.#toldMs + TELL_EVERY_MS - clock.nowMs())
    this.#cancel = clock.schedule(waitMs, () => {
      this.#cancel = undefined
      this.#toldMs = clock.nowMs()
      tell()
    })
  }

  close(): void {
    this.#closed = true
    this.#cancel?.()
  }
}
