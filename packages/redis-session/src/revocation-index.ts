/* Which sessions have ended: found by the names that a session has, and by the lists on which it may be. */
import type { Address } from './secret-ring.ts'

/** One session; one that is on a user's list; or all of that list that were made until then. */
export type Revocation =
  | { readonly kind: 'session'; readonly address: Address }
  | { readonly kind: 'listed'; readonly list: Address; readonly hash: string }
  | {
      readonly kind: 'user'
      readonly list: Address
      readonly except: string | undefined
      readonly untilMs: number
    }

/** A session that is asked about. */
export interface Suspect {
  /** Its name, or all that it may have had. */
  readonly hashes: readonly string[]
  readonly createdMs: number
  /** The lists of its user; asked for only when it matters. */
  readonly listsOf: () => readonly Address[]
}

export class RevocationIndex {
  /** Those of the first two kinds, by session. */
  readonly #sessions = new Map<string, Set<Revocation>>()
  /** Those of the last kind, by list. */
  readonly #lists = new Map<string, Set<Revocation>>()

  add(revocation: Revocation): void {
    const [index, key] = this.#placeOf(revocation)
    index.set(key, (index.get(key) ?? new Set()).add(revocation))
  }

  remove(revocation: Revocation): void {
    const [index, key] = this.#placeOf(revocation)
    const same = index.get(key)
    same?.delete(revocation)
    if (same?.size === 0) index.delete(key)
  }

  covers({ hashes, createdMs, listsOf }: Suspect): boolean {
    if (this.#sessions.size === 0 && this.#lists.size === 0) return false
    const own = hashes.flatMap((hash) => [...(this.#sessions.get(hash) ?? [])])
    if (own.length === 0 && this.#lists.size === 0) return false
    const lists = listsOf().map(({ hash }) => hash)
    const isOver = (entry: Revocation): boolean => {
      switch (entry.kind) {
        case 'session':
          return true
        case 'listed':
          return lists.includes(entry.list.hash)
        case 'user':
          return createdMs <= entry.untilMs && !(entry.except && hashes.includes(entry.except))
      }
    }
    return own.some(isOver) || lists.some((list) => [...(this.#lists.get(list) ?? [])].some(isOver))
  }

  #placeOf(revocation: Revocation): [Map<string, Set<Revocation>>, string] {
    if (revocation.kind === 'user') return [this.#lists, revocation.list.hash]
    return [this.#sessions, revocation.kind === 'session' ? revocation.address.hash : revocation.hash]
  }
}
