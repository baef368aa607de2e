/*
 * The session of one request. Nothing is read before somebody asks, nothing is written that was not changed, and who
 * is signed in changes by `login`, `elevate` and `logout` alone, each under a new id.
 */
import { type Device, textOfDevice } from './device.ts'
import type { EndListener } from './end-watch.ts'
import {
  ConflictError,
  DataError,
  GoneError,
  NotLoadedError,
  TooLateError,
  UnauthenticatedError,
  UnavailableError,
} from './errors.ts'
import { channels } from './events.ts'
import { isFresh } from './lifetime.ts'
import type { SecondCookie } from './outage.ts'
import { type Principal, type SessionUser, userOf } from './principal.ts'
import { bytesOf, largestOf } from './session-data.ts'
import type { SessionId } from './session-id.ts'
import type { LoadedSession, Sessions } from './sessions.ts'
import type { Shadow } from './shadow.ts'
import type { SessionRecord } from './store.ts'
import { type FieldWrites, Unwritten, withWrites } from './unwritten.ts'

/** What a request brings along. */
export interface SessionSource {
  /** The value of our cookie. */
  readonly cookie: string | undefined
  readonly second: SecondCookie
  /** Whether it is known from the beginning that there is no id, and the route wants to know: nothing has to be read. */
  readonly isAnonymous: boolean
  /** Whether this route believes who is signed in without Redis. */
  readonly believes: boolean
  readonly device: Device
}

/** How a login is to last. */
export interface LoginOptions<Data> {
  /** The permanent profile, with a cookie that outlives the browser. Default false. */
  readonly permanent?: boolean
  /** Fields that the new session takes over from the one before. Default none. */
  readonly keep?: readonly (keyof Data & string)[]
}

/** What becomes of the two cookies with the answer; undefined: nothing. */
export interface CookieChanges {
  readonly session: CookieChange | undefined
  readonly shadow: CookieChange | undefined
}

/** What becomes of a cookie. */
export type CookieChange =
  | { readonly kind: 'set'; readonly value: string; readonly maxAgeMs: number | undefined }
  | { readonly kind: 'clear' }

/** What the plugin does with the session of a request, and nobody else. */
export interface SessionControl {
  /** The session of a request. */
  open(sessions: Sessions, source: SessionSource): Session
  /** Whether something is to be written. */
  isChanged(session: Session): boolean
  /** Whether the answer can depend on it. */
  wasUsed(session: Session): boolean
  /** Writes what was changed, before the answer leaves; the end of a session is no error here. */
  flush(session: Session): Promise<void>
  /** Forgets what was changed: the request failed. */
  drop(session: Session): void
  /** The cookies that go with the answer, whose head is about to leave. */
  seal(session: Session): CookieChanges
}

type AnyData = Readonly<Record<string, unknown>>

/** How often `elevate` tries again when another request writes meanwhile. */
const MAX_ATTEMPTS = 3

export class Session<Data extends object = AnyData> {
  readonly #sessions: Sessions
  readonly #source: SessionSource
  #id: SessionId | undefined
  #idRead = false
  #loading: Promise<this> | undefined
  #loaded: LoadedSession | undefined
  #isLoaded = false
  #unavailable = false
  #permanent = false
  readonly #unwritten = new Unwritten()
  /** What is believed while Redis is away. */
  #shadow: Shadow | undefined
  #cookie: CookieChange | undefined
  #shadowCookie: CookieChange | undefined
  #sent = false

  private constructor(sessions: Sessions, source: SessionSource) {
    this.#sessions = sessions
    this.#source = source
    if (!source.isAnonymous) return
    this.#idRead = true
    this.#isLoaded = true
  }

  /** One object for all sessions: a request pays nothing for what only the plugin may do. */
  static readonly control: SessionControl = {
    open: (sessions, source) => new Session(sessions, source),
    isChanged: (session) => !session.#unwritten.isEmpty,
    wasUsed: (session) => session.#idRead,
    flush: (session) => session.#flush(),
    drop: (session) => session.#unwritten.clear(),
    seal: (session) => session.#seal(),
  }

  /** Whether it has been read, so that `user` can be asked for. */
  get isLoaded(): boolean {
    return this.#isLoaded
  }

  /** Whether Redis could not say who is signed in; the request is then treated as anonymous. */
  get unavailable(): boolean {
    return this.#unavailable
  }

