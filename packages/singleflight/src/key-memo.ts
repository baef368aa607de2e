/*
 * The texts of the keys that were encoded lately. Herds ask for a few keys many times: finding a text again costs
 * half of building it. Found by the last part, which tells most keys apart, and then compared part by part with
 * a copy, because the caller may change its array.
 *
 * At most `MAX_REMEMBERED` keys are held, and only short ones; when it is full it starts afresh, which costs as
 * much as having no memo. A key with a Date must not be remembered: a Date can change and stay the same object.
 */
import type { FlightKey, FlightKeyPart } from './key.ts'

export const MAX_REMEMBERED = 1024
/** UTF-16 units in the text of a remembered key. */
export const MAX_REMEMBERED_LENGTH = 256

interface Encoded {
  readonly parts: FlightKey
  readonly text: string
}

export class KeyMemo {
  readonly #byLastPart = new Map<FlightKeyPart, Encoded>()

  get size(): number {
    return this.#byLastPart.size
  }

  recall(parts: FlightKey): string | undefined {
    const { length } = parts
    const known = this.#byLastPart.get(parts[length - 1])
    if (known === undefined || known.parts.length !== length) return undefined
    for (let place = 0; place < length; place++) {
      if (parts[place] !== known.parts[place]) return undefined
    }
    return known.text
  }

  remember(parts: FlightKey, text: string): void {
    if (text.length > MAX_REMEMBERED_LENGTH) return
    if (this.#byLastPart.size >= MAX_REMEMBERED) this.#byLastPart.clear()
    this.#byLastPart.set(parts[parts.length - 1], { parts: [...parts], text })
  }
}
