/** A feature that works worse than it should. */
export interface DegradedFeature {
  readonly name: string
  readonly reason: string
  /** Since when, in ms since the Unix epoch; kept when the reason changes. */
  readonly sinceMs: number
  /** When it ends by itself, in ms since the Unix epoch; `undefined` until someone recovers it. */
  readonly untilMs: number | undefined
}

/** What became of a request to degrade: a `new` one, a `changed` one, the `same` as before, or refused as `full`. */
export type Degraded = 'new' | 'changed' | 'same' | 'full'

/** The features degraded at present, at most `maxFeatures`. It knows no clock: whoever sets an end also ends it. */
export class DegradedFeatures {
  readonly #features = new Map<string, DegradedFeature>()
  readonly #maxFeatures: number
  #refused = 0

  constructor(maxFeatures: number) {
    this.#maxFeatures = maxFeatures
  }

  /** How many were refused because the registry was full. */
  get refused(): number {
    return this.#refused
  }

  get size(): number {
    return this.#features.size
  }

  /** Notes a feature as degraded; it is degraded since the first time. */
  degrade(name: string, reason: string, untilMs: number | undefined, wallMs: number): Degraded {
    const known = this.#features.get(name)
    if (known === undefined && this.#features.size >= this.#maxFeatures) {
      this.#refused += 1
      return 'full'
    }
    const feature = { name, reason, sinceMs: known?.sinceMs ?? wallMs, untilMs }
    if (known?.reason === reason && known.untilMs === untilMs) return 'same'
    this.#features.set(name, feature)
    return known === undefined ? 'new' : 'changed'
  }

  /** Forgets a feature; answers what it was. */
  recover(name: string): DegradedFeature | undefined {
    const known = this.#features.get(name)
    this.#features.delete(name)
    return known
  }

  /** The features, in the order they were degraded. */
  list(): DegradedFeature[] {
    return [...this.#features.values()]
  }
}
