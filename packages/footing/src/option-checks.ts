import { LONGEST_TIMER_MS } from './clock.ts'

const MAX_SHOWN = 100

/** Builds the coded error of a package for an option that is refused. `received` is a short text. */
export type Invalid = (option: string, expected: string, received: string) => Error

/**
 * Checks the options of one package. Every method answers the value it was given, when that fits, and throws the
 * package's own error otherwise; a default is the caller's business (`options.max ?? 20`), so that 0 and `false`
 * are values. All limits are inclusive.
 */
export class OptionChecks {
  readonly #invalid: Invalid

  constructor(invalid: Invalid) {
    this.#invalid = invalid
  }

  /** Throws the package's error. `expected` completes "must be ...". */
  refuse(option: string, expected: string, received: unknown): never {
    throw this.#invalid(option, expected, shown(received))
  }

  /** A mistyped name would leave its default in force, unnoticed. `owner` begins the name in the message. */
  onlyKnown(owner: string, given: object, accepted: readonly string[]): void {
    for (const [name, value] of Object.entries(given)) {
      if (!accepted.includes(name)) {
        this.refuse(owner + name, `left out (accepted: ${accepted.join(', ')})`, value)
      }
    }
  }

  /** An object with members, no array. */
  object<T>(option: string, value: T): T & object {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      this.refuse(option, 'an object', value)
    return value
  }

  /** A whole number. */
  count(option: string, value: unknown, min = 1, max = Number.MAX_SAFE_INTEGER): number {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
      this.refuse(option, `a whole number ${range(min, max)}`, value)
    }
    return value
  }

  /** A finite number, for shares and factors. */
  number(option: string, value: unknown, min: number, max: number): number {
    if (typeof value !== 'number' || !Number.isFinite(value) || value < min || value > max) {
      this.refuse(option, `a number ${range(min, max)}`, value)
    }
    return value
  }

  /** A number, or `Infinity` for no limit. */
  numberOrInfinity(option: string, value: unknown, min: number, max = Number.MAX_SAFE_INTEGER): number {
    if (value === Number.POSITIVE_INFINITY) return value
    if (typeof value !== 'number' || !(value >= min && value <= max)) {
      this.refuse(option, `a number ${range(min, max)}, or Infinity`, value)
    }
    return value
  }

  /** Milliseconds that a timer can hold. */
  duration(option: string, value: unknown, min = 0, max = LONGEST_TIMER_MS): number {
    if (typeof value !== 'number' || !(value >= min && value <= max)) {
      this.refuse(option, `milliseconds ${range(min, max)}`, value)
    }
    return value
  }

  /** Milliseconds that a timer can hold, or `Infinity` for no limit. */
  durationOrInfinity(option: string, value: unknown, min = 0, max = LONGEST_TIMER_MS): number {
    if (value === Number.POSITIVE_INFINITY) return value
    if (typeof value !== 'number' || !(value >= min && value <= max)) {
      this.refuse(option, `milliseconds ${range(min, max)}, or Infinity`, value)
    }
    return value
  }

  /** True or false. */
  flag(option: string, value: unknown): boolean {
    if (typeof value !== 'boolean') this.refuse(option, 'true or false', value)
    return value
  }

  /** A text of 1 to `maxLength` characters. */
  text(option: string, value: unknown, maxLength = 255): string {
    if (typeof value !== 'string' || value === '' || value.length > maxLength) {
      this.refuse(option, `a text of 1 to ${maxLength} characters`, value)
    }
    return value
  }

  /** One of a few words. */
  oneOf<const T extends string>(option: string, value: unknown, accepted: readonly T[]): T {
    const found = accepted.find((word) => word === value)
    if (found === undefined) this.refuse(option, accepted.map((word) => `'${word}'`).join(' or '), value)
    return found
  }

  /** A function, or undefined when it is left out. */
  callable<T>(option: string, value: T): T {
    if (value !== undefined && typeof value !== 'function') this.refuse(option, 'a function', value)
    return value
  }

  /** A function that answers at once, or undefined when it is left out. A promise would pass for any answer. */
  synchronous<T>(option: string, value: T): T {
    this.callable(option, value)
    if (Object.prototype.toString.call(value) === '[object AsyncFunction]') {
      this.refuse(option, 'a function that is not async', value)
    }
    return value
  }

  /** An object with these methods, or undefined when it is left out. */
  having<T>(option: string, value: T, methods: readonly (keyof NonNullable<T> & string)[]): T {
    if (value === undefined) return value
    const members = Object(value) as Record<string, unknown>
    if (!methods.every((method) => typeof members[method] === 'function')) {
      this.refuse(option, `an object with ${methods.join(', ')}`, value)
    }
    return value
  }
}

function range(min: number, max: number): string {
  if (max >= Number.MAX_SAFE_INTEGER) return `of at least ${min}`
  return `from ${min} to ${max}`
}

function shown(value: unknown): string {
  if (typeof value === 'string') {
    return JSON.stringify(value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}...` : value)
  }
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return String(value)
}
