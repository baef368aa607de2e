/* Sessions in the memory of this process: for development, tests, and services of one process. */
import type { Clock } from '@holdfast/footing'
import type { EndReason } from './end-watch.ts'
import { expiryMs } from './lifetime.ts'
import type { Address } from './secret-ring.ts'
import { bytesOf } from './session-data.ts'
import {
  type Change,
  type Committed,
  type Created,
  type ListedSession,
  type Replaced,
  type RevokeAll,
  recordOfDraft,
  type SessionDraft,
  type SessionRecord,
  type SessionStore,
  type Swap,
  type Swapped,
  type UserBound,
} from './store.ts'

interface Kept {
  readonly hash: string
  readonly user: string | undefined
  record: SessionRecord
  expiresMs: number
}

export class MemoryStore implements SessionStore {
  readonly available = true
  readonly #clock: Clock
  readonly #onEnd: (hash: string, reason: EndReason) => void
  readonly #maximum: number
  /** Wall time at `nowMs` 0, so that a wall clock that is set ends nobody's session. */
  readonly #epochMs: number
  /** In the order of their last use. */
  readonly #sessions = new Map<string, Kept>()
  readonly #users = new Map<string, Set<string>>()

  /** `onEnd` is told which sessions were ended; not of those whose time is over. */
  constructor(
    options: { readonly clock: Clock; readonly maxInMemory: number },
    onEnd: (hash: string, reason: EndReason) => void = () => {},
  ) {
    this.#onEnd = onEnd
    this.#clock = options.clock
    this.#maximum = options.maxInMemory
    this.#epochMs = options.clock.wallMs() - options.clock.nowMs()
  }

  /** Sessions that are kept, those included that have ended and were not met since. */
  get size(): number {
    return this.#sessions.size
  }

