import type { EncodedKey } from './key.ts'
import type { Operation } from './operation.ts'
import type { Terms } from './options.ts'
import type { Refusal } from './refusal.ts'

/** What an attempt comes to. */
export type Outcome = Operation | Refusal

/**
 * A caller between its arrival and the beginning of its operation. `lined-up`: waits for this process; `asking`: it
 * is its turn here, and Redis is asked; `pausing`: another process is at work, and Redis is asked again later.
 */
export class Attempt {
  readonly key: EncodedKey
  readonly terms: Terms
  /** When it is told of the conflict at the latest, on the clock. */
  readonly deadlineMs: number
  state: 'lined-up' | 'asking' | 'pausing' = 'asking'
  cancelTimer: (() => void) | undefined
  readonly #leave: (attempt: Attempt, cause: unknown) => void
  #outcome: Outcome | undefined
  #told: PromiseWithResolvers<Outcome> | undefined

  constructor(
    key: EncodedKey,
    terms: Terms,
    nowMs: number,
    leave: (attempt: Attempt, cause: unknown) => void,
  ) {
    this.key = key
    this.terms = terms
    this.deadlineMs = terms.maxWaiting === 0 ? nowMs : nowMs + terms.maxWaitMs
    this.#leave = leave
  }

  /** Undefined while nobody knows. */
  get outcome(): Outcome | undefined {
    return this.#outcome
  }

  /** Never rejects. */
  whenOver(): Promise<Outcome> {
    if (this.#outcome !== undefined) return Promise.resolve(this.#outcome)
    this.#told ??= Promise.withResolvers<Outcome>()
    return this.#told.promise
  }

  /** The caller does not want it any more. */
  leave(cause: unknown): void {
    this.#leave(this, cause)
  }

  settle(outcome: Outcome): void {
    this.cancelTimer?.()
    this.cancelTimer = undefined
    this.#outcome = outcome
    this.#told?.resolve(outcome)
  }
}
