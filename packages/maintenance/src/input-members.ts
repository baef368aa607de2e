import { inputs } from './inputs.ts'
import { lineOf, MOMENT, momentOf } from './rule.ts'

/** The members of a body or a query, each read as what it has to be. Raises `HOLDFAST_ERR_MAINTENANCE_RULE`. */
export class InputMembers {
  readonly #given: Readonly<Record<string, unknown>>

  private constructor(given: Readonly<Record<string, unknown>>) {
    this.#given = given
  }

  /** No body at all is one without members. */
  static of(given: unknown): InputMembers {
    if (given === undefined || given === null) return new InputMembers({})
    return new InputMembers(inputs.object('body', given as Record<string, unknown>))
  }

  onlyKnown(names: readonly string[]): void {
    inputs.onlyKnown('', this.#given, names)
  }

  /** Whether it is there; null stands for leaving it out. */
  has(name: string): boolean {
    return this.get(name) !== undefined
  }

  get(name: string): unknown {
    return this.#given[name] ?? undefined
  }

  text(name: string): string | undefined {
    const value = this.get(name)
    return value === undefined ? undefined : inputs.text(name, value, 1000)
  }

  line(name: string): string | undefined {
    const value = this.text(name)
    return value === undefined ? undefined : lineOf(name, value)
  }

  /** A moment as text; a number could be seconds or milliseconds. */
  moment(name: string): string | undefined {
    const value = this.get(name)
    if (value === undefined) return undefined
    if (typeof value !== 'string') return inputs.refuse(name, MOMENT, value)
    momentOf(name, value)
    return value
  }

  flag(name: string): boolean | undefined {
    const value = this.get(name)
    return value === undefined ? undefined : inputs.flag(name, value)
  }

  /** A whole number, also as the text of a query. */
  number(name: string, min: number, max = Number.MAX_SAFE_INTEGER): number | undefined {
    const value = this.get(name)
    if (value === undefined) return undefined
    const isText = typeof value === 'string' && /^\d{1,16}$/.test(value)
    return inputs.count(name, isText ? Number(value) : value, min, max)
  }
}
