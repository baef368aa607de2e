// Entries that wait to be written. Pure: who writes them, and when, is somebody else's.
//
// Guarantees: first in, first out; never more than `maxQueued`; what anybody can cause (`event`) never takes the last
// tenth, which is kept for what operators do (`action`). Whoever puts something there is told whether there was room.

import type { AuditRow } from './audit-entry.ts'

/** What operators do has a place where what others cause has none left. */
export type AuditWeight = 'action' | 'event'

const KEPT_FOR_ACTIONS = 0.1

/** A bounded queue. */
export class AuditQueue {
  readonly #maxQueued: number
  readonly #maxEvents: number
  #rows: AuditRow[] = []

  constructor(maxQueued: number) {
    this.#maxQueued = maxQueued
    this.#maxEvents = maxQueued - Math.ceil(maxQueued * KEPT_FOR_ACTIONS)
  }

  get size(): number {
    return this.#rows.length
  }

  /** Puts it at the end; answers whether there was room. */
  add(row: AuditRow, weight: AuditWeight): boolean {
    if (this.#rows.length >= (weight === 'action' ? this.#maxQueued : this.#maxEvents)) return false
    this.#rows.push(row)
    return true
  }

  /** Takes out the oldest, at most so many. */
  take(most: number): AuditRow[] {
    return this.#rows.splice(0, most)
  }

  /** Puts back what was taken and could not be written; answers how many newer ones had to leave for it. */
  putBack(rows: readonly AuditRow[]): number {
    const all = [...rows, ...this.#rows]
    this.#rows = all.slice(0, this.#maxQueued)
    return all.length - this.#rows.length
  }
}
