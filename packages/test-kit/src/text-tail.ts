/** The end of a text that keeps growing: at most `maxLength` characters of it. */
export class TextTail {
  #text = ''
  readonly #maxLength: number

  constructor(maxLength = 65_536) {
    this.#maxLength = maxLength
  }

  append(text: string): void {
    this.#text = (this.#text + text).slice(-this.#maxLength)
  }

  toString(): string {
    return this.#text
  }
}
