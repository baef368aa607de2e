import type { Entry } from './journal.ts'

const MAX_REMEMBERED = 100

/** What led to the last states, as far as this process has seen it: a history for where there is no journal. */
export class RememberedChanges {
  /** The latest last. */
  readonly #entries: Entry[] = []

  add(entry: Entry): void {
    this.#entries.push(entry)
    if (this.#entries.length > MAX_REMEMBERED) this.#entries.shift()
  }

  /** At most `limit` with a smaller version than `before`, the latest first. */
  history(limit: number, before: number | undefined): readonly Entry[] {
    return this.#entries
      .filter(({ version }) => before === undefined || version < before)
      .toReversed()
      .slice(0, limit)
  }
}
