/**
 * How often each of a fixed number of entries happened within a window that slides. The window is cut into twelve
 * slots; the sum is that of the present slot and the eleven before it. So it never counts anything older than the window
 * (what it says was really there within one window), and it sees everything of the last eleven twelfths of it. All memory
 * is allocated at once, and nothing is done while nothing happens.
 */
const SLOTS = 12

/** Sums by the number of an entry. */
export class WindowCounts {
  readonly #slotMs: number
  readonly #slots: Uint32Array
  readonly #totals: Uint32Array
  /** The number of the slot that was written last. */
  readonly #latest: Float64Array

  constructor(entries: number, windowMs: number) {
    this.#slotMs = windowMs / SLOTS
    this.#slots = new Uint32Array(entries * SLOTS)
    this.#totals = new Uint32Array(entries)
    this.#latest = new Float64Array(entries).fill(Number.NEGATIVE_INFINITY)
  }

  /** Adds, and answers the sum. */
  add(entry: number, weight: number, nowMs: number): number {
    const total = this.total(entry, nowMs) + weight
    const at = entry * SLOTS + ringOf(this.#latest[entry] as number)
    this.#slots[at] = (this.#slots[at] as number) + weight
    this.#totals[entry] = total
    return total
  }

  /** The sum at `nowMs`. */
  total(entry: number, nowMs: number): number {
    const slot = Math.floor(nowMs / this.#slotMs)
    const latest = this.#latest[entry] as number
    if (slot <= latest) return this.#totals[entry] as number
    if (slot - latest >= SLOTS) {
      this.clear(entry)
      this.#latest[entry] = slot
      return 0
    }
    let total = this.#totals[entry] as number
    for (let next = latest + 1; next <= slot; next += 1) {
      const at = entry * SLOTS + ringOf(next)
      total -= this.#slots[at] as number
      this.#slots[at] = 0
    }
    this.#totals[entry] = total
    this.#latest[entry] = slot
    return total
  }

  /** Forgets everything about an entry. */
  clear(entry: number): void {
    this.#slots.fill(0, entry * SLOTS, (entry + 1) * SLOTS)
    this.#totals[entry] = 0
    this.#latest[entry] = Number.NEGATIVE_INFINITY
  }
}

function ringOf(slot: number): number {
  return slot % SLOTS
}