  /**
   * Whether Redis is away and who is signed in is believed without it: with few roles, without data and without a fresh
   * proof. Of the data only `outageFields` can be changed then; `login()` and `logout()` work.
   */
  get degraded(): boolean {
    return this.#shadow !== undefined
  }

  /** While `degraded`: when Redis confirmed the session for the last time, or the login. Undefined otherwise. */
  get confirmedAt(): Date | undefined {
    return this.#shadow && new Date(this.#shadow.confirmedMs)
  }

  /** Who is signed in. Raises `HOLDFAST_ERR_REDIS_SESSION_NOT_LOADED`. */
  get user(): SessionUser | undefined {
    this.#requireLoaded('session.user')
    return this.#loaded?.user
  }

  /**
   * The name of the session in lists and logs; not the secret in the cookie. It changes with every login. Undefined
   * while there is no session. Raises `HOLDFAST_ERR_REDIS_SESSION_NOT_LOADED`.
   */
  get id(): string | undefined {
    this.#requireLoaded('session.id')
    return this.#id?.address.hash
  }

  /** When the user last proved who he is. */
  get authenticatedAt(): Date | undefined {
    this.#requireLoaded('session.authenticatedAt')
    const ms = this.#loaded?.record.authenticatedMs
    return ms === undefined ? undefined : new Date(ms)
  }

