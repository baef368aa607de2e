/*
 * Ends of sessions that Redis could not be told. Guarantees: from the moment on at which one is noted, this process
 * believes the session no more, whatever Redis says; Redis is told before this process uses it again; what Redis has
 * confirmed is still remembered for as long as a cookie may be believed that says otherwise. With a log an end is noted only when the log has kept it, and
 * those of other processes, also of killed ones, count like one's own as soon as they were read. Without one an end
 * that is noted by a process that is killed before Redis is back is lost.
 */
import type { Clock } from '@holdfast/footing'
import { type Revocation, RevocationIndex, type Suspect } from './revocation-index.ts'
import type { LogEntry, RevocationLog } from './revocation-log.ts'
import { type Address, isHash } from './secret-ring.ts'

/** Beyond so many a logout is refused rather than forgotten. */
export const MAX_JOURNAL = 10_000
const MAX_PER_USER = 50
/** So many are told at the same time. */
const AT_ONCE = 200

export interface JournalSettings {
  readonly log?: RevocationLog | undefined
  /** Differs in every process. */
  readonly owner: string
  readonly clock: Pick<Clock, 'nowMs'>
  /** For so long an end is remembered that was told: what a cookie says is believed no longer than that. */
  readonly rememberMs: number
  readonly maximum?: number
  /** Of the list of one user at most so many: he cannot take the room that others need for their ends. Default 50. */
  readonly maxPerUser?: number
}

export class RevocationJournal {
  readonly #log: RevocationLog | undefined
  readonly #owner: string
  readonly #maximum: number
  readonly #maxPerUser: number
  readonly #clock: JournalSettings['clock']
  readonly #rememberMs: number
  readonly #entries = new Map<string, Revocation>()
  /** How many are of the list of a user, by that list. */
  readonly #listed = new Map<string, number>()
  readonly #untold = new RevocationIndex()
  readonly #told = new RevocationIndex()
  /** When each of those was told, the oldest first. */
  readonly #toldMs = new Map<Revocation, number>()

  constructor({
    log,
    owner,
    clock,
    rememberMs,
    maximum = MAX_JOURNAL,
    maxPerUser = MAX_PER_USER,
  }: JournalSettings) {
    this.#log = log
    this.#owner = owner
    this.#clock = clock
    this.#rememberMs = rememberMs
    this.#maximum = maximum
    this.#maxPerUser = maxPerUser
  }

  get size(): number {
    return this.#entries.size
  }

  /** Answers false when there is no room; rejects when the log cannot keep it. Both times this process knows of it. */
  async note(revocation: Revocation): Promise<boolean> {
    const name = this.#nameOf(revocation)
    // Whether there is such a session only Redis knows: anything could be ended, any number of times.
    if (!this.#entries.has(name) && this.#countOf(revocation) >= this.#maxPerUser) return false
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

  /** Whether a session has ended, whatever Redis says. */
  covers(suspect: Suspect): boolean {
    return this.#untold.covers(suspect)
  }

  /** Whether it has, whatever a cookie says: also when Redis was told of it a while ago, and is away again. */
  remembers(suspect: Suspect): boolean {
    this.#forgetOld()
    return this.#untold.covers(suspect) || this.#told.covers(suspect)
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
      const names = done.flatMap(([name, entry]) => (this.#settle(name, entry) ? [name] : []))
      told += names.length
      // What is told twice does no harm, so a log that forgets late does none.
      await this.#log?.remove(names).catch(() => undefined)
    }
    return told
  }

  #add(name: string, revocation: Revocation): boolean {
    const before = this.#entries.get(name)
    if (before === undefined && this.#entries.size >= this.#maximum) return false
    if (before !== undefined) this.#untold.remove(before)
    else this.#count(revocation, 1)
    this.#entries.set(name, revocation)
    this.#untold.add(revocation)
    return true
  }

  /** It was told. */
  #settle(name: string, revocation: Revocation): boolean {
    if (this.#entries.get(name) !== revocation) return false
    this.#entries.delete(name)
    this.#count(revocation, -1)
    this.#untold.remove(revocation)
    this.#told.add(revocation)
    this.#toldMs.set(revocation, this.#clock.nowMs())
    this.#forgetOld()
    return true
  }

  #countOf(revocation: Revocation): number {
    return revocation.kind === 'listed' ? (this.#listed.get(revocation.list.hash) ?? 0) : 0
  }

  #count(revocation: Revocation, by: number): void {
    if (revocation.kind !== 'listed') return
    const count = this.#countOf(revocation) + by
    if (count === 0) this.#listed.delete(revocation.list.hash)
    else this.#listed.set(revocation.list.hash, count)
  }

  #forgetOld(): void {
    const nowMs = this.#clock.nowMs()
    for (const [oldest, atMs] of this.#toldMs) {
      if (nowMs - atMs < this.#rememberMs && this.#toldMs.size <= this.#maximum) return
      this.#toldMs.delete(oldest)
      this.#told.remove(oldest)
    }
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
