/*
 * The sessions of a service: what a request does not know. It reads ids, keeps the rules of the store and of the
 * data, counts, and turns every failure of the store into one error.
 */
import { afterTurn } from '@holdfast/footing'
import { Activity, type SessionStatistics } from './activity.ts'
import { EndFeed } from './end-feed.ts'
import type { EndListener } from './end-watch.ts'
import { ConflictError, FullError, UnavailableError } from './errors.ts'
import { channels, type OddityName } from './events.ts'
import { expiryMs, touchIsDue } from './lifetime.ts'
import type { Beginning, Begun, Claimed, LoadedSession, Predecessor, SealedLogin } from './loaded-session.ts'
import { Memo } from './memo.ts'
import { MemoryStore } from './memory-store.ts'
import { type ResolvedOptions, resolveOptions, type SessionsOptions } from './options.ts'
import { Outage, type SecondCookie } from './outage.ts'
import { type SessionUser, textOfUser, userOfText } from './principal.ts'
import { RedisStore } from './redis-store.ts'
import { type Address, type RingKeys, SecretRing, userAddress } from './secret-ring.ts'
import { newCounts, type SessionCounts } from './session-counts.ts'
import { DataForm } from './session-data.ts'
import { mintId, readId, type SessionId, successorOf } from './session-id.ts'
import type { Shadow } from './shadow.ts'
import { Statistics } from './statistics.ts'
import {
  type Change,
  type Committed,
  type Done,
  type Replaced,
  recordOfDraft,
  type SessionDraft,
  type SessionRecord,
  type SessionStore,
  type Swapped,
} from './store.ts'
import { StoreCalls } from './store-calls.ts'
import { openRecord, plainTexts, sealDraft, sealedTexts, sealFields, type TextForm } from './text-form.ts'
import { UserSessions } from './user-sessions.ts'

/** Texts of about 100 bytes, at most 4 kB, and what was read of them. */
const MAX_MEMO = 2048
/** Beyond so many tries somebody else is faster all the time. */
const MAX_SWAPS = 100
/** For so long requests may come that were under way when their session got another id. */
const LATE_MS = 60_000

export class Sessions {
  readonly options: ResolvedOptions
  readonly form: DataForm
  readonly ring: SecretRing
  readonly counts: SessionCounts = newCounts()
  readonly outage: Outage
  /** What concerns all sessions of a user. */
  readonly ofUsers: UserSessions
  readonly #calls: StoreCalls
  readonly #store: SessionStore
  readonly #redisStore: RedisStore | undefined
  readonly #texts: TextForm
  readonly #ends: EndFeed
  readonly #activity: Activity | undefined
  /** What was read of the cookies and of the users that came last: most come again. */
  readonly #ids = new Memo<SessionId>(MAX_MEMO)
  readonly #users = new Memo<SessionUser>(MAX_MEMO)
  readonly #statistics: Statistics
  /**
   * Loads of this turn of the event loop: requests of one browser that came together share one. A new map for each turn:
   * one that is cleared leads from its old table, once that is old enough to be looked at seldom, to all that follow, and
   * every request would outlive its answer by seconds.
   */
  #loads = new Map<string, Promise<LoadedSession | undefined>>()