  /** Whether the user proved who he is within `freshAuthMs`. */
  get isFresh(): boolean {
    this.#requireLoaded('session.isFresh')
    const { clock, freshAuthMs } = this.#sessions.options
    return isFresh(this.#loaded?.record.authenticatedMs, clock.wallMs(), freshAuthMs)
  }

  /** Reads the session, once: with one call to Redis when there is an id, and none otherwise. */
  load(): Promise<this> {
    this.#loading ??= this.#load()
    return this.#loading
  }

  /** A field of the data. */
  async get<Name extends keyof Data & string>(name: Name): Promise<Data[Name] | undefined> {
    const { form } = this.#sessions
    form.check(name)
    const own = this.#unwritten.textOf(name)
    if (own === null) return undefined
    if (own !== undefined) return form.valueOf(name, own) as Data[Name] | undefined
    await this.load()
    const text = this.#loaded?.record.fields.get(name)
    if (text === undefined) return undefined
    const value = form.valueOf(name, text)
    if (value === undefined) this.#sessions.odd('dropped-field', this.#id)
    return value as Data[Name] | undefined
  }

  /**
   * Changes a field; it is kept when the answer is sent, and when it is no 5xx. Raises
   * `HOLDFAST_ERR_REDIS_SESSION_DATA` and `..._TOO_LARGE`.
   */
  set<Name extends keyof Data & string>(name: Name, value: Data[Name]): void {
    this.#requireUnsent('session.set()')
    const text = this.#sessions.form.textOf(name, value)
    this.#checkSize(name, text)
    this.#unwritten.set(name, text)
  }

  /** Takes a field away. */
  remove(name: keyof Data & string): void {
    this.#requireUnsent('session.remove()')
    this.#sessions.form.check(name)
    this.#unwritten.remove(name)
  }

  /**
   * Changes a field by what it has, at once, so that no other request's change is lost: `change` runs again when
   * somebody was faster, and undefined takes the field away. Answers what it has now. Raises `..._GONE`, `..._DATA`,
   * `..._TOO_LARGE`, `..._CONFLICT` and `..._UNAVAILABLE`.
   */
  async update<Name extends keyof Data & string>(
    name: Name,
    change: (value: Data[Name] | undefined) => Data[Name] | undefined,
  ): Promise<Data[Name] | undefined> {
    this.#requireUnsent('session.update()')
    const { form } = this.#sessions
    form.check(name)
    const changeText = (text: string | undefined) => {
      const value = change(
        text === undefined ? undefined : (form.valueOf(name, text) as Data[Name] | undefined),
      )
      return value === undefined ? undefined : form.textOf(name, value)
    }
    // What this request has changed before goes first.
    if (!this.#unwritten.isEmpty) await this.#write(false)
    await this.load()
    if (this.#unavailable || this.degraded)
      throw new UnavailableError(`field "${name}" cannot be changed now`)
    const id = this.#id
    const text =
      id === undefined ? await this.#beginWith(name, changeText) : await this.#swap(id, name, changeText)
    return text === undefined ? undefined : (form.valueOf(name, text) as Data[Name] | undefined)
  }

  /** Adds to a field that is a number, or not there yet, as `update` does; answers the sum. */
  async increment<Name extends keyof Data & string>(name: Name, by = 1): Promise<number> {
    let sum = by
    await this.update(name, (value) => {
      const number = value ?? 0
      if (typeof number !== 'number')
        throw new DataError(`field "${name}"`, 'only a number can be incremented')
      sum = number + by
      if (!Number.isFinite(sum))
        throw new DataError(`field "${name}"`, `${sum} is no number that can be kept`)
      return sum as Data[Name]
    })
    return sum
  }

  /** Adds to the end of a field that is a list, or not there yet, as `update` does; of more than `maxItems` the first go. */
  async pushCapped<Name extends keyof Data & string>(
    name: Name,
    item: Data[Name] extends readonly (infer Item)[] ? Item : unknown,
    maxItems: number,
  ): Promise<void> {
    if (!Number.isSafeInteger(maxItems) || maxItems < 1) {
      throw new DataError(`field "${name}"`, 'maxItems must be a whole number from 1 on')
    }
    await this.update(name, (value) => {
      const list = value ?? []
      if (!Array.isArray(list)) throw new DataError(`field "${name}"`, 'only a list can be pushed to')
      return [...list, item].slice(-maxItems) as Data[Name]
    })
  }

  /** Answers a field and takes it away, as `update` does: of several requests one has it. */
  async take<Name extends keyof Data & string>(name: Name): Promise<Data[Name] | undefined> {
    let taken: Data[Name] | undefined
    await this.update(name, (value) => {
      taken = value
      return undefined
    })
    return taken
  }

  /**
   * Calls `listener` once when the session ends other than by its time, in whatever process that happens: for streams
   * and sockets that must not outlive it. Raises `..._NOT_LOADED`, `..._UNAUTHENTICATED` where there is no session, and
   * `..._WATCH_FULL`.
   */
  onEnd(listener: EndListener): () => void {
    this.#requireLoaded('session.onEnd()')
    if (this.#id === undefined) throw new UnauthenticatedError()
    return this.#sessions.onEnd(this.#id, listener)
  }

  /**
   * Signs somebody in, under a new id; the session before it ends. While Redis is away he is signed in as `degraded`
   * says, and gets a session, under one more id, when it is back. Raises `..._FULL` and `..._UNAVAILABLE`.
   */
  async login(principal: Principal, options: LoginOptions<Data> = {}): Promise<void> {
    this.#requireUnsent('session.login()')
    const { permanent = false, keep = [] } = options
    for (const name of keep) this.#sessions.form.check(name)
    const user = userOf(principal)
    if (keep.length > 0) await this.load()
    const { idleMs, absoluteMs } = this.#sessions.options.profiles[permanent ? 'permanent' : 'default']
    const id = this.#readId()
    const names = this.#sessions.namesOf(id, this.#source.second)
    // What is changed from now on is changed in the session that begins.
    const writes = this.#unwritten.take()
    const fields = withWrites(this.#loaded?.record.fields, writes, new Set(keep))
    const beginning = { user, idleMs, absolute: { afterMs: absoluteMs }, device: this.#deviceText(), fields }
    const old = id && { id, mustExist: false }
    this.#permanent = permanent
    try {
      const begun = await this.#sessions.begin(beginning, old)
      // A login that replaces nothing in particular cannot be refused for it.
      if (typeof begun === 'string') throw new GoneError()
      await this.#sessions.end(...names.slice(1))
      this.#adopt(begun)
    } catch (error) {
      if (!(error instanceof UnavailableError) || !this.#source.believes) {
        this.#unwritten.putBack(writes)
        throw error
      }
      await this.#beginSealed(user, fields, absoluteMs, names)
    }
    this.#sessions.counts.logins += 1
    const session = this.#id?.address.hash
    if (channels.login.hasSubscribers) channels.login.publish({ session, userId: user.userId })
  }

  /**
   * Notes that the user has just proved once more who he is, under a new id; everything else stays. Raises `..._GONE`
   * when the session has ended meanwhile, and `..._UNAUTHENTICATED` when nobody is signed in.
   */
  async elevate(
    options: { readonly methods?: readonly string[]; readonly roles?: readonly string[] } = {},
  ): Promise<void> {
    this.#requireUnsent('session.elevate()')
    // What is changed from now on is changed in the session that begins.
    const writes = this.#unwritten.take()
    try {
      await this.#elevate(options, writes)
    } catch (error) {
      if (!(error instanceof GoneError)) this.#unwritten.putBack(writes)
      throw error
    }
  }

  async #elevate(
    options: { readonly methods?: readonly string[]; readonly roles?: readonly string[] },
    writes: FieldWrites,
  ): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      await this.load()
      const [id, loaded] = [this.#id, this.#loaded]
      if (this.#unavailable || this.degraded) throw new UnavailableError('a proof cannot be noted now')
      if (id === undefined || loaded?.user === undefined) throw new UnauthenticatedError()
      const { methods = loaded.user.methods, roles = loaded.user.roles } = options
      const user = userOf({ ...loaded.user, methods, roles })
      // What a newer version of the service keeps there goes along.
      const { record } = (await this.#sessions.loadWhole(id)) ?? loaded
      const begun = await this.#sessions.begin(
        {
          user,
          idleMs: record.idleMs,
          absolute: { atMs: record.absoluteAtMs, createdMs: record.createdMs },
          device: this.#deviceText(),
          fields: withWrites(record.fields, writes),
        },
        { id, mustExist: true, ifVersion: record.version },
      )
      if (begun === 'conflict') {
        if (attempt === MAX_ATTEMPTS) throw new ConflictError()
        this.#loading = undefined
        continue
      }
      if (begun === 'gone') {
        this.#lose(id)
        throw new GoneError()
      }
      this.#permanent = record.idleMs === this.#sessions.options.profiles.permanent.idleMs
      this.#adopt(begun)
      this.#sessions.counts.elevations += 1
      if (channels.elevate.hasSubscribers) {
        channels.elevate.publish({ session: begun.id.address.hash, userId: user.userId })
      }
      return
    }
  }

  /** Ends the session. */
  async logout(): Promise<void> {
    this.#requireUnsent('session.logout()')
    const id = this.#readId()
    const userId = this.#loaded?.user?.userId
    if (id !== undefined) {
      await this.#sessions.end(...this.#sessions.namesOf(id, this.#source.second))
      this.#sessions.counts.logouts += 1
      if (channels.logout.hasSubscribers) channels.logout.publish({ session: id.address.hash, userId })
    }
    this.#forget()
  }

  /**
   * Writes what was changed, now. With `compare`, only when nobody else has written since it was loaded. Raises
   * `..._GONE`, `..._CONFLICT`, `..._TOO_LARGE` and `..._UNAVAILABLE`; the changes are then forgotten.
   */
  async commit({ compare = false }: { readonly compare?: boolean } = {}): Promise<void> {
    this.#requireUnsent('session.commit()')
    if (compare) this.#requireLoaded('session.commit({ compare: true })')
    await this.#write(compare)
  }

  async #flush(): Promise<void> {
    try {
      await this.#write(false)
    } catch (error) {
      if (!(error instanceof GoneError)) throw error
    }
  }

  #seal(): CookieChanges {
    this.#sent = true
    return { session: this.#cookie, shadow: this.#shadowCookie }
  }

  async #load(): Promise<this> {
    const id = this.#readId()
    if (id !== undefined) {
      try {
        const loaded = await this.#sessions.load(id)
        const pending = this.#isStill(id) ? this.#sessions.outage.pending(id, this.#source.second) : undefined
        if (pending === undefined) this.#meet(id, loaded)
        else if (loaded === undefined) await this.#claim(id, pending)
        else await this.#merge(id, loaded, pending)
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error
        if (this.#isStill(id)) this.#believe(id)
      }
    }
    this.#isLoaded = true
    return this
  }

  /** There is no such session: unless somebody signed in by that id while Redis was away. */
  async #claim(id: SessionId, pending: Shadow): Promise<void> {
    const claimed = await this.#sessions.claim(id, pending, this.#deviceText())
    if (!this.#isStill(id)) return
    if (claimed === undefined) {
      this.#forget()
      return
    }
    this.#permanent = claimed.permanent
    this.#adopt(claimed)
  }

  /** What was changed without Redis is kept; when that cannot be said now, the next request tries again. */
  async #merge(id: SessionId, found: LoadedSession, pending: Shadow): Promise<void> {
    let merged: LoadedSession | undefined
    try {
      merged = await this.#sessions.merge(id, found, pending)
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error
      // The second cookie stays as it is: what Redis has to be told is there and nowhere else.
      if (this.#isStill(id)) this.#loaded = found
      return
    }
    if (!this.#isStill(id)) return
    if (merged === undefined) this.#meet(id, found)
    else {
      this.#loaded = merged
      this.#sessions.touch(id, merged)
      this.#confirm(id, merged)
    }
  }

  /** What an outage may believe of a session that is there is made anew now and then. */
  #meet(id: SessionId, found: LoadedSession | undefined): void {
    if (!this.#isStill(id)) return
    if (found === undefined) {
      this.#lose(id)
      return
    }
    this.#loaded = found
    if (this.#sessions.touch(id, found)) this.#confirm(id, found)
  }

  /** Whether nobody has signed in or out in this request since it had this id: then what comes late is of no use. */
  #isStill(id: SessionId): boolean {
    return this.#id === id
  }

  #believe(id: SessionId): void {
    const shadow = this.#source.believes ? this.#sessions.recall(id, this.#source.second) : undefined
    if (shadow === undefined) this.#unavailable = true
    else this.#adoptShadow(shadow)
  }

  #adoptShadow(shadow: Shadow): void {
    this.#shadow = shadow
    this.#loaded = { record: recordOf(shadow), user: shadow.user }
  }

  async #beginSealed(
    user: SessionUser,
    fields: ReadonlyMap<string, string>,
    absoluteMs: number,
    old: readonly SessionId[],
  ): Promise<void> {
    const login = { permanent: this.#permanent, fields }
    const begun = await this.#sessions.beginSealed(this.#source.second.name, user, login, old)
    this.#id = begun.id
    this.#idRead = true
    this.#isLoaded = true
    this.#unavailable = false
    this.#loading = Promise.resolve(this)
    this.#cookie = { kind: 'set', value: begun.id.text, maxAgeMs: this.#permanent ? absoluteMs : undefined }
    this.#adoptShadow(begun.shadow)
    this.#sendShadow(begun.sealed)
  }

  /** The store has just said that the session is there: what an outage may believe is made anew. */
  #confirm(id: SessionId, loaded: LoadedSession): void {
    this.#sendShadow(this.#sessions.outage.confirm(this.#source.second.name, id, loaded))
  }

  #sendShadow(value: string | undefined): void {
    if (value === undefined) return
    this.#shadowCookie = { kind: 'set', value, maxAgeMs: this.#sessions.options.outageMs }
  }

  #readId(): SessionId | undefined {
    if (this.#idRead) return this.#id
    this.#idRead = true
    const { cookie } = this.#source
    if (cookie !== undefined && cookie !== '') this.#id = this.#sessions.readId(cookie)
    return this.#id
  }

  async #write(compare: boolean): Promise<void> {
    if (this.#unwritten.isEmpty) return
    if (!this.#sessions.available) await this.load()
    const { set, removed } = this.#unwritten.take()
    const id = this.#readId()
    if (id === undefined) {
      if (set.size > 0) await this.#beginAnonymous(set)
      return
    }
    if (this.#shadow !== undefined) {
      const { name } = this.#source.second
      const changed = this.#sessions.outage.change(name, this.#shadow, set, removed)
      this.#adoptShadow(changed.shadow)
      this.#sendShadow(changed.sealed)
      return
    }
    const ifVersion = compare ? this.#loaded?.record.version : undefined
    const change = { set, remove: [...removed], ifVersion }
    const committed = await this.#sessions.commit(id, change)
    switch (committed.outcome) {
      case 'done':
        this.#keep(id, committed.version, set, removed)
        return
      case 'gone':
        return this.#end(id)
      case 'conflict':
        throw new ConflictError()
      case 'too-large':
        throw this.#sessions.form.tooLarge(largestOf(set))
    }
  }

  /** An update before there is a session. */
  async #beginWith(
    name: string,
    change: (text: string | undefined) => string | undefined,
  ): Promise<string | undefined> {
    const text = change(undefined)
    if (text !== undefined) await this.#beginAnonymous(new Map([[name, text]]))
    return text
  }

  async #swap(
    id: SessionId,
    name: string,
    change: (text: string | undefined) => string | undefined,
  ): Promise<string | undefined> {
    const swapped = await this.#sessions.swap(id, name, this.#loaded, change)
    if (swapped.outcome === 'too-large') throw this.#sessions.form.tooLarge(name)
    if (swapped.outcome === 'gone') return this.#end(id)
    if (swapped.text === undefined) this.#keep(id, swapped.version, new Map(), new Set([name]))
    else this.#keep(id, swapped.version, new Map([[name, swapped.text]]), new Set())
    return swapped.text
  }

