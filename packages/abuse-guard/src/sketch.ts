/**
 * A count-min sketch (Cormode and Muthukrishnan, 2005) with conservative update, in two generations of one window each:
 * how often something was seen in the last one to two windows, in memory that does not depend on how many different
 * things there are. It never says less than the truth but for the noise it takes off, and it may say more, because
 * others share its cells. So it may decide who is looked at closely; it must not decide who is blocked.
 */
const ROWS = 4
const MOST = 0xffff

/** Counts by two hashes of a thing. */
export class Sketch {
  readonly #windowMs: number
  readonly #width: number
  #present: Uint16Array
  #past: Uint16Array
  #presentTotal = 0
  #pastTotal = 0
  #window = Number.NEGATIVE_INFINITY

  /** `width` cells in each of four rows: a power of two. */
  constructor(width: number, windowMs: number) {
    this.#width = width
    this.#windowMs = windowMs
    this.#present = new Uint16Array(width * ROWS)
    this.#past = new Uint16Array(width * ROWS)
  }

  /** Adds `weight`, and answers the estimate: this generation and the last, without what others leave in every cell. */
  add(one: number, other: number, weight: number, nowMs: number): number {
    this.#turn(nowMs)
    this.#presentTotal += weight
    const present = Math.min(MOST, this.#least(this.#present, one, other) + weight)
    this.#raise(one, other, present)
    const noise = Math.floor((this.#presentTotal - weight + this.#pastTotal) / this.#width)
    return Math.max(weight, present + this.#least(this.#past, one, other) - noise)
  }

  /** Never less than what was added in the last window: nothing is taken off for others. */
  most(one: number, other: number, nowMs: number): number {
    this.#turn(nowMs)
    return this.#least(this.#present, one, other) + this.#least(this.#past, one, other)
  }

  /** Remembers more of something that was counted elsewhere; it is no noise. */
  remember(one: number, other: number, count: number, nowMs: number): void {
    this.#turn(nowMs)
    this.#raise(one, other, Math.min(MOST, this.#least(this.#present, one, other) + count))
  }

  #raise(one: number, other: number, count: number): void {
    const mask = this.#width - 1
    for (let row = 0; row < ROWS; row += 1) {
      const at = row * this.#width + ((one + Math.imul(row, other)) & mask)
      if ((this.#present[at] as number) < count) this.#present[at] = count
    }
  }

  #least(cells: Uint16Array, one: number, other: number): number {
    const mask = this.#width - 1
    let least = MOST
    for (let row = 0; row < ROWS; row += 1) {
      const count = cells[row * this.#width + ((one + Math.imul(row, other)) & mask)] as number
      if (count < least) least = count
    }
    return least
  }

  #turn(nowMs: number): void {
    const window = Math.floor(nowMs / this.#windowMs)
    if (window === this.#window) return
    const spent = this.#past
    this.#past = this.#present
    this.#pastTotal = this.#presentTotal
    this.#present = spent.fill(0)
    this.#presentTotal = 0
    if (window !== this.#window + 1) {
      this.#past.fill(0)
      this.#pastTotal = 0
    }
    this.#window = window
  }
}
