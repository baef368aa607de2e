/*
 * The numbers of one series. A recorder holds the row itself, so that recording looks nothing up. Guarantees: what is no
 * number, or would make a counter fall, is left out and counted as refused; a row that was reset goes on counting.
 */
import { labelText } from './label-text.ts'

/** Told when a value was left out. */
export type Refused = () => void

/** The trace that stands for a bucket. */
export interface Exemplar {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  readonly wallMs: number
}

/** One series. */
export class Row {
  readonly labels: Readonly<Record<string, string>>
  /** `a="1",b="2"`, escaped; empty without labels. */
  readonly text: string

  constructor(labels: Readonly<Record<string, string>>) {
    this.labels = labels
    this.text = labelText(labels)
  }
}

/** A series of a counter. */
export class CounterRow extends Row {
  #value = 0
  readonly #refused: Refused

  constructor(labels: Readonly<Record<string, string>>, refused: Refused) {
    super(labels)
    this.#refused = refused
  }

  get value(): number {
    return this.#value
  }

  /** Adds `by`, 1 by default; what is negative or no number is left out. */
  inc(by = 1): void {
    if (Number.isFinite(by) && by >= 0) this.#value += by
    else this.#refused()
  }

  reset(): void {
    this.#value = 0
  }
}

/** A series of a gauge. */
export class GaugeRow extends Row {
  #value = 0
  readonly #refused: Refused

  constructor(labels: Readonly<Record<string, string>>, refused: Refused) {
    super(labels)
    this.#refused = refused
  }

  get value(): number {
    return this.#value
  }

  /** `NaN` says that it is not known. */
  set(value: number): void {
    if (typeof value === 'number') this.#value = value
    else this.#refused()
  }

  /** Adds `by`, 1 by default. */
  inc(by = 1): void {
    if (Number.isFinite(by)) this.#value += by
    else this.#refused()
  }

  /** Takes `by` away, 1 by default. */
  dec(by = 1): void {
    if (Number.isFinite(by)) this.#value -= by
    else this.#refused()
  }

  reset(): void {
    this.#value = 0
  }
}

/** A series of a histogram. */
export class HistogramRow extends Row {
  readonly bounds: Float64Array
  /** The observations in each bucket, not in those below; the last is that of all that is larger. */
  readonly counts: Float64Array
  /** The newest exemplar of each bucket, where there is any. */
  exemplars: (Exemplar | undefined)[] | undefined
  #sum = 0
  readonly #refused: Refused

  constructor(labels: Readonly<Record<string, string>>, bounds: Float64Array, refused: Refused) {
    super(labels)
    this.bounds = bounds
    this.counts = new Float64Array(bounds.length + 1)
    this.#refused = refused
  }

  get sum(): number {
    return this.#sum
  }

  get count(): number {
    return this.counts.reduce((sum, count) => sum + count, 0)
  }

  /** Counts one observation; what is no number is left out. */
  observe(value: number, exemplar?: Omit<Exemplar, 'value'>): void {
    // Infinity would stay in the sum for ever.
    if (!Number.isFinite(value)) {
      this.#refused()
      return
    }
    const { bounds, counts } = this
    const { length } = bounds
    let at = 0
    while (at < length && value > (bounds[at] ?? 0)) at += 1
    counts[at] = (counts[at] ?? 0) + 1
    this.#sum += value
    if (exemplar !== undefined) {
      this.exemplars ??= []
      this.exemplars[at] = { ...exemplar, value }
    }
  }

  reset(): void {
    this.counts.fill(0)
    this.#sum = 0
    this.exemplars = undefined
  }
}
