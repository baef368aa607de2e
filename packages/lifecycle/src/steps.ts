// Named work on the way down, each with a time of its own: one that hangs is named and left behind.

import type { Clock } from '@holdfast/footing'
import { DuplicateStepError, LimitError, StepTimeoutError } from './errors.ts'

/** How a step ended. */
export interface StepOutcome {
  readonly name: string
  readonly outcome: 'done' | 'failed' | 'late'
  readonly durationMs: number
  /** Of one that failed. */
  readonly error: unknown
}

interface Step {
  readonly name: string
  readonly run: () => unknown
  readonly timeoutMs: number
}

/** The most of one kind. */
export const MAX_STEPS = 100

/** The steps of one kind, in the order in which they were added. */
export class Steps {
  readonly #kind: string
  readonly #clock: Clock
  readonly #steps = new Map<string, Step>()
  #running = new Set<string>()

  constructor(kind: string, clock: Clock) {
    this.#kind = kind
    this.#clock = clock
  }

  /** Names of those that have begun and not ended. */
  get running(): readonly string[] {
    return [...this.#running]
  }

  /**
   * Adds a step; the function it returns takes it away. Raises `HOLDFAST_ERR_LIFECYCLE_DUPLICATE_STEP` and
   * `HOLDFAST_ERR_LIFECYCLE_LIMIT`.
   */
  add(name: string, run: () => unknown, timeoutMs: number): () => void {
    if (this.#steps.has(name)) throw new DuplicateStepError(this.#kind, name)
    if (this.#steps.size >= MAX_STEPS) throw new LimitError(MAX_STEPS, this.#kind)
    const step = { name, run, timeoutMs }
    this.#steps.set(name, step)
    return () => {
      // A later one of the same name is not ours to take away.
      if (this.#steps.get(name) === step) this.#steps.delete(name)
    }
  }

  /** Runs all at once. Never rejects. */
  runTogether(): Promise<readonly StepOutcome[]> {
    return Promise.all([...this.#steps.values()].map((step) => this.#run(step)))
  }

  /** Runs one after the other, the last one first. Never rejects. */
  async runBackwards(): Promise<readonly StepOutcome[]> {
    const outcomes: StepOutcome[] = []
    for (const step of [...this.#steps.values()].reverse()) outcomes.push(await this.#run(step))
    return outcomes
  }

  async #run({ name, run, timeoutMs }: Step): Promise<StepOutcome> {
    const fromMs = this.#clock.nowMs()
    const ended = (outcome: StepOutcome['outcome'], error?: unknown): StepOutcome => {
      this.#running.delete(name)
      return { name, outcome, durationMs: this.#clock.nowMs() - fromMs, error }
    }
    this.#running.add(name)
    const late = Promise.withResolvers<StepOutcome>()
    const cancel = this.#clock.schedule(timeoutMs, () =>
      late.resolve(ended('late', new StepTimeoutError(this.#kind, name, timeoutMs))),
    )
    const work = (async () => run())().then(
      () => ended('done'),
      (error: unknown) => ended('failed', error),
    )
    try {
      return await Promise.race([work, late.promise])
    } finally {
      cancel()
    }
  }
}
