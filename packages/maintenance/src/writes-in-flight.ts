/*
 * What is being changed at this moment: handlers of requests that may change something, and work in the background that
 * says so. Counted from its beginning to its end, also when the client has left meanwhile, because it goes on then.
 */
import type { Rule } from './rule.ts'

/** One of them. */
export interface Write {
  readonly group: string | undefined
  readonly tenant: string | undefined
}

/** All of this process. As many as there are requests. */
export class WritesInFlight {
  readonly #writes = new Set<Write>()
  readonly #onEnd: () => void

  /** `onEnd` is called after each. */
  constructor(onEnd: () => void) {
    this.#onEnd = onEnd
  }

  get size(): number {
    return this.#writes.size
  }

  begin(write: Write): void {
    this.#writes.add(write)
  }

  /** A second call does nothing. */
  end(write: Write): void {
    if (this.#writes.delete(write)) this.#onEnd()
  }

  /** How many a rule is about. */
  count({ scope }: Rule): number {
    if (scope.group === undefined && scope.tenant === undefined) return this.#writes.size
    let count = 0
    for (const { group, tenant } of this.#writes) {
      if (scope.group !== undefined && scope.group !== group) continue
      // A write of nobody in particular may be one for this tenant.
      if (scope.tenant !== undefined && tenant !== undefined && scope.tenant !== tenant) continue
      count += 1
    }
    return count
  }
}