  /** Raises `HOLDFAST_ERR_REDIS_SESSION_OPTION`. */
  constructor(options: SessionsOptions = {}) {
    this.options = resolveOptions(options)
    const { redis, secrets, fields, encrypt, randomBytes, clock, maxInMemory, outageMs, statistics } =
      this.options
    this.form = new DataForm(fields, this.options)
    this.ring = new SecretRing(secrets)
    this.#redisStore = redis && new RedisStore(redis)
    const rememberMs = Math.max(outageMs, LATE_MS)
    this.#ends = new EndFeed({ clock, rememberMs, maximum: maxInMemory })
    this.#store = this.#redisStore ?? new MemoryStore(this.options, (...end) => this.#ends.tell(...end))
    this.#texts = encrypt ? sealedTexts(randomBytes) : plainTexts
    if (redis !== undefined) {
      if (statistics) this.#activity = new Activity(redis, clock)
      this.#ends.hear(redis, this.#store)
    }
    this.#statistics = new Statistics(clock, () => this.#count())
    this.outage = new Outage({
      options: this.options,
      ring: this.ring,
      redis,
      store: this.#store,
      hasEnded: (hash) => this.#ends.whyEnded(hash, outageMs) !== undefined,
      odd: (what, id) => this.odd(what, id),
      onReplayed: (ends) => {
        this.counts.replayed += ends
      },
    })
    this.#calls = new StoreCalls({ counts: this.counts, outage: redis && this.outage })
    this.ofUsers = new UserSessions({
      calls: this.#calls,
      store: this.#store,
      ring: this.ring,
      texts: this.#texts,
      counts: this.counts,
      clock,
      activity: this.#activity,
    })
  }

  /** Whether the store can be asked at present. */
  get available(): boolean {
    return this.#store.available
  }

  /** The id in a cookie; costs no call. */
  readId(text: string): SessionId | undefined {
    const known = this.#ids.get(text)
    if (known !== undefined) return known
    const id = readId(this.ring, text)
    if (id === undefined) this.counts.badIds += 1
    else this.#ids.set(text, id)
    return id
  }

