/*
 * The series that a metric can have, numbered. Guarantees: values never collide, because a series is a number and no
 * text that is put together; there are at most so many values of each label as its rule says, plus `other` and `none`;
 * listed and reserved values always have their place. It does not bound the product of all labels: the metric does.
 */
import { isValue, type LabelRule, type LabelRules } from './definition.ts'

/** What a value is called for which there is no place. */
export const OTHER = 'other'
/** What a label is called that nothing was said about. */
export const NONE = 'none'

/** The numbers of the series of one metric. */
export class LabelSpace {
  readonly #axes: readonly Axis[]

  /** `overflowed` is told the label whenever a value found no place. */
  constructor(rules: LabelRules, overflowed: (label: string) => void) {
    this.#axes = Object.entries(rules).map(([name, rule]) => new Axis(name, rule, () => overflowed(name)))
  }

  /** The number of the series. */
  numberOf(labels: Readonly<Record<string, unknown>>): number {
    let number = 0
    for (const axis of this.#axes) number = number * axis.size + axis.placeOf(labels[axis.name])
    return number
  }

  /** What the series of that number is called. */
  labelsAt(number: number): Readonly<Record<string, string>> {
    const values: [string, string][] = []
    let rest = number
    for (const axis of this.#axes.toReversed()) {
      values.push([axis.name, axis.valueAt(rest % axis.size)])
      rest = Math.floor(rest / axis.size)
    }
    return Object.fromEntries(values.reverse())
  }

  /** One value in every label. */
  all(value: string): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#axes.map(({ name }) => [name, value]))
  }

  /** The numbers of all series of listed words; none where a label is open, or where they would be more than `max`. */
  listed(max: number): readonly number[] {
    let numbers = [0]
    for (const { size, open } of this.#axes) {
      if (open || numbers.length * (size - FIRST_WORD) > max) return []
      const words = Array.from({ length: size - FIRST_WORD }, (_, at) => at + FIRST_WORD)
      numbers = numbers.flatMap((number) => words.map((word) => number * size + word))
    }
    return numbers
  }
}

/** `other` and `none` come before it. */
const FIRST_WORD = 2

/** One label: its values in the order of their places; `other` and `none` have the first two. */
class Axis {
  readonly name: string
  /** As many places as there will ever be. */
  readonly size: number
  readonly #places = new Map<unknown, number>()
  readonly #values: string[] = [OTHER, NONE]
  readonly open: boolean
  readonly #overflowed: () => void

  constructor(name: string, rule: LabelRule, overflowed: () => void) {
    this.name = name
    this.#overflowed = overflowed
    const most = 'max' in rule ? rule.max : 0
    const listed = 'max' in rule ? (rule.reserved ?? []) : rule
    this.#places.set(OTHER, 0).set(NONE, 1).set(undefined, 1)
    for (const value of listed) this.#add(value)
    this.open = most > 0
    this.size = this.#values.length + most
  }

  placeOf(value: unknown): number {
    const known = this.#places.get(value)
    if (known !== undefined) return known
    if (this.open && this.#values.length < this.size && isValue(value)) return this.#add(value)
    this.#overflowed()
    return 0
  }

  valueAt(place: number): string {
    return this.#values[place] ?? OTHER
  }

  #add(value: string): number {
    const known = this.#places.get(value)
    if (known !== undefined) return known
    const place = this.#values.push(value) - 1
    this.#places.set(value, place)
    return place
  }
}
