/*
 * What one request knows of its session: which one it is, what was read of it or is believed, what was changed, and what
 * becomes of the cookies with the answer. Guarantees: it is read at most once; what comes late, after a login or a logout
 * of the same request, changes nothing any more.
 */
import { type Device, textOfDevice } from './device.ts'
import { UnavailableError } from './errors.ts'
import type { LoadedSession, SealedLogin } from './loaded-session.ts'
import type { SecondCookie } from './outage.ts'
import type { SessionId } from './session-id.ts'
import type { Sessions } from './sessions.ts'
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

/** What becomes of the two cookies with the answer; undefined: nothing. */
export interface CookieChanges {
  readonly session: CookieChange | undefined
  readonly shadow: CookieChange | undefined
}

/** What becomes of a cookie. */
export type CookieChange =
  | { readonly kind: 'set'; readonly value: string; readonly maxAgeMs: number | undefined }
  | { readonly kind: 'clear' }

export class SessionState {
  readonly unwritten = new Unwritten()
  readonly #sessions: Sessions
  readonly #source: SessionSource
  #id: SessionId | undefined
  #idRead = false
  #loading: Promise<void> | undefined
  #loaded: LoadedSession | undefined
  #isLoaded = false
  #unavailable = false
  #permanent = false
  #shadow: Shadow | undefined
  #cookie: CookieChange | undefined
  #shadowCookie: CookieChange | undefined

  constructor(sessions: Sessions, source: SessionSource) {
    this.#sessions = sessions
    this.#source = source
    if (!source.isAnonymous) return
    this.#idRead = true
    this.#isLoaded = true
  }

  /** The id, where it was looked at. */
  get id(): SessionId | undefined {
    return this.#id
  }

  /** Whether the answer can depend on it. */
  get wasUsed(): boolean {
    return this.#idRead
  }

  get isLoaded(): boolean {
    return this.#isLoaded
  }

  get unavailable(): boolean {
    return this.#unavailable
  }

  get loaded(): LoadedSession | undefined {
    return this.#loaded
  }

  /** What is believed while Redis is away. */
  get shadow(): Shadow | undefined {
    return this.#shadow
  }

  get cookies(): CookieChanges {
    return { session: this.#cookie, shadow: this.#shadowCookie }
  }

  /** Whether this route believes who is signed in without Redis. */
  get believes(): boolean {
    return this.#source.believes
  }

  get second(): SecondCookie {
    return this.#source.second
  }

  get deviceText(): string {
    return textOfDevice(this.#source.device)
  }

  /** The ids under which the session of this request may be kept. */
  get names(): readonly SessionId[] {
    return this.#sessions.namesOf(this.readId(), this.#source.second)
  }

  /** Looks at the cookie, once. */
  readId(): SessionId | undefined {
    if (this.#idRead) return this.#id
    this.#idRead = true
    const { cookie } = this.#source
    if (cookie !== undefined && cookie !== '') this.#id = this.#sessions.readId(cookie)
    return this.#id
  }

  /** Reads the session, once. */
  load(): Promise<void> {
    this.#loading ??= this.#load()
    return this.#loading
  }

  /** Reads it once more: somebody else has changed it. */
  reload(): Promise<void> {
    this.#loading = undefined
    return this.load()
  }

  /** A session has begun, and is that of this request from now on. */
  adopt({ id, record, user }: LoadedSession & { readonly id: SessionId }, permanent = this.#permanent): void {
    this.#become(id)
    this.#permanent = permanent
    this.#loaded = { record, user }
    this.#shadow = undefined
    // A permanent one is kept for as long as it can last; the other as long as the browser.
    const lastsMs = record.absoluteAtMs - this.#sessions.options.clock.wallMs()
    this.#cookie = { kind: 'set', value: id.text, maxAgeMs: permanent ? lastsMs : undefined }
    this.#shadowCookie = this.#source.second.value === undefined ? undefined : { kind: 'clear' }
    this.#confirm(id, this.#loaded)
  }

  /** Somebody has signed in without Redis. */
  adoptSealed({ id, shadow, sealed }: SealedLogin, maxAgeMs: number | undefined): void {
    this.#become(id)
    this.#cookie = { kind: 'set', value: id.text, maxAgeMs }
    this.adoptShadow(shadow, sealed)
  }

  /** What is believed of it, with the second cookie for that where it has changed. */
  adoptShadow(shadow: Shadow, sealed?: string): void {
    this.#shadow = shadow
    this.#loaded = { record: recordOf(shadow), user: shadow.user }
    this.#sendShadow(sealed)
  }

  /** Fields were written. */
  keep(id: SessionId, version: number, writes: FieldWrites): void {
    this.#sendShadow(this.#sessions.outage.renew(id, this.#source.second, version))
    if (this.#loaded === undefined) return
    const { record } = this.#loaded
    this.#loaded = {
      ...this.#loaded,
      record: { ...record, version, fields: withWrites(record.fields, writes) },
    }
  }

  /** There is no session by this id any more. */
  lose(id: SessionId): void {
    this.forget()
    // The browser may have the next one already: this answer must not take it away.
    if (!this.#sessions.wasReplaced(id)) return
    this.#cookie = undefined
    this.#shadowCookie = undefined
  }

  /** There is no session any more. */
  forget(): void {
    this.unwritten.clear()
    this.#become(undefined)
    this.#loaded = undefined
    this.#shadow = undefined
    this.#cookie = this.#source.cookie === undefined ? undefined : { kind: 'clear' }
    this.#shadowCookie = this.#source.second.value === undefined ? undefined : { kind: 'clear' }
  }

  async #load(): Promise<void> {
    const id = this.readId()
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
  }

  /** What an outage may believe of a session that is there is made anew now and then. */
  #meet(id: SessionId, found: LoadedSession | undefined): void {
    if (!this.#isStill(id)) return
    if (found === undefined) {
      this.lose(id)
      return
    }
    this.#loaded = found
    if (this.#sessions.touch(id, found)) this.#confirm(id, found)
  }

  /** There is no such session: unless somebody signed in by that id while Redis was away. */
  async #claim(id: SessionId, pending: Shadow): Promise<void> {
    const claimed = await this.#sessions.claim(id, pending, this.deviceText)
    if (!this.#isStill(id)) return
    if (claimed === undefined) this.forget()
    else this.adopt(claimed, claimed.permanent)
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

  #believe(id: SessionId): void {
    const shadow = this.#source.believes ? this.#sessions.recall(id, this.#source.second) : undefined
    if (shadow === undefined) this.#unavailable = true
    else this.adoptShadow(shadow)
  }

  /** Whether nobody has signed in or out in this request since it had this id: then what comes late is of no use. */
  #isStill(id: SessionId): boolean {
    return this.#id === id
  }

  #become(id: SessionId | undefined): void {
    this.#id = id
    this.#idRead = true
    this.#isLoaded = true
    this.#unavailable = false
    this.#loading = Promise.resolve()
  }

  /** The store has just said that the session is there: what an outage may believe is made anew. */
  #confirm(id: SessionId, loaded: LoadedSession): void {
    this.#sendShadow(this.#sessions.outage.confirm(this.#source.second.name, id, loaded))
  }

  #sendShadow(value: string | undefined): void {
    if (value === undefined) return
    this.#shadowCookie = { kind: 'set', value, maxAgeMs: this.#sessions.options.outageMs }
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