  /** It ended under this request. */
  #end(id: SessionId): never {
    this.#sessions.odd('gone', id)
    this.#lose(id)
    throw new GoneError()
  }

  /** There is no session by this id any more. */
  #lose(id: SessionId): void {
    this.#forget()
    // The browser may have the next one already: this answer must not take it away.
    if (!this.#sessions.wasReplaced(id)) return
    this.#cookie = undefined
    this.#shadowCookie = undefined
  }

  async #beginAnonymous(fields: ReadonlyMap<string, string>): Promise<void> {
    const { idleMs, absoluteMs } = this.#sessions.options.profiles.default
    const absolute = { afterMs: absoluteMs }
    const begun = await this.#sessions.begin({ user: undefined, idleMs, absolute, device: undefined, fields })
    if (typeof begun !== 'string') this.#adopt(begun)
  }

  #adopt({ id, record, user }: LoadedSession & { readonly id: SessionId }): void {
    this.#id = id
    this.#idRead = true
    this.#isLoaded = true
    this.#unavailable = false
    this.#loaded = { record, user }
    this.#loading = Promise.resolve(this)
    // A permanent one is kept for as long as it can last; the other as long as the browser.
    const maxAgeMs = this.#permanent ? record.absoluteAtMs - this.#sessions.options.clock.wallMs() : undefined
    this.#cookie = { kind: 'set', value: id.text, maxAgeMs }
    this.#shadow = undefined
    this.#shadowCookie = this.#source.second.value === undefined ? undefined : { kind: 'clear' }
    this.#confirm(id, this.#loaded)
  }

  /** There is no session any more. */
  #forget(): void {
    this.#unwritten.clear()
    this.#id = undefined
    this.#idRead = true
    this.#isLoaded = true
    this.#loaded = undefined
    this.#loading = Promise.resolve(this)
    this.#shadow = undefined
    this.#cookie = this.#source.cookie === undefined ? undefined : { kind: 'clear' }
    this.#shadowCookie = this.#source.second.value === undefined ? undefined : { kind: 'clear' }
  }

  #keep(
    id: SessionId,
    version: number,
    set: ReadonlyMap<string, string>,
    removed: ReadonlySet<string>,
  ): void {
    this.#sendShadow(this.#sessions.outage.renew(id, this.#source.second, version))
    if (this.#loaded === undefined) return
    const { record } = this.#loaded
    const fields = new Map([...record.fields, ...set])
    for (const name of removed) fields.delete(name)
    this.#loaded = { ...this.#loaded, record: { ...record, version, fields } }
  }

  #checkSize(name: string, text: string): void {
    const { form } = this.#sessions
    const fields = new Map([...this.#unwritten.over(this.#loaded?.record.fields), [name, text]])
    let bytes = 0
    for (const [each, kept] of fields) bytes += bytesOf(each, kept)
    if (bytes > form.bounds.maxBytes || fields.size > form.bounds.maxFields) throw form.tooLarge(name)
  }

  #deviceText(): string {
    return textOfDevice(this.#source.device)
  }

  #requireLoaded(what: string): void {
    if (!this.#isLoaded) throw new NotLoadedError(what)
  }

  #requireUnsent(what: string): void {
    if (this.#sent) throw new TooLateError(what)
  }
}

/** A session as it is believed: without a proof, and with the data that was changed meanwhile. */
function recordOf({ version, createdMs, confirmedMs, endsMs, changes }: Shadow): SessionRecord {
  const texts = [...(changes ?? [])].flatMap(([name, text]) => (text === null ? [] : [[name, text] as const]))
  return {
    version,
    createdMs,
    touchedMs: confirmedMs,
    idleMs: endsMs - confirmedMs,
    absoluteAtMs: endsMs,
    principal: undefined,
    authenticatedMs: undefined,
    device: undefined,
    fields: new Map(texts),
  }
}
