/*
 * What was made of a text, so that it is made once while the text comes again and again. Two generations: when the young
 * one is full it becomes the old one, and what is asked for moves to the young one. So there are at most twice as many
 * as `maximum`, and what is in use stays.
 */
export class Memo<Value> {
  readonly #maximum: number
  #young = new Map<string, Value>()
  #old = new Map<string, Value>()

  constructor(maximum: number) {
    this.#maximum = maximum
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(text: string): Value | undefined {
    const young = this.#young.get(text)
    if (young !== undefined) return young
    const old = this.#old.get(text)
    if (old !== undefined) this.set(text, old)
    return old
  }

  set(text: string, value: Value): void {
    this.#young.set(text, value)
    if (this.#young.size < this.#maximum) return
    this.#old = this.#young
    this.#young = new Map()
  }
}