  /** How many there are, of users and of nobody. */
  count(): { readonly signedIn: number; readonly anonymous: number } {
    const nowMs = this.#nowMs()
    const live = [...this.#sessions.values()].filter(({ expiresMs }) => expiresMs > nowMs)
    const signedIn = live.filter(({ user }) => user !== undefined).length
    return { signedIn, anonymous: live.length - signedIn }
  }

  async load({ hash }: Address): Promise<SessionRecord | undefined> {
    return this.#find(hash)?.record
  }

  async create(
    { hash }: Address,
    user: Address | undefined,
    draft: SessionDraft,
    { maxPerUser, whenFull }: UserBound,
    replaced?: Replaced,
  ): Promise<Created> {
    const old = replaced && this.#find(replaced.address.hash)
    if (replaced?.mustExist === true && old === undefined) return { outcome: 'gone' }
    if (replaced?.ifVersion !== undefined && old?.record.version !== replaced.ifVersion) {
      return { outcome: 'conflict' }
    }
    const others = user === undefined ? [] : this.#listOf(user.hash).filter((kept) => kept !== old)
    if (whenFull === 'deny' && others.length >= maxPerUser) return { outcome: 'full' }
    const surplus = others
      .toSorted((a, b) => a.expiresMs - b.expiresMs)
      .slice(0, Math.max(0, others.length - maxPerUser + 1))
    const ended = [...surplus, ...(old === undefined ? [] : [old])]
    for (const kept of ended) this.#end(kept, kept === old ? 'replaced' : 'ended')
    const nowMs = this.#nowMs()
    // A copy: what was handed over is not ours.
    const record = recordOfDraft({ ...draft, fields: new Map(draft.fields) }, nowMs)
    this.#keep({
      hash,
      user: user?.hash,
      record,
      expiresMs: expiryMs(nowMs, record.idleMs, record.absoluteAtMs),
    })
    return { outcome: 'created', nowMs, ended: ended.map((kept) => kept.hash) }
  }

  async commit({ hash }: Address, change: Change): Promise<Committed> {
    const kept = this.#find(hash)
    if (kept === undefined) return { outcome: 'gone' }
    const { record } = kept
    if (change.ifVersion !== undefined && change.ifVersion !== record.version) return { outcome: 'conflict' }
    const fields = new Map(record.fields)
    for (const name of change.remove) fields.delete(name)
    for (const [name, text] of change.set) fields.set(name, text)
    const bytes = [...fields].reduce((sum, [name, text]) => sum + bytesOf(name, text), 0)
    if (bytes > change.maxBytes || fields.size > change.maxFields) return { outcome: 'too-large' }
    kept.record = { ...record, fields, version: record.version + 1 }
    return { outcome: 'done', version: kept.record.version, nowMs: this.#use(kept), bytes }
  }

  async swap(address: Address, { name, from, to, ...bounds }: Swap): Promise<Swapped> {
    const kept = this.#find(address.hash)
    if (kept === undefined) return { outcome: 'gone' }
    const present = kept.record.fields.get(name)
    if (present !== from) return { outcome: 'differs', present }
    const set = new Map<string, string>(to === undefined ? [] : [[name, to]])
    const committed = await this.commit(address, { set, remove: to === undefined ? [name] : [], ...bounds })
    // The version was not asked for, so that nothing can be in conflict.
    return committed.outcome === 'conflict' ? { outcome: 'differs', present } : committed
  }

  async has({ hash }: Address): Promise<boolean> {
    return this.#find(hash) !== undefined
  }

  async touch({ hash }: Address): Promise<boolean> {
    const kept = this.#find(hash)
    if (kept === undefined) return false
    this.#use(kept)
    return true
  }

  async destroy({ hash }: Address): Promise<boolean> {
    const kept = this.#find(hash)
    if (kept !== undefined) this.#end(kept)
    return kept !== undefined
  }

  async list(user: Address): Promise<readonly ListedSession[]> {
    return this.#listOf(user.hash).map(({ hash, record }) => {
      const { createdMs, touchedMs, absoluteAtMs, authenticatedMs, device } = record
      return { hash, createdMs, touchedMs, absoluteAtMs, authenticatedMs, device }
    })
  }

  async revoke(user: Address, hash: string): Promise<boolean> {
    const kept = this.#find(hash)
    if (kept === undefined || kept.user !== user.hash) return false
    this.#end(kept)
    return true
  }

  async revokeAll(user: Address, { except, createdUntilMs }: RevokeAll): Promise<readonly string[]> {
    const ended = this.#listOf(user.hash).filter(
      ({ hash, record }) =>
        hash !== except && (createdUntilMs === undefined || record.createdMs <= createdUntilMs),
    )
    for (const kept of ended) this.#end(kept)
    return ended.map(({ hash }) => hash)
  }

  #nowMs(): number {
    return this.#epochMs + this.#clock.nowMs()
  }

  #find(hash: string): Kept | undefined {
    const kept = this.#sessions.get(hash)
    if (kept === undefined || kept.expiresMs > this.#nowMs()) return kept
    this.#drop(kept)
    return undefined
  }

  #listOf(user: string): readonly Kept[] {
    return [...(this.#users.get(user) ?? [])].flatMap((hash) => this.#find(hash) ?? [])
  }

  #keep(kept: Kept): void {
    this.#sessions.set(kept.hash, kept)
    if (kept.user !== undefined) {
      const list = this.#users.get(kept.user) ?? new Set()
      this.#users.set(kept.user, list.add(kept.hash))
    }
    for (const oldest of this.#sessions.values()) {
      if (this.#sessions.size <= this.#maximum) break
      this.#end(oldest)
    }
  }

  /** Notes a use; answers the time. */
  #use(kept: Kept): number {
    const nowMs = this.#nowMs()
    const { idleMs, absoluteAtMs } = kept.record
    kept.record = { ...kept.record, touchedMs: nowMs }
    kept.expiresMs = expiryMs(nowMs, idleMs, absoluteAtMs)
    this.#sessions.delete(kept.hash)
    this.#sessions.set(kept.hash, kept)
    return nowMs
  }

  #end(kept: Kept, reason: EndReason = 'ended'): void {
    this.#drop(kept)
    this.#onEnd(kept.hash, reason)
  }

  #drop({ hash, user }: Kept): void {
    this.#sessions.delete(hash)
    if (user === undefined) return
    const list = this.#users.get(user)
    list?.delete(hash)
    if (list?.size === 0) this.#users.delete(user)
  }
}
