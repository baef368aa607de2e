/*
 * The session of one request. Nothing is read before somebody asks, nothing is written that was not changed, and who
 * is signed in changes by `login`, `elevate` and `logout` alone, each under a new id.
 */
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
import type { Beginning } from './loaded-session.ts'
import { type Principal, type SessionUser, userOf } from './principal.ts'
import { bytesOf, largestOf } from './session-data.ts'
import type { SessionId } from './session-id.ts'
import { type CookieChanges, type SessionSource, SessionState } from './session-state.ts'
import type { Sessions } from './sessions.ts'
import { type FieldWrites, withWrites } from './unwritten.ts'

/** How a login is to last. */
export interface LoginOptions<Data> {
  /** The permanent profile, with a cookie that outlives the browser. Default false. */
  readonly permanent?: boolean
  /** Fields that the new session takes over from the one before. Default none. */
  readonly keep?: readonly (keyof Data & string)[]
}

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
  /** What was begun and not waited for; undefined when there is nothing of that. */
  underWay(session: Session): Promise<unknown> | undefined
  /** The cookies that go with the answer, whose head is about to leave. */
  seal(session: Session): CookieChanges
}

type AnyData = Readonly<Record<string, unknown>>

interface LoginBeginning extends Beginning {
  readonly user: SessionUser
  readonly absolute: { readonly afterMs: number }
}

/** How often `elevate` tries again when another request writes meanwhile. */
const MAX_ATTEMPTS = 3

export class Session<Data extends object = AnyData> {
  readonly #sessions: Sessions
  readonly #state: SessionState
  /** Changes that have begun and not ended, each by the work that is done for it. */
  #changes: Map<() => unknown, Promise<unknown>> | undefined
  #sent = false

  private constructor(sessions: Sessions, source: SessionSource) {
    this.#sessions = sessions
    this.#state = new SessionState(sessions, source)
  }

  /** One object for all sessions: a request pays nothing for what only the plugin may do. */
  static readonly control: SessionControl = {
    open: (sessions, source) => new Session(sessions, source),
    isChanged: (session) => !session.#state.unwritten.isEmpty,
    wasUsed: (session) => session.#state.wasUsed,
    flush: (session) => session.#flush(),
    drop: (session) => session.#state.unwritten.clear(),
    underWay: (session) => {
      const changes = session.#changes
      return changes === undefined || changes.size === 0 ? undefined : Promise.all(changes.values())
    },
    seal: (session) => session.#seal(),
  }

  /** Whether it has been read, so that `user` can be asked for. */
  get isLoaded(): boolean {
    return this.#state.isLoaded
  }

  /** Whether Redis could not say who is signed in; the request is then treated as anonymous. */
  get unavailable(): boolean {
    return this.#state.unavailable
  }

  /**
   * Whether Redis is away and who is signed in is believed without it: with few roles, without data and without a fresh
   * proof. Of the data only `outageFields` can be changed then; `login()` and `logout()` work.
   */
  get degraded(): boolean {
    return this.#state.shadow !== undefined
  }

  /** While `degraded`: when Redis confirmed the session for the last time, or the login. Undefined otherwise. */
  get confirmedAt(): Date | undefined {
    return this.#state.shadow && new Date(this.#state.shadow.confirmedMs)
  }

  /** Who is signed in. Raises `HOLDFAST_ERR_REDIS_SESSION_NOT_LOADED`. */
  get user(): SessionUser | undefined {
    this.#requireLoaded('session.user')
    return this.#state.loaded?.user
  }

  /**
   * The name of the session in lists and logs; not the secret in the cookie. It changes with every login. Undefined
   * while there is no session. Raises `HOLDFAST_ERR_REDIS_SESSION_NOT_LOADED`.
   */
  get id(): string | undefined {
    this.#requireLoaded('session.id')
    return this.#state.id?.address.hash
  }

  /** When the user last proved who he is. */
  get authenticatedAt(): Date | undefined {
    this.#requireLoaded('session.authenticatedAt')
    const ms = this.#state.loaded?.record.authenticatedMs
    return ms === undefined ? undefined : new Date(ms)
  }

