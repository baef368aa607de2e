/*
 * Ends of sessions that Redis could not be told. Guarantees: from the moment on at which one is noted, this process
 * believes the session no more, whatever Redis says; Redis is told before this process uses it again; an entry is
 * forgotten when Redis has confirmed it, and not before. With a log an end is noted only when the log has kept it, and
 * those of other processes, also of killed ones, count like one's own as soon as they were read. Without one an end
 * that is noted by a process that is killed before Redis is back is lost.
 */
import type { LogEntry, RevocationLog } from './revocation-log.ts'
import { type Address, isHash } from './secret-ring.ts'

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

/** Beyond so many a logout is refused rather than forgotten. */
export const MAX_JOURNAL = 10_000
/** So many are told at the same time. */
const AT_ONCE = 200

export interface JournalSettings {
  readonly log?: RevocationLog | undefined
  /** Differs in every process. */
  readonly owner: string
  readonly maximum?: number
}

export class RevocationJournal {
  readonly #log: RevocationLog | undefined
  readonly #owner: string
  readonly #maximum: number
  readonly #entries = new Map<string, Revocation>()
  /** Those of the first two kinds, by session. */
  readonly #sessions = new Map<string, Set<Revocation>>()
  /** Those of the last kind, by list. */
  readonly #lists = new Map<string, Set<Revocation>>()

  constructor({ log, owner, maximum = MAX_JOURNAL }: JournalSettings) {
    this.#log = log
    this.#owner = owner
    this.#maximum = maximum
  }

  get size(): number {
    return this.#entries.size
  }

  /** Answers false when there is no room; rejects when the log cannot keep it. Both times this process knows of it. */
  async note(revocation: Revocation): Promise<boolean> {
    const name = this.#nameOf(revocation)
    if (!this.#add(name, revocation)) return false
    await this.#log?.append({ name, text: JSON.stringify({ v: 1, ...revocation }) })
    return true
  }

  /** Reads what others have noted; answers whether that was all. */
  async learn(): Promise<boolean> {
    const entries = (await this.#log?.read(this.#maximum)) ?? []
    let isAll = entries.length < this.#maximum
    for (const entry of entries) {
      const revocation = revocationOf(entry)
      if (revocation !== undefined && !this.#add(entry.name, revocation)) isAll = false
    }
    return isAll
  }

  /**
   * Whether a session has ended, whatever Redis or a cookie says; by the one name that it has, or all that it may have
   * had. `listsOf` is asked only when it matters.
   */
  covers(hashes: readonly string[], createdMs: number, listsOf: () => readonly Address[]): boolean {
    if (this.#entries.size === 0) return false
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

  /** Tells each to `tell`, some at a time; forgets those it resolves for. Answers how many those were. */
  async replay(tell: (revocation: Revocation) => Promise<unknown>): Promise<number> {
    const entries = [...this.#entries]
    let told = 0
    for (let at = 0; at < entries.length; at += AT_ONCE) {
      const some = entries.slice(at, at + AT_ONCE)
      const results = await Promise.allSettled(some.map(async ([, revocation]) => tell(revocation)))
      const done = some.filter((_, place) => results[place]?.status === 'fulfilled')
      // A later one of the same name is another one.
      const names = done.flatMap(([name, entry]) => (this.#remove(name, entry) ? [name] : []))
      told += names.length
      // What is told twice does no harm, so a log that forgets late does none.
      await this.#log?.remove(names).catch(() => undefined)
    }
    return told
  }

  #add(name: string, revocation: Revocation): boolean {
    const before = this.#entries.get(name)
    if (before === undefined && this.#entries.size >= this.#maximum) return false
    if (before !== undefined) this.#remove(name, before)
    this.#entries.set(name, revocation)
    const [index, key] = this.#indexOf(revocation)
    index.set(key, (index.get(key) ?? new Set()).add(revocation))
    return true
  }

  #remove(name: string, revocation: Revocation): boolean {
    if (this.#entries.get(name) !== revocation) return false
    this.#entries.delete(name)
    const [index, key] = this.#indexOf(revocation)
    const same = index.get(key)
    same?.delete(revocation)
    if (same?.size === 0) index.delete(key)
    return true
  }

  #indexOf(revocation: Revocation): [Map<string, Set<Revocation>>, string] {
    if (revocation.kind === 'user') return [this.#lists, revocation.list.hash]
    return [this.#sessions, revocation.kind === 'session' ? revocation.address.hash : revocation.hash]
  }

  #nameOf(revocation: Revocation): string {
    if (revocation.kind === 'session') return `session-${revocation.address.hash}`
    if (revocation.kind === 'listed') return `listed-${revocation.list.hash}-${revocation.hash}`
    // Two processes may each have their own moment.
    return `user-${revocation.list.hash}-${revocation.except ?? 'all'}-${this.#owner}`
  }
}

/** Undefined for what this version does not understand; it stays for one that does. */
function revocationOf({ text }: LogEntry): Revocation | undefined {
  try {
    const { v, kind, address, list, hash, except, untilMs } = JSON.parse(text)
    if (v !== 1) return undefined
    if (kind === 'session' && isAddress(address)) return { kind, address }
    if (kind === 'listed' && isAddress(list) && isHash(hash)) return { kind, list, hash }
    if (kind === 'user' && isAddress(list) && Number.isFinite(untilMs)) {
      return { kind, list, except: isHash(except) ? except : undefined, untilMs }
    }
  } catch {
    // Half of an entry, or somebody else's file.
  }
  return undefined
}

function isAddress(value: unknown): value is Address {
  const { tag, hash } = (value ?? {}) as { readonly tag?: unknown; readonly hash?: unknown }
  return typeof tag === 'string' && /^[0-9a-f]{4}$/.test(tag) && isHash(hash)
}
