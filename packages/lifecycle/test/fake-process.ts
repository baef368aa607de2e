import type { ProcessPort } from '../src/index.ts'

/** A process whose signals a test sends, and whose end it sees. */
export class FakeProcess implements ProcessPort {
  readonly exits: number[] = []
  readonly #listeners = new Map<string, Set<(first: unknown) => void>>()

  on(event: string, listener: (first: unknown) => void): void {
    const listeners = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, listeners.add(listener))
  }

  off(event: string, listener: (first: unknown) => void): void {
    this.#listeners.get(event)?.delete(listener)
  }

  exit(code: number): void {
    this.exits.push(code)
  }

  /** Answers whether anybody listened. */
  emit(event: string, first: unknown = event): boolean {
    const listeners = [...(this.#listeners.get(event) ?? [])]
    for (const listener of listeners) listener(first)
    return listeners.length > 0
  }
}

/** A log that keeps what it is told. */
export class KeptLog {
  readonly lines: { level: string; message: string; fields: Record<string, unknown> }[] = []
  info = (fields: object, message: string) => this.#keep('info', fields, message)
  warn = (fields: object, message: string) => this.#keep('warn', fields, message)
  error = (fields: object, message: string) => this.#keep('error', fields, message)
  fatal = (fields: object, message: string) => this.#keep('fatal', fields, message)

  /** The fields of the only line with this message. */
  line(message: string): Record<string, unknown> | undefined {
    const found = this.lines.filter((line) => line.message === message)
    return found.length === 1 ? found[0]?.fields : undefined
  }

  #keep(level: string, fields: object, message: string): void {
    this.lines.push({ level, message, fields: { ...fields } })
  }
}