  /** Whether the user proved who he is within `freshAuthMs`. */
  get isFresh(): boolean {
    this.#requireLoaded('session.isFresh')
    const { clock, freshAuthMs } = this.#sessions.options
    return isFresh(this.#state.loaded?.record.authenticatedMs, clock.wallMs(), freshAuthMs)
  }

  /** Reads the session, once: with one call to Redis when there is an id, and none otherwise. */
  load(): Promise<this> {
    return this.#state.load().then(() => this)
  }

  /** A field of the data. */
  async get<Name extends keyof Data & string>(name: Name): Promise<Data[Name] | undefined> {
    const { form } = this.#sessions
    form.check(name)
    const own = this.#state.unwritten.textOf(name)
    if (own === null) return undefined
    if (own !== undefined) return form.valueOf(name, own) as Data[Name] | undefined
    await this.load()
    const text = this.#state.loaded?.record.fields.get(name)
    if (text === undefined) return undefined
    const value = form.valueOf(name, text)
    if (value === undefined) this.#sessions.odd('dropped-field', this.#state.id)
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
    this.#state.unwritten.set(name, text)
  }

  /** Takes a field away. */
  remove(name: keyof Data & string): void {
    this.#requireUnsent('session.remove()')
    this.#sessions.form.check(name)
    this.#state.unwritten.remove(name)
  }

  /**
   * Changes a field by what it has, at once, so that no other request's change is lost: `change` runs again when
   * somebody was faster, and undefined takes the field away. Answers what it has now. Raises `..._GONE`, `..._DATA`,
   * `..._TOO_LARGE`, `..._CONFLICT` and `..._UNAVAILABLE`.
   */
  update<Name extends keyof Data & string>(
    name: Name,
    change: (value: Data[Name] | undefined) => Data[Name] | undefined,
  ): Promise<Data[Name] | undefined> {
    return this.#follow(() => this.#update(name, change))
  }

  async #update<Name extends keyof Data & string>(
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
    if (!this.#state.unwritten.isEmpty) await this.#write(false)
    await this.load()
    if (this.#state.unavailable || this.degraded)
      throw new UnavailableError(`field "${name}" cannot be changed now`)
    const id = this.#state.id
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
    if (this.#state.id === undefined) throw new UnauthenticatedError()
    return this.#sessions.onEnd(this.#state.id, listener)
  }

  /**
   * Signs somebody in, under a new id; the session before it ends. While Redis is away he is signed in as `degraded`
   * says, and gets a session, under one more id, when it is back. Raises `..._FULL` and `..._UNAVAILABLE`.
   */
  login(principal: Principal, options: LoginOptions<Data> = {}): Promise<void> {
    return this.#follow(() => this.#login(principal, options))
  }

  async #login(principal: Principal, options: LoginOptions<Data>): Promise<void> {
    this.#requireUnsent('session.login()')
    const { permanent = false, keep = [] } = options
    for (const name of keep) this.#sessions.form.check(name)
    const user = userOf(principal)
    if (keep.length > 0) await this.load()
    const { idleMs, absoluteMs } = this.#sessions.options.profiles[permanent ? 'permanent' : 'default']
    // What is changed from now on is changed in the session that begins.
    const writes = this.#state.unwritten.take()
    const fields = withWrites(this.#state.loaded?.record.fields, writes, new Set(keep))
    const device = this.#state.deviceText
    const beginning = { user, idleMs, absolute: { afterMs: absoluteMs }, device, fields }
    try {
      await this.#begin(beginning, permanent)
    } catch (error) {
      this.#state.unwritten.putBack(writes)
      throw error
    }
    this.#sessions.counts.logins += 1
    const session = this.#state.id?.address.hash
    if (channels.login.hasSubscribers) channels.login.publish({ session, userId: user.userId })
  }

  /** In Redis, or sealed while it is away. */
  async #begin(beginning: LoginBeginning, permanent: boolean): Promise<void> {
    const { names, second, believes } = this.#state
    const [id, ...others] = names
    try {
      const begun = await this.#sessions.begin(beginning, id && { id, mustExist: false })
      // A login that replaces nothing in particular cannot be refused for it.
      if (typeof begun === 'string') throw new GoneError()
      await this.#sessions.end(...others)
      this.#state.adopt(begun, permanent)
    } catch (error) {
      if (!(error instanceof UnavailableError) || !believes) throw error
      const { user, absolute, fields } = beginning
      const begun = await this.#sessions.beginSealed(second.name, user, { permanent, fields }, names)
      this.#state.adoptSealed(begun, permanent ? absolute.afterMs : undefined)
    }
  }

  /**
   * Notes that the user has just proved once more who he is, under a new id; everything else stays. Raises `..._GONE`
   * when the session has ended meanwhile, and `..._UNAUTHENTICATED` when nobody is signed in.
   */
  elevate(
    options: { readonly methods?: readonly string[]; readonly roles?: readonly string[] } = {},
  ): Promise<void> {
    return this.#follow(() => this.#elevateNow(options))
  }

  async #elevateNow(options: {
    readonly methods?: readonly string[]
    readonly roles?: readonly string[]
  }): Promise<void> {
    this.#requireUnsent('session.elevate()')
    // What is changed from now on is changed in the session that begins.
    const writes = this.#state.unwritten.take()
    try {
      await this.#elevate(options, writes)
    } catch (error) {
      if (!(error instanceof GoneError)) this.#state.unwritten.putBack(writes)
      throw error
    }
  }