  /** The session of an id. Raises `HOLDFAST_ERR_REDIS_SESSION_UNAVAILABLE`. */
  load(id: SessionId): Promise<LoadedSession | undefined> {
    const { hash } = id.address
    const shared = this.#loads.get(hash)
    if (shared !== undefined) return shared
    const loading = this.#load(id, this.form.names)
    // Not longer: a request that comes after another one was answered must see what that one did.
    if (this.#loads.size === 0) afterTurn(() => this.#endTurn())
    this.#loads.set(hash, loading)
    return loading
  }

  /** As `load`, with the fields that this version of the service does not know. */
  loadWhole(id: SessionId): Promise<LoadedSession | undefined> {
    return this.form.names === undefined ? this.load(id) : this.#load(id, undefined)
  }

  /** Makes a session under a new id, instead of an old one. Raises `..._FULL` and `..._UNAVAILABLE`. */
  async begin(beginning: Beginning, old?: Predecessor): Promise<Begun | 'gone' | 'conflict'> {
    const { maxPerUser, whenFull, randomBytes } = this.options
    const { user, idleMs, absolute, device, fields } = beginning
    const keys = this.ring.current
    const list = user && userAddress(keys, user.userId)
    const id = mintId(keys, randomBytes, list?.tag)
    const draft: SessionDraft = {
      idleMs,
      absolute,
      principal: user && textOfUser(user),
      authenticated: user !== undefined,
      device,
      fields,
    }
    const replaced: Replaced | undefined = old && {
      address: old.id.address,
      mustExist: old.mustExist,
      ifVersion: old.ifVersion,
    }
    const sealed = sealDraft(this.#texts, keys, id.address, draft)
    const created = await this.#create(id, list, sealed, { maxPerUser, whenFull }, replaced)
    if (created.outcome === 'full') throw new FullError(maxPerUser)
    if (created.outcome !== 'created') return created.outcome
    this.counts.created += 1
    const record = recordOfDraft(draft, created.nowMs)
    this.#note(id, record, user)
    if (old !== undefined) this.#activity?.forget(old.id.address)
    for (const hash of created.ended) this.#activity?.forget({ tag: id.address.tag, hash })
    return { id, record, user }
  }

  /** Signs somebody in without Redis, under an id that becomes a session later. Raises `..._UNAVAILABLE`. */
  async beginSealed(
    name: string,
    user: SessionUser,
    login: { readonly permanent: boolean; readonly fields: ReadonlyMap<string, string> },
    old: readonly SessionId[],
  ): Promise<SealedLogin> {
    const keys = this.ring.current
    const id = mintId(keys, this.options.randomBytes, userAddress(keys, user.userId).tag)
    const begun = this.outage.login(name, id, user, login)
    await this.end(...old)
    this.counts.sealedLogins += 1
    return { id, ...begun }
  }

  /** Makes a session of a login that happened without Redis. Raises `..._UNAVAILABLE`. */
  async claim(id: SessionId, pending: Shadow, device: string): Promise<Claimed> {
    const store = this.#redisStore
    if (pending.login === undefined || store === undefined) return undefined
    const { maxPerUser, whenFull, profiles } = this.options
    const { permanent, roles } = pending.login
    const user = { ...pending.user, roles }
    const keys = this.#keysOf(id)
    const list = userAddress(keys, user.userId)
    const successor = successorOf(keys, id)
    const { idleMs, absoluteMs } = profiles[permanent ? 'permanent' : 'default']
    const { createdMs } = pending
    const draft: SessionDraft = {
      idleMs,
      absolute: { atMs: createdMs + absoluteMs, createdMs },
      principal: textOfUser(user),
      authenticated: { atMs: createdMs },
      device,
      fields: fieldsOf(pending),
    }
    const sealed = sealDraft(this.#texts, keys, successor.address, draft)
    const bound = { maxPerUser, whenFull }
    const claimed = await this.#calls.ask(
      store.claim(successor.address, list, sealed, bound, { hash: id.address.hash }),
    )
    if (claimed.outcome === 'claimed') {
      const loaded = await this.load(successor)
      return loaded && { ...loaded, id: successor, permanent }
    }
    if (claimed.outcome !== 'created') {
      this.counts.discarded += 1
      this.odd('discarded-login', id)
      return undefined
    }
    this.counts.claimed += 1
    this.counts.created += 1
    for (const hash of claimed.ended) this.#activity?.forget({ tag: list.tag, hash })
    const record = recordOfDraft(draft, claimed.nowMs)
    this.#note(successor, record, user)
    return { id: successor, record, user, permanent }
  }

  /**
   * Keeps what was changed without Redis, when the session is the one that was confirmed then and nobody has written to
   * it since. Answers the session as it is now; undefined when there was nothing to keep. Raises `..._UNAVAILABLE`.
   */
  async merge(id: SessionId, loaded: LoadedSession, pending: Shadow): Promise<LoadedSession | undefined> {
    if (pending.changes === undefined || pending.login !== undefined) return undefined
    const { record, user } = loaded
    const set = fieldsOf(pending)
    const remove = [...pending.changes].flatMap(([name, text]) => (text === null ? [name] : []))
    const { fields: kept } = record
    const isKept =
      [...set].every(([name, text]) => kept.get(name) === text) && !remove.some((name) => kept.has(name))
    // A request that came together with this one was faster.
    if (isKept && record.version > pending.version) return loaded
    const isSame = user?.userId === pending.user.userId && record.version === pending.version
    const change = { set, remove, ifVersion: pending.version }
    const committed: Committed = isSame ? await this.commit(id, change) : { outcome: 'conflict' }
    this.outage.settled(id)
    if (committed.outcome !== 'done') {
      this.counts.discarded += 1
      this.odd('discarded-changes', id)
      return loaded
    }
    this.counts.merged += 1
    const fields = new Map([...record.fields, ...set])
    for (const name of remove) fields.delete(name)
    return { record: { ...record, version: committed.version, fields }, user }
  }

  /** Writes fields. Raises `..._UNAVAILABLE`. */
  async commit(id: SessionId, change: Pick<Change, 'set' | 'remove' | 'ifVersion'>): Promise<Committed> {
    const { maxBytes, maxFields } = this.options
    const keys = this.#keysOf(id)
    const set = sealFields(this.#texts, keys, id.address, change.set)
    const bounded = { ...change, set, maxBytes, maxFields }
    const committed = await this.#calls.ask(this.#store.commit(id.address, bounded))
    if (committed.outcome === 'done') this.#committed(id, committed)
    if (committed.outcome === 'conflict') this.counts.conflicts += 1
    return committed
  }

  /**
   * Changes the text of one field, and tries again when somebody else was faster; `loaded` is what it was a moment ago.
   * Raises `..._UNAVAILABLE` and `..._CONFLICT`.
   */
  async swap(
    id: SessionId,
    name: string,
    loaded: LoadedSession | undefined,
    change: (text: string | undefined) => string | undefined,
  ): Promise<Exclude<Swapped, { readonly outcome: 'differs' }> & { readonly text: string | undefined }> {
    const keys = this.#keysOf(id)
    let present = loaded?.record.fields.get(name)
    // Of what was written meanwhile nobody knows how it is kept; the first try then says so.
    let from = this.#texts === plainTexts ? present : loaded?.sealed?.get(name)
    for (let tries = 1; tries <= MAX_SWAPS; tries += 1) {
      const text = change(present)
      const to = text && this.#texts.sealed(keys, id.address, name, text)
      const swapped = await this.#calls.ask(this.#store.swap(id.address, { ...this.options, name, from, to }))
      if (swapped.outcome === 'done') this.#committed(id, swapped)
      if (swapped.outcome !== 'differs') return { ...swapped, text }
      from = swapped.present
      present = from && this.#texts.opened(keys, id.address, name, from)
    }
    this.counts.conflicts += 1
    throw new ConflictError()
  }

  /** Notes a use, when it is time to; nobody waits for it. Answers whether it did. */
  touch(id: SessionId, { record, user }: LoadedSession): boolean {
    const { clock, touchEveryMs } = this.options
    const { touchedMs, idleMs } = record
    if (!touchIsDue(touchedMs, clock.wallMs(), { idleMs, touchEveryMs })) return false
    this.counts.touches += 1
    this.#calls.ask(this.#store.touch(id.address)).catch(() => undefined)
    this.#note(id, { ...record, touchedMs: clock.wallMs() }, user)
    return true
  }

  /**
   * The ids under which a session of a request may be kept: a login that happened without Redis may have become a
   * session at another request, of which this one has not heard.
   */
  namesOf(id: SessionId | undefined, second: SecondCookie): readonly SessionId[] {
    if (id === undefined) return []
    const isLogin = this.outage.pending(id, second)?.login !== undefined
    return isLogin ? [id, successorOf(this.#keysOf(id), id)] : [id]
  }

  /** Ends sessions; noted for later when Redis cannot be told. Raises `..._UNAVAILABLE` when it cannot be noted. */
  async end(...ids: readonly SessionId[]): Promise<void> {
    await Promise.all(
      ids.map(({ address }) => {
        this.#activity?.forget(address)
        this.outage.settled({ address })
        return this.#calls.tell({ kind: 'session', address }, () => this.#store.destroy(address))
      }),
    )
  }

  /** Whether a session has just got another id, as far as this process has heard. */
  wasReplaced({ address }: SessionId): boolean {
    return this.#ends.whyEnded(address.hash, LATE_MS) === 'replaced'
  }

  /** What is believed of a session while Redis is not usable; undefined while it is. */
  recall(id: SessionId, second: SecondCookie): Shadow | undefined {
    const shadow = this.outage.recall(id, second)
    if (shadow !== undefined) this.counts.believed += 1
    return shadow
  }

  /** Calls `listener` when a session ends other than by its time. Raises `..._WATCH_FULL`. */
  onEnd(id: SessionId, listener: EndListener): () => void {
    return this.#ends.watch(id.address, listener)
  }

  /** How many sessions there are, counted at most every five seconds; the last count while Redis is away. */
  statistics(): Promise<SessionStatistics | undefined> {
    return this.#statistics.get(this.available)
  }

  /** Resolves when Redis has been told what processes before this one could not tell it. */
  ready(): Promise<void> {
    return this.outage.begin()
  }

  close(): void {
    this.#ends.close()
    this.outage.close()
    this.#activity?.close()
  }

  /** Counts, and tells whoever listens, what deserves a look. */
  odd(what: OddityName, id?: SessionId): void {
    this.counts.oddities += 1
    if (channels.oddity.hasSubscribers) channels.oddity.publish({ what, session: id?.address.hash })
  }

  /** Makes a session; one that was perhaps made, and that nobody has heard of, is ended later. */
  async #create(
    id: SessionId,
    ...rest: Parameters<SessionStore['create']> extends [Address, ...infer Rest] ? Rest : never
  ) {
    try {
      return await this.#calls.ask(this.#store.create(id.address, ...rest))
    } catch (error) {
      const { mayHaveRun } = ((error as Error).cause ?? {}) as { readonly mayHaveRun?: boolean }
      // It counts from now on; nobody has to wait until a log has kept it.
      if (mayHaveRun === true) {
        this.outage.note({ kind: 'session', address: id.address }).catch(() => undefined)
      }
      throw error
    }
  }

  #committed(id: SessionId, { bytes }: Done): void {
    this.counts.commits += 1
    if (bytes > this.options.warnBytes) this.odd('large-session', id)
  }

  /** Counts it among those that are in use. */
  #note(
    { address }: SessionId,
    { touchedMs, idleMs, absoluteAtMs }: SessionRecord,
    user: SessionUser | undefined,
  ): void {
    const kind = user === undefined ? 'nobody' : 'users'
    this.#activity?.note(kind, address, expiryMs(touchedMs, idleMs, absoluteAtMs))
  }

  #endTurn(): void {
    this.#loads = new Map()
  }

  async #count(): Promise<SessionStatistics> {
    const store = this.#store
    if (store instanceof MemoryStore) {
      return { ...store.count(), countedAt: new Date(this.options.clock.wallMs()) }
    }
    if (this.#activity === undefined) throw new UnavailableError('sessions are not counted')
    return this.#activity.count()
  }

  #load(id: SessionId, names: readonly string[] | undefined): Promise<LoadedSession | undefined> {
    this.counts.loads += 1
    // On the way of every request: a promise less for each step that could be async.
    return this.#store.load(id.address, names).then(
      (kept) => this.#met(id, kept),
      (cause: Error) => {
        throw this.#calls.failure(cause)
      },
    )
  }

  #met(id: SessionId, kept: SessionRecord | undefined): LoadedSession | undefined {
    if (kept === undefined) {
      this.counts.misses += 1
      return undefined
    }
    const record = openRecord(this.#texts, this.#keysOf(id), id.address, kept)
    if (record?.principal === undefined) {
      if (record === undefined) this.odd('unreadable-session', id)
      return record && { record, user: undefined, sealed: kept.fields }
    }
    const known = this.#users.get(record.principal)
    const user = known ?? userOfText(record.principal)
    if (user === undefined) {
      this.odd('unreadable-session', id)
      return undefined
    }
    if (known === undefined) this.#users.set(record.principal, user)
    // It ended here while Redis was away, and Redis may not have been told yet.
    if (this.outage.covers(id, record.createdMs, user)) return undefined
    return { record, user, sealed: kept.fields }
  }

  #keysOf({ kid }: SessionId): RingKeys {
    return this.ring.find(kid) ?? this.ring.current
  }
}

/** The fields that were changed without Redis, as they are now. */
function fieldsOf({ changes }: Shadow): ReadonlyMap<string, string> {
  return new Map(
    [...(changes ?? [])].flatMap(([name, text]) => (text === null ? [] : [[name, text] as const])),
  )
}
