/*
 * The sessions of a service: what a request does not know. It reads ids, keeps the rules of the store and of the
 * data, counts, and turns every failure of the store into one error.
 */
import { withRetryAfter } from '@holdfast/footing'
import { afterTurn } from './clock.ts'
import { FullError, UnavailableError } from './errors.ts'
import { channels, type OddityName } from './events.ts'
import { touchIsDue } from './lifetime.ts'
import { MemoryStore } from './memory-store.ts'
import { type ResolvedOptions, resolveOptions, type SessionsOptions } from './options.ts'
import { type SessionUser, textOfUser, userOfText } from './principal.ts'
import { RedisStore } from './redis-store.ts'
import { type Revocation, RevocationJournal } from './revocation-journal.ts'
import { type RingKeys, SecretRing, userAddress } from './secret-ring.ts'
import { DataForm } from './session-data.ts'
import { mintId, readId, type SessionId } from './session-id.ts'
import { isBelieved, type Shadow, ShadowMemory, sealShadow, shadowOf, unsealShadow } from './shadow.ts'
import type { Change, Committed, Replaced, SessionRecord, SessionStore } from './store.ts'
import { DEVICE, openRecord, PRINCIPAL, plainTexts, sealedTexts, type TextForm } from './text-form.ts'

/** From where somebody signed in. */
export interface Device {
  /** What the browser calls itself; at most 256 characters. */
  readonly agent: string | undefined
  readonly address: string | undefined
}

/** A session in the list of its user. */
export interface UserSession {
  /** Its name in lists; no secret, and no use as a cookie. */
  readonly id: string
  readonly createdAt: Date
  /** The last use that was noted. */
  readonly usedAt: Date
  /** When it ends at the latest. */
  readonly endsAt: Date
  readonly authenticatedAt: Date | undefined
  readonly device: Device
}

/** A session as a request meets it. */
export interface LoadedSession {
  readonly record: SessionRecord
  readonly user: SessionUser | undefined
}

/** What a new session begins with. */
export interface Beginning {
  readonly user: SessionUser | undefined
  readonly idleMs: number
  readonly absolute: { readonly afterMs: number } | { readonly atMs: number; readonly createdMs: number }
  readonly device: string | undefined
  readonly fields: ReadonlyMap<string, string>
}

/** The session that a new one takes the place of. */
export interface Predecessor {
  readonly id: SessionId
  readonly mustExist: boolean
  readonly ifVersion?: number | undefined
}

/** A session that was just made. */
export interface Begun extends LoadedSession {
  readonly id: SessionId
}

/** Counted since the start of this process. */
export interface SessionCounts {
  loads: number
  /** Loads that found no session. */
  misses: number
  created: number
  logins: number
  elevations: number
  logouts: number
  revoked: number
  commits: number
  conflicts: number
  touches: number
  /** Ids that this service did not mint. */
  badIds: number
  oddities: number
  failures: number
  /** Requests that were believed without Redis. */
  believed: number
  /** Ends that Redis could not be told at once, and those it was told later. */
  journalled: number
  replayed: number
}

const RETRY_AFTER_MS = 1000
/** Until the next try, when Redis is there and did not take an end: it had too much to do. */
const REPLAY_AGAIN_MS = 250
const hashPattern = /^[\w-]{32}$/

export class Sessions {
  readonly options: ResolvedOptions
  readonly form: DataForm
  readonly ring: SecretRing
  readonly counts: SessionCounts = {
    loads: 0,
    misses: 0,
    created: 0,
    logins: 0,
    elevations: 0,
    logouts: 0,
    revoked: 0,
    commits: 0,
    conflicts: 0,
    touches: 0,
    badIds: 0,
    oddities: 0,
    failures: 0,
    believed: 0,
    journalled: 0,
    replayed: 0,
  }
  readonly #store: SessionStore
  readonly #texts: TextForm
  readonly #journal = new RevocationJournal()
  readonly #shadows: ShadowMemory
  #cancelReplay: () => void = () => {}
  #stopListening: () => void = () => {}
  /** Loads of this turn of the event loop: requests of one browser that came together share one. */
  readonly #loads = new Map<string, Promise<LoadedSession | undefined>>()

