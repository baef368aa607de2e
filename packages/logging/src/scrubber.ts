// Turns what callers give the log into plain data that is safe to write: secrets by name and by form taken out, cycles
// cut, depth, breadth and length bounded. Never throws, and changes nothing of what it is given.
// It does not find a secret in a harmless place: `{ note: 'my cat is called Momo' }` stays, if that is the password.

import { describeError } from './error-description.ts'
import { MASK, MAX_TEXT, maskText } from './masked-text.ts'
import type { SecretNames } from './secret-names.ts'

/** The bounds of what one line may hold. */
export interface ScrubBounds {
  /** Objects inside objects. */
  readonly maxDepth: number
  /** Members of one object, items of one list. */
  readonly maxMembers: number
  /** Values of a line. */
  readonly maxValues: number
  /** Characters of all texts of a line together. */
  readonly maxCharacters: number
}

export const DEFAULT_BOUNDS: ScrubBounds = {
  maxDepth: 6,
  maxMembers: 50,
  maxValues: 500,
  maxCharacters: 32_768,
}

/** Longest name of a member. */
const MAX_NAME = 128

/** Makes free objects safe. */
export class Scrubber {
  readonly #names: Pick<SecretNames, 'has'>
  readonly #bounds: ScrubBounds

  constructor(names: Pick<SecretNames, 'has'>, bounds: ScrubBounds = DEFAULT_BOUNDS) {
    this.#names = names
    this.#bounds = bounds
  }

  /** A value as it may stand in a line. */
  value(given: unknown): unknown {
    return new Pass(this.#names, this.#bounds).value(given, 0)
  }

  /** The members of an object, one after the other, but for those that are skipped: nobody looks into them. */
  members(
    given: object,
    into: (name: string, value: unknown) => void,
    skips: (name: string) => boolean = () => false,
  ): void {
    try {
      new Pass(this.#names, this.#bounds).members(given, 0, into, skips)
    } catch {
      into('[unreadable]', true)
    }
  }
}

/** What is left of the bounds while one line is made. */
class Pass {
  readonly #names: Pick<SecretNames, 'has'>
  readonly #bounds: ScrubBounds
  readonly #above: object[] = []
  #values = 0
  #characters = 0

  constructor(names: Pick<SecretNames, 'has'>, bounds: ScrubBounds) {
    this.#names = names
    this.#bounds = bounds
  }

  value(given: unknown, depth: number): unknown {
    if (++this.#values > this.#bounds.maxValues) return '[more]'
    switch (typeof given) {
      case 'string':
        return this.#text(given)
      case 'number':
        return Number.isFinite(given) ? given : String(given)
      case 'boolean':
      case 'undefined':
        return given
      case 'bigint':
        return this.#text(String(given))
      case 'function':
      case 'symbol':
        return `[${typeof given}]`
      case 'object':
        return given === null ? null : this.#object(given, depth)
    }
  }

  members(
    given: object,
    depth: number,
    into: (name: string, value: unknown) => void,
    skips?: (name: string) => boolean,
  ): void {
    this.#above.push(given)
    let left = this.#bounds.maxMembers
    // Not Object.keys: of a huge object only the first names are ever made.
    for (const name in given) {
      if (!Object.hasOwn(given, name) || skips?.(name) === true) continue
      if (left === 0 || this.#isFull()) {
        into('[more]', true)
        break
      }
      left--
      const shown = maskText(name, MAX_NAME)
      this.#characters += shown.length
      into(shown, this.#member(given, name, depth))
    }
    this.#above.pop()
  }

  #isFull(): boolean {
    return this.#values >= this.#bounds.maxValues || this.#characters >= this.#bounds.maxCharacters
  }

  #member(given: object, name: string, depth: number): unknown {
    let value: unknown
    try {
      value = (given as Record<string, unknown>)[name]
    } catch {
      return '[unreadable]'
    }
    if (value !== undefined && value !== null && this.#names.has(name)) return MASK
    return this.value(value, depth + 1)
  }

  #text(given: string): string {
    const left = this.#bounds.maxCharacters - this.#characters
    if (left <= 0 && given !== '') return '[cut]'
    const text = maskText(given, Math.min(left, MAX_TEXT))
    this.#characters += text.length
    return text
  }

  #object(given: object, depth: number): unknown {
    if (this.#above.includes(given)) return '[circular]'
    if (depth > this.#bounds.maxDepth) return '[deep]'
    try {
      return this.#described(given, depth)
    } catch {
      return '[unreadable]'
    }
  }

  #described(given: object, depth: number): unknown {
    if (given instanceof Error) return this.#plain(describeError(given), depth)
    if (given instanceof Date) return Number.isNaN(given.getTime()) ? null : given.toISOString()
    if (ArrayBuffer.isView(given) || given instanceof ArrayBuffer) return `[${given.byteLength} bytes]`
    if (given instanceof Map || given instanceof Set) return `[${given.size} entries]`
    if (given instanceof URL) return this.#text(given.href)
    const { toJSON } = given as { readonly toJSON?: unknown }
    if (typeof toJSON === 'function') {
      this.#above.push(given)
      const shown = this.value(toJSON.call(given), depth + 1)
      this.#above.pop()
      return shown
    }
    if (Array.isArray(given)) return this.#list(given, depth)
    return this.#plain(given, depth)
  }

  #list(given: readonly unknown[], depth: number): unknown[] {
    this.#above.push(given)
    const { maxMembers } = this.#bounds
    const shown = given.slice(0, maxMembers).map((item) => this.value(item, depth + 1) ?? null)
    // A name and its value, as entries of headers and forms have them.
    if (given.length === 2 && typeof given[0] === 'string' && this.#names.has(given[0])) shown[1] = MASK
    if (given.length > maxMembers) shown.push(`[${given.length - maxMembers} more]`)
    this.#above.pop()
    return shown
  }

  #plain(given: object, depth: number): object {
    // Without a prototype `__proto__` is a name like any other.
    const shown: Record<string, unknown> = Object.create(null)
    this.members(given, depth, (name, value) => {
      shown[name] = value
    })
    return shown
  }
}
