/*
 * Which names (keys, tags) were declared outdated while loads were on their way.
 *
 * A load that began before an invalidation may carry what was there before it: its result may be kept, but not
 * called fresh. Names are remembered only while a load that began earlier is still out, at most `maxNames` of
 * them; beyond that all loads then out count as outdated, which costs a reload and never freshness.
 */

/** Loads remembered as being out; one more, and the oldest of them counts as outdated. */
const MAX_OUT = 10_000

export class ChangeLog {
  readonly #maxNames: number
  /** Name -> order of its last change. Re-inserted on change, so the first is the oldest. */
  readonly #changes = new Map<string, number>()
  /** Orders of the loads that are out, oldest first. */
  readonly #out = new Set<number>()
  #order = 0
  /** Loads that began before this order are outdated whatever their names. */
  #floor = 0

  constructor(maxNames: number) {
    this.#maxNames = maxNames
  }

  get size(): number {
    return this.#changes.size
  }

  /** A number larger than all before it. */
  next(): number {
    this.#order += 1
    return this.#order
  }

  /** A load begins. Give the number back to `end` when it has settled. */
  begin(): number {
    if (this.#out.size >= MAX_OUT) {
      const [oldest = 0] = this.#out
      this.#floor = Math.max(this.#floor, oldest + 1)
      this.end(oldest)
    }
    const order = this.next()
    this.#out.add(order)
    return order
  }

  end(order: number): void {
    this.#out.delete(order)
    const [oldest] = this.#out
    for (const [name, changedAt] of this.#changes) {
      if (oldest !== undefined && changedAt > oldest) break
      this.#changes.delete(name)
    }
  }

  /** Whatever was read before now under this name is outdated. */
  change(name: string): void {
    const order = this.next()
    if (this.#out.size === 0) return
    this.#changes.delete(name)
    if (this.#changes.size >= this.#maxNames) {
      this.#changes.clear()
      this.#floor = order
      return
    }
    this.#changes.set(name, order)
  }

  /** Whether `name` changed after the load with this order began. */
  changedSince(order: number, name: string): boolean {
    if (order < this.#floor) return true
    const changedAt = this.#changes.get(name)
    return changedAt !== undefined && changedAt > order
  }
}