  async #elevate(
    options: { readonly methods?: readonly string[]; readonly roles?: readonly string[] },
    writes: FieldWrites,
  ): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      await this.#state.load()
      const { id, loaded } = this.#state
      if (this.#state.unavailable || this.degraded) throw new UnavailableError('a proof cannot be noted now')
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
          device: this.#state.deviceText,
          fields: withWrites(record.fields, writes),
        },
        { id, mustExist: true, ifVersion: record.version },
      )
      if (begun === 'conflict') {
        if (attempt === MAX_ATTEMPTS) throw new ConflictError()
        await this.#state.reload()
        continue
      }
      if (begun === 'gone') {
        this.#state.lose(id)
        throw new GoneError()
      }
      this.#state.adopt(begun, record.idleMs === this.#sessions.options.profiles.permanent.idleMs)
      this.#sessions.counts.elevations += 1
      if (channels.elevate.hasSubscribers) {
        channels.elevate.publish({ session: begun.id.address.hash, userId: user.userId })
      }
      return
    }
  }

  /** Ends the session. */
  logout(): Promise<void> {
    return this.#follow(() => this.#logout())
  }

  async #logout(): Promise<void> {
    this.#requireUnsent('session.logout()')
    const id = this.#state.readId()
    const userId = this.#state.loaded?.user?.userId
    if (id !== undefined) {
      await this.#sessions.end(...this.#state.names)
      this.#sessions.counts.logouts += 1
      if (channels.logout.hasSubscribers) channels.logout.publish({ session: id.address.hash, userId })
    }
    this.#state.forget()
  }

  /**
   * Writes what was changed, now. With `compare`, only when nobody else has written since it was loaded. Raises
   * `..._GONE`, `..._CONFLICT`, `..._TOO_LARGE` and `..._UNAVAILABLE`; the changes are then forgotten.
   */
  commit({ compare = false }: { readonly compare?: boolean } = {}): Promise<void> {
    return this.#follow(() => this.#commit(compare))
  }

  async #commit(compare: boolean): Promise<void> {
    this.#requireUnsent('session.commit()')
    if (compare) this.#requireLoaded('session.commit({ compare: true })')
    await this.#write(compare)
  }

  /** Work that the answer waits for, also where the handler does not. */
  #follow<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#changes ??= new Map()
    const changes = this.#changes
    const change = work().finally(() => changes.delete(work))
    changes.set(work, change)
    return change
  }

  async #flush(): Promise<void> {
    try {
      await this.#write(false)
    } catch (error) {
      if (!(error instanceof GoneError)) throw error
    }
  }

  #seal(): CookieChanges {
    // They are on the answer already when it is begun once more, because something else failed.
    const cookies = this.#sent ? { session: undefined, shadow: undefined } : this.#state.cookies
    this.#sent = true
    return cookies
  }

  async #write(compare: boolean): Promise<void> {
    if (this.#state.unwritten.isEmpty) return
    if (!this.#sessions.available) await this.load()
    const { set, removed } = this.#state.unwritten.take()
    const id = this.#state.readId()
    if (id === undefined) {
      if (set.size > 0) await this.#beginAnonymous(set)
      return
    }
    if (this.#state.shadow !== undefined) {
      const { name } = this.#state.second
      const changed = this.#sessions.outage.change(name, this.#state.shadow, set, removed)
      this.#state.adoptShadow(changed.shadow, changed.sealed)
      return
    }
    const ifVersion = compare ? this.#state.loaded?.record.version : undefined
    const change = { set, remove: [...removed], ifVersion }
    const committed = await this.#sessions.commit(id, change)
    switch (committed.outcome) {
      case 'done':
        this.#state.keep(id, committed.version, { set, removed })
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
    const swapped = await this.#sessions.swap(id, name, this.#state.loaded, change)
    if (swapped.outcome === 'too-large') throw this.#sessions.form.tooLarge(name)
    if (swapped.outcome === 'gone') return this.#end(id)
    const { text } = swapped
    const writes =
      text === undefined
        ? { set: new Map(), removed: new Set([name]) }
        : { set: new Map([[name, text]]), removed: new Set<string>() }
    this.#state.keep(id, swapped.version, writes)
    return text
  }

  /** It ended under this request. */
  #end(id: SessionId): never {
    this.#sessions.odd('gone', id)
    this.#state.lose(id)
    throw new GoneError()
  }

  async #beginAnonymous(fields: ReadonlyMap<string, string>): Promise<void> {
    const { idleMs, absoluteMs } = this.#sessions.options.profiles.default
    const absolute = { afterMs: absoluteMs }
    const begun = await this.#sessions.begin({ user: undefined, idleMs, absolute, device: undefined, fields })
    if (typeof begun !== 'string') this.#state.adopt(begun)
  }

  #checkSize(name: string, text: string): void {
    const { form } = this.#sessions
    const fields = new Map([...this.#state.unwritten.over(this.#state.loaded?.record.fields), [name, text]])
    let bytes = 0
    for (const [each, kept] of fields) bytes += bytesOf(each, kept)
    if (bytes > form.bounds.maxBytes || fields.size > form.bounds.maxFields) throw form.tooLarge(name)
  }

  #requireLoaded(what: string): void {
    if (!this.#state.isLoaded) throw new NotLoadedError(what)
  }

  #requireUnsent(what: string): void {
    if (this.#sent) throw new TooLateError(what)
  }
}
