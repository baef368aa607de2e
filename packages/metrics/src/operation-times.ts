/*
 * How long named operations took lately. Guarantees: of each the last 1000 measurements are kept, of at most
 * `maxOperations`, however many names there are; measuring costs one write.
 */

/** What is known of one operation. Times in ms. */
export interface OperationSummary {
  /** Ever measured; the rest is about the last 1000. */
  readonly count: number
  readonly min_ms: number
  readonly max_ms: number
  readonly average_ms: number
  readonly p95_ms: number
}

/** Of each operation. */
export const KEPT = 1000

/** The times of all operations. */
export class OperationTimes {
  readonly #maxOperations: number
  readonly #operations = new Map<string, Ring>()
  #dropped = 0

  constructor(maxOperations: number) {
    this.#maxOperations = maxOperations
  }

  /** Measurements that were left out: of operations for which there was no room, and what is no time. */
  get dropped(): number {
    return this.#dropped
  }

  /** Notes one measurement. */
  record(operation: string, ms: number): void {
    const ring = this.#operations.get(operation) ?? this.#add(operation)
    if (ring === undefined || !(ms >= 0 && ms < Number.POSITIVE_INFINITY)) this.#dropped += 1
    else ring.add(ms)
  }

  /** By name. */
  snapshot(): Readonly<Record<string, OperationSummary>> {
    return Object.fromEntries(
      [...this.#operations].flatMap(([name, ring]) => (ring.count === 0 ? [] : [[name, ring.summary()]])),
    )
  }

  #add(operation: string): Ring | undefined {
    if (typeof operation !== 'string' || operation.length > MAX_NAME) return undefined
    if (this.#operations.size >= this.#maxOperations) return undefined
    const ring = new Ring()
    this.#operations.set(operation, ring)
    return ring
  }
}

const MAX_NAME = 100

class Ring {
  readonly #times = new Float64Array(KEPT)
  count = 0

  add(ms: number): void {
    this.#times[this.count % KEPT] = ms
    this.count += 1
  }

  summary(): OperationSummary {
    const kept = this.#times.slice(0, Math.min(this.count, KEPT)).sort()
    const at = (share: number) => rounded(kept[Math.ceil(kept.length * share) - 1] ?? 0)
    return {
      count: this.count,
      min_ms: rounded(kept[0] ?? 0),
      max_ms: at(1),
      average_ms: rounded(kept.reduce((sum, ms) => sum + ms, 0) / kept.length),
      p95_ms: at(0.95),
    }
  }
}

/** To a microsecond. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000
}
