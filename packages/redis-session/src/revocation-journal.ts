/*
 * Ends of sessions that Redis could not be told. Guarantees: from the moment on at which one is noted, this process
 * believes the session no more, whatever Redis says; Redis is told in the turn in which it is there again; an entry is
 * forgotten when Redis has confirmed it, and not before. It is in the memory of this process: an end that is noted by a
 * process that is killed before Redis is back is lost.
 */
import type { Address } from './secret-ring.ts'

/** One session, or all of a user's list that were made until then. */
export type Revocation =
  | { readonly kind: 'session'; readonly address: Address }
  | {
      readonly kind: 'user'
      readonly list: Address
      readonly userId: string
      readonly except: string | undefined
      readonly untilMs: number
    }

/** Beyond so many a logout is refused rather than forgotten. */
export const MAX_JOURNAL = 10_000

export class RevocationJournal {
  readonly #entries = new Map<string, Revocation>()
  readonly #maximum: number

  constructor(maximum: number = MAX_JOURNAL) {
    this.#maximum = maximum
  }

  get size(): number {
    return this.#entries.size
  }

  /** Answers false when there is no room. */
  note(revocation: Revocation): boolean {
    const key = keyOf(revocation)
    if (this.#entries.size >= this.#maximum && !this.#entries.has(key)) return false
    this.#entries.set(key, revocation)
    return true
  }

  /** Whether a session has ended, whatever Redis or a cookie says. */
  covers(hash: string, userId: string | undefined, createdMs: number): boolean {
    if (this.#entries.size === 0) return false
    if (this.#entries.has(`session ${hash}`)) return true
    if (userId === undefined) return false
    for (const entry of this.#entries.values()) {
      if (entry.kind !== 'user' || entry.userId !== userId) continue
      if (hash !== entry.except && createdMs <= entry.untilMs) return true
    }
    return false
  }

  /** Tells each to `tell`, all at once; forgets those it resolves for. Answers whether none is left. */
  async replay(tell: (revocation: Revocation) => Promise<unknown>): Promise<boolean> {
    const told = [...this.#entries].map(async ([key, revocation]) => {
      try {
        await tell(revocation)
      } catch {
        return
      }
      // A later one of the same name is another one.
      if (this.#entries.get(key) === revocation) this.#entries.delete(key)
    })
    await Promise.all(told)
    return this.#entries.size === 0
  }
}

function keyOf(revocation: Revocation): string {
  return revocation.kind === 'session' ? `session ${revocation.address.hash}` : `user ${revocation.list.hash}`
}
