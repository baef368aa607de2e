/*
 * The rows of a metric with labels. Guarantees: at most `maxSeries` of them, and one more for all that come after;
 * a row, once made, stays where it is.
 */
import type { ResolvedDefinition } from './definition.ts'
import { LabelSpace, OTHER } from './label-space.ts'
import type { Row } from './row.ts'

/** Words are made into series ahead of time up to so many. */
const MAX_AHEAD = 100

/** Told the metric and the label for which there was no room; `*` stands for the metric as a whole. */
export type Overflowed = (metric: string, label: string) => void

/** The series of one metric. */
export class Series<R extends Row> {
  readonly #space: LabelSpace
  readonly #rows = new Map<number, R>()
  readonly #make: (labels: Readonly<Record<string, string>>) => R
  readonly #maxSeries: number
  readonly #full: () => void
  #others: R | undefined

  constructor(
    { name, labels, maxSeries }: ResolvedDefinition,
    make: (labels: Readonly<Record<string, string>>) => R,
    overflowed: Overflowed,
  ) {
    this.#space = new LabelSpace(labels, (label) => overflowed(name, label))
    this.#make = make
    this.#maxSeries = maxSeries
    this.#full = () => overflowed(name, '*')
  }

  /** The row of these labels. */
  at(labels: Readonly<Record<string, unknown>>): R {
    const number = this.#space.numberOf(labels)
    return this.#rows.get(number) ?? this.#add(number)
  }

  /** Makes the rows of all words ahead of time, where there are few, so that the first count of each is an increase. */
  makeAhead(): void {
    const numbers = this.#space.listed(Math.min(MAX_AHEAD, this.#maxSeries))
    for (const number of numbers) if (!this.#rows.has(number)) this.#add(number)
  }

  *rows(): Generator<R, void, void> {
    yield* this.#rows.values()
    if (this.#others !== undefined) yield this.#others
  }

  #add(number: number): R {
    if (this.#rows.size >= this.#maxSeries) {
      this.#full()
      this.#others ??= this.#make(this.#space.all(OTHER))
      return this.#others
    }
    const row = this.#make(this.#space.labelsAt(number))
    this.#rows.set(number, row)
    return row
  }
}
