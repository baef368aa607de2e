/*
 * Who is at work in this process, and who waits for it.
 *
 * Guarantees: a key is held by one at a time; those who wait for a key get it in the order in which they came, and
 * wait for nothing but that key; what nobody holds takes no memory. Every step is O(1).
 *
 * Does not know time, processes or requests, and does not limit itself: who takes and lines up decides how many may.
 */

export class Slots<Waiter> {
  /** The line of every key that is held; `undefined` while nobody waits. */
  readonly #lines = new Map<string, Set<Waiter> | undefined>()
  #waiting = 0

  /** Keys that are held. */
  get held(): number {
    return this.#lines.size
  }

  /** All who wait, for any key. */
  get waiting(): number {
    return this.#waiting
  }

  isHeld(key: string): boolean {
    return this.#lines.has(key)
  }

  /** Takes a key that nobody holds; answers whether it did. */
  take(key: string): boolean {
    if (this.#lines.has(key)) return false
    this.#lines.set(key, undefined)
    return true
  }

  /** How many wait for a key. */
  waitingFor(key: string): number {
    return this.#lines.get(key)?.size ?? 0
  }

  /** Puts somebody at the end of the line of a key that is held. */
  lineUp(key: string, waiter: Waiter): void {
    const line = this.#lines.get(key) ?? new Set()
    this.#lines.set(key, line)
    line.add(waiter)
    this.#waiting += 1
  }

  /** Lets somebody step out of the line; answers whether it stood there. */
  stepOut(key: string, waiter: Waiter): boolean {
    const stood = this.#lines.get(key)?.delete(waiter) ?? false
    if (stood) this.#waiting -= 1
    return stood
  }

  /** The holder is done: the first of the line holds the key now and is answered; without a line it is free. */
  pass(key: string): Waiter | undefined {
    const line = this.#lines.get(key)
    if (line === undefined || line.size === 0) {
      this.#lines.delete(key)
      return undefined
    }
    const [first] = line
    this.stepOut(key, first as Waiter)
    return first
  }
}