  /** Raises `HOLDFAST_ERR_REDIS_SESSION_OPTION`. */
  constructor(options: SessionsOptions = {}) {
    this.options = resolveOptions(options)
    const { redis, secrets, fields, encrypt, randomBytes } = this.options
    this.form = new DataForm(fields, this.options)
    this.ring = new SecretRing(secrets)
    this.#store = redis === undefined ? new MemoryStore(this.options) : new RedisStore(redis)
    this.#shadows = new ShadowMemory(this.options.maxInMemory)
    if (redis !== undefined) {
      // Told in the same turn in which Redis is usable again: nothing of this process is on the way before it.
      this.#stopListening = redis.onStateChange((state) => {
        if (state === 'up') this.#replay()
      })
    }
    this.#texts = encrypt ? sealedTexts(randomBytes) : plainTexts
  }

  /** Whether the store can be asked at present. */
  get available(): boolean {
    return this.#store.available
  }

  /** The id in a cookie; costs no call. */
  readId(text: string): SessionId | undefined {
    const id = readId(this.ring, text)
    if (id === undefined) this.counts.badIds += 1
    return id
  }

  /** The session of an id. Raises `HOLDFAST_ERR_REDIS_SESSION_UNAVAILABLE`. */
  load(id: SessionId): Promise<LoadedSession | undefined> {
    const { hash } = id.address
    const shared = this.#loads.get(hash)
    if (shared !== undefined) return shared
    const loading = this.#load(id)
    // Not longer: a request that comes after another one was answered must see what that one did.
    if (this.#loads.size === 0) afterTurn(() => this.#loads.clear())
    this.#loads.set(hash, loading)
    return loading
  }

  /** Makes a session under a new id, instead of an old one. Raises `..._FULL` and `..._UNAVAILABLE`. */
  async begin(beginning: Beginning, old?: Predecessor): Promise<Begun | 'gone' | 'conflict'> {
    const { maxPerUser, whenFull, randomBytes } = this.options
    const { user, idleMs, absolute, device, fields } = beginning
    const keys = this.ring.current
    const list = user && userAddress(keys, user.userId)
    const id = mintId(keys, randomBytes, list?.tag)
    const sealed = (name: string, text: string) => this.#texts.sealed(keys, id.address, name, text)
    const principal = user && textOfUser(user)
    const replaced: Replaced | undefined = old && {
      address: old.id.address,
      mustExist: old.mustExist,
      ifVersion: old.ifVersion,
    }
    const draft = {
      idleMs,
      absolute,
      authenticated: user !== undefined,
      principal: principal && sealed(PRINCIPAL, principal),
      device: device && sealed(DEVICE, device),
      fields: sealedFields(fields, sealed),
    }
    const created = await this.#ask(
      this.#store.create(id.address, list, draft, { maxPerUser, whenFull }, replaced),
    )
    if (created.outcome === 'full') throw new FullError(maxPerUser)
    if (created.outcome !== 'created') return created.outcome
    this.counts.created += 1
    const { nowMs } = created
    const goesOn = 'atMs' in absolute
    const record: SessionRecord = {
      version: 1,
      createdMs: goesOn ? absolute.createdMs : nowMs,
      touchedMs: nowMs,
      idleMs,
      absoluteAtMs: goesOn ? absolute.atMs : nowMs + absolute.afterMs,
      principal,
      authenticatedMs: user && nowMs,
      device,
      fields,
    }
    return { id, record, user }
  }

  /** Writes fields. Raises `..._UNAVAILABLE`. */
  async commit(id: SessionId, change: Pick<Change, 'set' | 'remove' | 'ifVersion'>): Promise<Committed> {
    const { maxBytes, maxFields } = this.options
    const keys = this.#keysOf(id)
    const sealed = (name: string, text: string) => this.#texts.sealed(keys, id.address, name, text)
    const set = sealedFields(change.set, sealed)
    const bounded = { ...change, set, maxBytes, maxFields }
    const committed = await this.#ask(this.#store.commit(id.address, bounded))
    if (committed.outcome === 'done') this.counts.commits += 1
    if (committed.outcome === 'conflict') this.counts.conflicts += 1
    return committed
  }

  /** Notes a use, when it is time to; nobody waits for it. Answers whether it did. */
  touch(id: SessionId, { record }: LoadedSession): boolean {
    const { clock, touchEveryMs } = this.options
    const { touchedMs, idleMs } = record
    if (!touchIsDue(touchedMs, clock.wallMs(), { idleMs, touchEveryMs })) return false
    this.counts.touches += 1
    this.#ask(this.#store.touch(id.address)).catch(() => undefined)
    return true
  }

  /** Ends a session; noted for later when Redis cannot be told. Raises `..._UNAVAILABLE` when there is no room. */
  async end({ address }: SessionId): Promise<void> {
    this.#shadows.forget(address.hash)
    await this.#tell({ kind: 'session', address })
  }

  /**
   * What the second cookie of a session shall be that the store has confirmed just now, under the name that it has;
   * undefined when there is none.
   */
  confirm(name: string, id: SessionId, { record, user }: LoadedSession): string | undefined {
    const { redis, onRedisDown, clock, randomBytes } = this.options
    if (redis === undefined || user === undefined || onRedisDown === 'deny') return undefined
    const shadow = shadowOf(id, user, record, clock.wallMs(), this.options)
    if (onRedisDown === 'sealed-cookie') return sealShadow(this.ring.current, name, shadow, randomBytes)
    this.#shadows.remember(shadow)
    return undefined
  }

  /** What is believed of a session while Redis is not usable; undefined while it is. */
  recall(name: string, id: SessionId, sealed: string | undefined): Shadow | undefined {
    const { onRedisDown, clock } = this.options
    // Never because one call failed, or a client wished it: only when this process itself finds Redis not usable.
    if (this.available || onRedisDown === 'deny') return undefined
    const shadow =
      onRedisDown === 'memory'
        ? this.#shadows.recall(id.address.hash)
        : sealed && unsealShadow(this.ring, name, sealed)
    if (!shadow || !isBelieved(shadow, id, clock.wallMs())) return undefined
    if (this.#journal.covers(shadow.hash, shadow.user.userId, shadow.createdMs)) return undefined
    this.counts.believed += 1
    return shadow
  }

  /** Ends that Redis does not know of yet. */
  get untold(): number {
    return this.#journal.size
  }

  close(): void {
    this.#stopListening()
    this.#cancelReplay()
  }

  /** The sessions of a user, the one used last first. Raises `..._UNAVAILABLE`. */
  async list(userId: string): Promise<readonly UserSession[]> {
    const lists = await Promise.all(
      this.ring.all.map(async (keys) => {
        const list = userAddress(keys, userId)
        const found = await this.#ask(this.#store.list(list))
        return found.map((session): UserSession => {
          const address = { tag: list.tag, hash: session.hash }
          const device = session.device && this.#texts.opened(keys, address, DEVICE, session.device)
          return {
            id: session.hash,
            createdAt: new Date(session.createdMs),
            usedAt: new Date(session.touchedMs),
            endsAt: new Date(session.absoluteAtMs),
            authenticatedAt:
              session.authenticatedMs === undefined ? undefined : new Date(session.authenticatedMs),
            device: deviceOf(device),
          }
        })
      }),
    )
    return lists.flat().sort((a, b) => b.usedAt.getTime() - a.usedAt.getTime())
  }

  /** Ends one session of a user, by its name in his list; answers whether it was there. Raises `..._UNAVAILABLE`. */
  async revoke(userId: string, id: string): Promise<boolean> {
    if (!hashPattern.test(id)) return false
    if (!this.available) {
      // Whose it is, nobody can say now: what is noted ends only what is on his list.
      throw withRetryAfter(new UnavailableError('nobody can say whose session it is'), RETRY_AFTER_MS)
    }
    const ended = await Promise.all(
      this.ring.usersOf(userId).map((list) => this.#ask(this.#store.revoke(list, id))),
    )
    if (!ended.includes(true)) return false
    this.#revoked([id], userId)
    return true
  }

  /**
   * Ends all sessions of a user, but one if wanted; answers how many, and undefined when Redis will be told later.
   * Raises `..._UNAVAILABLE` when there is no room to note it.
   */
  async revokeAll(
    userId: string,
    { except }: { readonly except?: string | undefined } = {},
  ): Promise<number | undefined> {
    const untilMs = this.options.clock.wallMs()
    const ended = await Promise.all(
      this.ring.usersOf(userId).map((list) => this.#tell({ kind: 'user', list, userId, except, untilMs })),
    )
    const hashes = ended.flatMap((told) => (Array.isArray(told) ? (told as readonly string[]) : []))
    this.#revoked(hashes, userId)
    return ended.includes(undefined) ? undefined : hashes.length
  }

  /** Counts, and tells whoever listens, what deserves a look. */
  odd(what: OddityName, id?: SessionId): void {
    this.counts.oddities += 1
    if (channels.oddity.hasSubscribers) channels.oddity.publish({ what, session: id?.address.hash })
  }

  /** Tells the store, or notes it for later; then the answer is undefined. */
  async #tell(revocation: Revocation): Promise<unknown> {
    try {
      return await this.#ask(this.#told(revocation, false))
    } catch (error) {
      if (!this.#journal.note(revocation)) throw error
      this.counts.journalled += 1
      if (this.available) this.#replayLater()
      return undefined
    }
  }

  #told(revocation: Revocation, later: boolean): Promise<unknown> {
    if (revocation.kind === 'session') return this.#store.destroy(revocation.address)
    const { list, except, untilMs } = revocation
    return this.#store.revokeAll(list, later ? { except, createdUntilMs: untilMs } : { except })
  }

  async #replay(): Promise<void> {
    this.#cancelReplay()
    const before = this.#journal.size
    if (before === 0) return
    const done = await this.#journal.replay((revocation) => this.#told(revocation, true))
    this.counts.replayed += before - this.#journal.size
    if (!done && this.available) this.#replayLater()
  }

  #replayLater(): void {
    this.#cancelReplay()
    this.#cancelReplay = this.options.clock.schedule(REPLAY_AGAIN_MS, () => this.#replay())
  }

  #revoked(hashes: readonly string[], userId: string): void {
    this.counts.revoked += hashes.length
    if (!channels.revoke.hasSubscribers) return
    for (const session of hashes) channels.revoke.publish({ session, userId })
  }

  async #load(id: SessionId): Promise<LoadedSession | undefined> {
    this.counts.loads += 1
    const kept = await this.#ask(this.#store.load(id.address))
    if (kept === undefined) {
      this.counts.misses += 1
      return undefined
    }
    const record = openRecord(this.#texts, this.#keysOf(id), id.address, kept)
    if (record?.principal === undefined) {
      if (record === undefined) this.odd('unreadable-session', id)
      return record && { record, user: undefined }
    }
    const user = userOfText(record.principal)
    if (user === undefined) {
      this.odd('unreadable-session', id)
      return undefined
    }
    // It ended here while Redis was away, and Redis may not have been told yet.
    if (this.#journal.covers(id.address.hash, user.userId, record.createdMs)) return undefined
    return { record, user }
  }

  #keysOf({ kid }: SessionId): RingKeys {
    return this.ring.find(kid) ?? this.ring.current
  }

  async #ask<Answer>(asked: Promise<Answer>): Promise<Answer> {
    try {
      return await asked
    } catch (cause) {
      this.counts.failures += 1
      throw withRetryAfter(new UnavailableError((cause as Error).message, { cause }), RETRY_AFTER_MS)
    }
  }
}

function sealedFields(
  fields: ReadonlyMap<string, string>,
  sealed: (name: string, text: string) => string,
): ReadonlyMap<string, string> {
  return new Map([...fields].map(([name, text]) => [name, sealed(name, text)]))
}

function deviceOf(text: string | undefined): Device {
  if (text === undefined) return { agent: undefined, address: undefined }
  const [agent, address] = JSON.parse(text) as readonly (string | null)[]
  return { agent: agent ?? undefined, address: address ?? undefined }
}

/** The text that is kept of a device. */
export function textOfDevice({ agent, address }: Device): string {
  return JSON.stringify([agent?.slice(0, MAX_AGENT).toWellFormed() ?? null, address ?? null])
}

const MAX_AGENT = 256
