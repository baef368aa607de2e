// Entries that wait to be written. Pure: who writes them, and when, is somebody else's.
//
// Guarantees: first in, first out; never more than `maxQueued`; what anybody can cause (`event`) never takes the last
// tenth, which is kept for what operators do (`action`), not even the places of what is being written at the moment.
// Whoever puts something there is told whether there was room.

import type { AuditRow } from './audit-entry.ts'

/** What operators do has a place where what others cause has none left. */
export type AuditWeight = 'action' | 'event'

const KEPT_FOR_ACTIONS = 0.1

/** A bounded queue. */
export class AuditQueue {
  readonly #maxQueued: number
  readonly #maxEvents: number
  readonly #rows: AuditRow[] = []

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

  /** The oldest, at most so many. They keep their places until they are dropped. */
  oldest(most: number): readonly AuditRow[] {
    return this.#rows.slice(0, most)
  }

  /** Takes out the oldest, at most so many; answers how many there were. */
  drop(most: number): number {
    return this.#rows.splice(0, most).length
  }
}
