import { inspect } from 'node:util'

const REDACTED = '[redacted]'

/**
 * A value that must not reach a log, an error or a screen. Whatever turns a Secret into text (string
 * concatenation, JSON, `util.inspect`, pino) gets `[redacted]`; only `reveal()` returns the value, so every
 * use of a secret can be found by searching for that word.
 */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The value itself. Call it where the value is handed to the driver that needs it, and nowhere else. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return REDACTED
  }

  toJSON(): string {
    return REDACTED
  }

  [inspect.custom](): string {
    return REDACTED
  }
}
