// Has faults go on at the same time, one of each target, and tells which.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Fault, PlannedFault } from './faults.ts'

/** At the same time; more, and nobody would be left. */
const AT_ONCE = 3

export class Strikes {
  readonly #goingOn = new Map<Fault, number>()
  readonly #ends = new Set<Promise<void>>()
  readonly #counts = new Map<string, number>()
  #failures: unknown[] = []

  /** How often each fault has begun. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts
  }

  /** Faults that have begun. */
  get begun(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0)
  }

  /** What goes on, and for how long, for whoever has to say what has happened meanwhile. */
  goingOn(): string {
    const nowMs = performance.now()
    const faults = [...this.#goingOn].map(
      ([{ name }, sinceMs]) => `${name} (for ${Math.round(nowMs - sinceMs)} ms)`,
    )
    return faults.length === 0 ? 'nothing goes on' : faults.join(', ')
  }

  /**
   * Goes through the plan for as long as that, and at least until each of its faults has been. Resolves when all are over;
   * rejects when something did not come back.
   */
  async run(plan: readonly PlannedFault[], forMs: number): Promise<void> {
    const endMs = performance.now() + forMs
    const all = new Set(plan.map(({ fault: { name } }) => name))
    for (const planned of plan) {
      if (performance.now() > endMs && all.size === this.#counts.size) break
      await sleep(planned.afterMs)
      await this.#untilFree(planned.fault)
      if (this.#failures.length > 0) break
      this.#begin(planned)
    }
    await Promise.all(this.#ends)
    if (this.#failures.length > 0) throw new AggregateError(this.#failures, 'not everything came back')
  }

  async #untilFree({ target }: Fault): Promise<void> {
    const isFree = () =>
      this.#ends.size < AT_ONCE && [...this.#goingOn.keys()].every((other) => other.target !== target)
    while (!isFree()) await Promise.race(this.#ends)
  }

  #begin({ fault, chance }: PlannedFault): void {
    this.#goingOn.set(fault, performance.now())
    this.#counts.set(fault.name, (this.#counts.get(fault.name) ?? 0) + 1)
    const end = fault
      .strike(chance)
      .catch((error: unknown) => {
        this.#failures.push(error)
      })
      .finally(() => {
        this.#goingOn.delete(fault)
        this.#ends.delete(end)
      })
    this.#ends.add(end)
  }
}
