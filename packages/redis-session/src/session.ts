/*
 * The session of one request. Nothing is read before somebody asks, nothing is written that was not changed, and who
 * is signed in changes by `login`, `elevate` and `logout` alone, each under a new id.
 */
import {
  ConflictError,
  GoneError,
  NotLoadedError,
  TooLateError,
  UnauthenticatedError,
  UnavailableError,
} from './errors.ts'
import { channels } from './events.ts'
import { isFresh } from './lifetime.ts'
import { type Principal, type SessionUser, userOf } from './principal.ts'
import { bytesOf, largestOf } from './session-data.ts'
import type { SessionId } from './session-id.ts'
import { type Device, type LoadedSession, type Sessions, textOfDevice } from './sessions.ts'

/** What a request brings along. */
export interface SessionSource {
  /** The value of our cookie. */
  readonly cookie: string | undefined
  /** The name and the value of the second one. */
  readonly shadowName: string
  readonly shadow: string | undefined
  /** Whether this route believes who is signed in without Redis. */
  readonly believes: () => boolean
  readonly device: () => Device
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
  #set = new Map<string, string>()
  #removed = new Set<string>()
  #degraded = false
  #cookie: CookieChange | undefined
  #shadowCookie: CookieChange | undefined
  #sent = false

  constructor(sessions: Sessions, source: SessionSource) {
    this.#sessions = sessions
    this.#source = source
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
   * proof. Nothing can be changed then, but `logout()` works.
   */
  get degraded(): boolean {
    return this.#degraded
  }

  /** While `degraded`: when Redis confirmed the session for the last time. Undefined otherwise. */
  get confirmedAt(): Date | undefined {
    const ms = this.#degraded ? this.#loaded?.record.touchedMs : undefined
    return ms === undefined ? undefined : new Date(ms)
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
    const own = this.#set.get(name)
    if (own !== undefined) return form.valueOf(name, own) as Data[Name] | undefined
    if (this.#removed.has(name)) return undefined
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
    this.#removed.delete(name)
    this.#set.set(name, text)
  }

  /** Takes a field away. */
  remove(name: keyof Data & string): void {
    this.#requireUnsent('session.remove()')
    this.#sessions.form.check(name)
    this.#set.delete(name)
    this.#removed.add(name)
  }

  /** Signs somebody in, under a new id; the session before it ends. */
  async login(principal: Principal, options: LoginOptions<Data> = {}): Promise<void> {
    this.#requireUnsent('session.login()')
    const { permanent = false, keep = [] } = options
    const user = userOf(principal)
    if (keep.length > 0) await this.load()
    const fields = this.#merged(new Set(keep))
    const { idleMs, absoluteMs } = this.#sessions.options.profiles[permanent ? 'permanent' : 'default']
    const id = this.#readId()
    const beginning = { user, idleMs, absolute: { afterMs: absoluteMs }, device: this.#deviceText(), fields }
    const old = id && { id, mustExist: false }
    const begun = await this.#sessions.begin(beginning, old)
    // A login that replaces nothing in particular cannot be refused for it.
    if (typeof begun === 'string') throw new GoneError()
    this.#permanent = permanent
    this.#adopt(begun)
    this.#sessions.counts.logins += 1
    if (channels.login.hasSubscribers) {
      channels.login.publish({ session: begun.id.address.hash, userId: user.userId })
    }
  }

  /**
   * Notes that the user has just proved once more who he is, under a new id; everything else stays. Raises `..._GONE`
   * when the session has ended meanwhile, and `..._UNAUTHENTICATED` when nobody is signed in.
   */
  async elevate(
    options: { readonly methods?: readonly string[]; readonly roles?: readonly string[] } = {},
  ): Promise<void> {
    this.#requireUnsent('session.elevate()')
    for (let attempt = 1; ; attempt += 1) {
      await this.load()
      const [id, loaded] = [this.#id, this.#loaded]
      if (this.#unavailable || this.#degraded) throw new UnavailableError('a proof cannot be noted now')
      if (id === undefined || loaded?.user === undefined) throw new UnauthenticatedError()
      const { record } = loaded
      const user = userOf({ ...loaded.user, ...options })
      const begun = await this.#sessions.begin(
        {
          user,
          idleMs: record.idleMs,
          absolute: { atMs: record.absoluteAtMs, createdMs: record.createdMs },
          device: this.#deviceText(),
          fields: this.#merged(),
        },
        { id, mustExist: true, ifVersion: record.version },
      )
      if (begun === 'conflict') {
        if (attempt === MAX_ATTEMPTS) throw new ConflictError()
        this.#loading = undefined
        continue
      }
      if (begun === 'gone') {
        this.#forget()
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
      await this.#sessions.end(id)
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

  /** Whether something is to be written. Of the plugin. */
  get isChanged(): boolean {
    return this.#set.size > 0 || this.#removed.size > 0
  }

  /** Whether the answer can depend on it. Of the plugin. */
  get wasUsed(): boolean {
    return this.#idRead
  }

  /** Writes what was changed, before the answer leaves; the end of a session is no error here. Of the plugin. */
  async flush(): Promise<void> {
    try {
      await this.#write(false)
    } catch (error) {
      if (!(error instanceof GoneError)) throw error
    }
  }

  /** Forgets what was changed: the request failed. Of the plugin. */
  drop(): void {
    this.#set.clear()
    this.#removed.clear()
  }

  /** The cookie that goes with the answer, whose head is about to leave. Of the plugin. */
  seal(): CookieChanges {
    this.#sent = true
    return { session: this.#cookie, shadow: this.#shadowCookie }
  }

  async #load(): Promise<this> {
    const id = this.#readId()
    if (id !== undefined) {
      try {
        this.#loaded = await this.#sessions.load(id)
        if (this.#loaded === undefined) this.#forget()
        else if (this.#sessions.touch(id, this.#loaded)) this.#confirm(id, this.#loaded)
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error
        this.#believe(id)
      }
    }
    this.#isLoaded = true
    return this
  }

  #believe(id: SessionId): void {
    const { shadowName, shadow: sealed, believes } = this.#source
    const shadow = believes() ? this.#sessions.recall(shadowName, id, sealed) : undefined
    if (shadow === undefined) {
      this.#unavailable = true
      return
    }
    const { user, version, createdMs, confirmedMs, endsMs } = shadow
    this.#degraded = true
    const record = {
      version,
      createdMs,
      touchedMs: confirmedMs,
      idleMs: endsMs - confirmedMs,
      absoluteAtMs: endsMs,
      principal: undefined,
      authenticatedMs: undefined,
      device: undefined,
      fields: new Map(),
    }
    this.#loaded = { record, user }
  }

  /** The store has just said that the session is there: what an outage may believe is made anew. */
  #confirm(id: SessionId, loaded: LoadedSession): void {
    const value = this.#sessions.confirm(this.#source.shadowName, id, loaded)
    if (value === undefined) return
    const maxAgeMs = this.#sessions.options.outageMs
    this.#shadowCookie = { kind: 'set', value, maxAgeMs }
  }

  #readId(): SessionId | undefined {
    if (this.#idRead) return this.#id
    this.#idRead = true
    const { cookie } = this.#source
    if (cookie !== undefined && cookie !== '') this.#id = this.#sessions.readId(cookie)
    return this.#id
  }

  async #write(compare: boolean): Promise<void> {
    if (!this.isChanged) return
    const [set, removed] = [this.#set, this.#removed]
    this.#set = new Map()
    this.#removed = new Set()
    const id = this.#readId()
    if (id === undefined) {
      if (set.size > 0) await this.#beginAnonymous(set)
      return
    }
    const ifVersion = compare ? this.#loaded?.record.version : undefined
    const change = { set, remove: [...removed], ifVersion }
    const committed = await this.#sessions.commit(id, change)
    switch (committed.outcome) {
      case 'done':
        this.#keep(committed.version, set, removed)
        return
      case 'gone':
        this.#sessions.odd('gone', id)
        this.#forget()
        throw new GoneError()
      case 'conflict':
        throw new ConflictError()
      case 'too-large':
        throw this.#sessions.form.tooLarge(largestOf(set))
    }
  }

  async #beginAnonymous(fields: ReadonlyMap<string, string>): Promise<void> {
    const { idleMs, absoluteMs } = this.#sessions.options.profiles.default
    const absolute = { afterMs: absoluteMs }
    const begun = await this.#sessions.begin({ user: undefined, idleMs, absolute, device: undefined, fields })
    if (typeof begun !== 'string') this.#adopt(begun)
  }

  #adopt({ id, record, user }: LoadedSession & { readonly id: SessionId }): void {
    this.drop()
    this.#id = id
    this.#idRead = true
    this.#isLoaded = true
    this.#unavailable = false
    this.#loaded = { record, user }
    this.#loading = Promise.resolve(this)
    // A permanent one is kept for as long as it can last; the other as long as the browser.
    const maxAgeMs = this.#permanent ? record.absoluteAtMs - this.#sessions.options.clock.wallMs() : undefined
    this.#cookie = { kind: 'set', value: id.text, maxAgeMs }
    this.#degraded = false
    this.#shadowCookie = this.#source.shadow === undefined ? undefined : { kind: 'clear' }
    this.#confirm(id, this.#loaded)
  }

  /** There is no session any more. */
  #forget(): void {
    this.drop()
    this.#id = undefined
    this.#idRead = true
    this.#isLoaded = true
    this.#loaded = undefined
    this.#loading = Promise.resolve(this)
    this.#degraded = false
    this.#cookie = this.#source.cookie === undefined ? undefined : { kind: 'clear' }
    this.#shadowCookie = this.#source.shadow === undefined ? undefined : { kind: 'clear' }
  }

  #keep(version: number, set: ReadonlyMap<string, string>, removed: ReadonlySet<string>): void {
    if (this.#loaded === undefined) return
    const { record, user } = this.#loaded
    const fields = new Map([...record.fields, ...set])
    for (const name of removed) fields.delete(name)
    this.#loaded = { record: { ...record, version, fields }, user }
  }

  /** The data as it will be; of these names, or all. */
  #merged(names?: ReadonlySet<string>): ReadonlyMap<string, string> {
    const fields = new Map([...(this.#loaded?.record.fields ?? []), ...this.#set])
    for (const name of fields.keys()) {
      if (this.#removed.has(name) || names?.has(name) === false) fields.delete(name)
    }
    return fields
  }

  #checkSize(name: string, text: string): void {
    const { form } = this.#sessions
    const fields = new Map([...this.#merged(), [name, text]])
    let bytes = 0
    for (const [each, kept] of fields) bytes += bytesOf(each, kept)
    if (bytes > form.bounds.maxBytes || fields.size > form.bounds.maxFields) throw form.tooLarge(name)
  }

  #deviceText(): string {
    return textOfDevice(this.#source.device())
  }

  #requireLoaded(what: string): void {
    if (!this.#isLoaded) throw new NotLoadedError(what)
  }

  #requireUnsent(what: string): void {
    if (this.#sent) throw new TooLateError(what)
  }
}
