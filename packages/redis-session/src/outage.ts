/*
 * What happens while Redis is away, and when it comes back: whom to believe, which ends are noted, and what Redis has
 * to be told before this process uses it again.
 */
import type { RedisCalls } from '@holdfast/redis-guard'
import { TooLargeError, UnavailableError } from './errors.ts'
import type { OddityName, OutageEvent } from './events.ts'
import { channels } from './events.ts'
import type { LoadedSession } from './loaded-session.ts'
import { newOwner, type ResolvedOptions } from './options.ts'
import type { SessionUser } from './principal.ts'
import { RedisStore } from './redis-store.ts'
import type { Revocation, Suspect } from './revocation-index.ts'
import { RevocationJournal } from './revocation-journal.ts'
import type { SecretRing } from './secret-ring.ts'
import { type SessionId, successorOf } from './session-id.ts'
import {
  isBelieved,
  isPending,
  MAX_SEALED_LENGTH,
  type Shadow,
  ShadowMemory,
  saysPending,
  sealShadow,
  shadowOf,
  shadowOfLogin,
  unsealShadow,
  withChanges,
} from './shadow.ts'
import type { SessionRedis, SessionStore } from './store.ts'
import { within } from './within.ts'

export interface OutageSettings {
  readonly options: ResolvedOptions
  readonly ring: SecretRing
  readonly redis: SessionRedis | undefined
  readonly store: SessionStore
  /** Whether this process knows that a session ended a short while ago. */
  readonly hasEnded: (hash: string) => boolean
  readonly odd: (what: OddityName, id?: SessionId) => void
  /** How many ends Redis was told of later. */
  readonly onReplayed: (ends: number) => void
}

/** The second cookie of a request: its name and its value. */
export interface SecondCookie {
  readonly name: string
  readonly value: string | undefined
}

/** The log has as long for each question. */
const LOG_BUDGET_MS = 1000
/** Until the next try to tell Redis, when it is there and did not take an end: it had too much to do. */
const TELL_AGAIN_MS = 250
/** While Redis is away, the ends that others note are read so often; and while the log was not read as a whole. */
const LOOK_OFTEN_MS = 1000
/** And so often otherwise: another process may have lost Redis alone, and have been killed since. */
const LOOK_MS = 10_000

export class Outage {
  readonly #settings: OutageSettings
  readonly #journal: RevocationJournal
  readonly #shadows: ShadowMemory
  #beganMs: number | undefined
  #closed = false
  #looks = 0
  #cancelLook: () => void = () => {}
  readonly #stops: (() => void)[] = []

  constructor(settings: OutageSettings) {
    this.#settings = settings
    const { options, redis } = settings
    this.#journal = new RevocationJournal({
      log: options.revocationLog,
      owner: newOwner(),
      clock: options.clock,
      rememberMs: options.outageMs,
      maxPerUser: options.maxPerUser,
    })
    this.#shadows = new ShadowMemory(options.maxInMemory)
    if (redis === undefined) return
    this.#stops.push(
      redis.beforeUp((calls) => this.#look(calls)),
      redis.onStateChange((state) => {
        if (state === 'down') this.#begin()
        else if (state === 'up') this.#end()
      }),
    )
    if (!redis.available) this.#begin()
  }

  /** Whether this process finds Redis not usable. */
  get isOn(): boolean {
    return this.#beganMs !== undefined
  }

  /** Ends that Redis does not know of yet. */
  get untold(): number {
    return this.#journal.size
  }

  /** Tells Redis what processes before this one could not; for a Redis that was usable before this was made. */
  async begin(): Promise<void> {
    const { redis } = this.#settings
    if (redis?.available) await this.#look(redis)
  }

  close(): void {
    this.#closed = true
    for (const stop of this.#stops) stop()
    this.#cancelLook()
  }

  /** What the second cookie shall be of a session that Redis has confirmed just now; undefined when there is none. */
  confirm(name: string, id: SessionId, { record, user }: LoadedSession): string | undefined {
    const { options, redis } = this.#settings
    if (redis === undefined || user === undefined || options.onRedisDown === 'deny') return undefined
    const shadow = shadowOf(id, user, record, options.clock.wallMs(), options)
    const sealed = this.#keep(name, shadow)
    if (sealed === undefined && options.onRedisDown === 'sealed-cookie')
      this.#settings.odd('large-shadow', id)
    return sealed
  }

  /**
   * What the second cookie shall be after a write, so that changes without Redis can follow on it; undefined when it
   * may stay as it is.
   */
  renew(id: SessionId, second: SecondCookie, version: number): string | undefined {
    if (this.#settings.options.outageFields.length === 0) return undefined
    const shadow = this.#open(id, second)
    if (shadow === undefined || isPending(shadow)) return undefined
    return this.#keep(second.name, { ...shadow, version })
  }

  /** What is believed of a session while Redis is not usable; undefined while it is. */
  recall(id: SessionId, second: SecondCookie): Shadow | undefined {
    // Never because one call failed, or a client wished it: only when this process itself finds Redis not usable.
    if (this.#settings.store.available) return undefined
    return this.#open(id, second)
  }

  /** What Redis has to be told of a session; costs nothing when it is nothing. */
  pending(id: SessionId, second: SecondCookie): Shadow | undefined {
    const { onRedisDown } = this.#settings.options
    if (onRedisDown === 'sealed-cookie' && (second.value === undefined || !saysPending(second.value)))
      return undefined
    const shadow = this.#open(id, second)
    return shadow !== undefined && isPending(shadow) ? shadow : undefined
  }

  /** Redis was told, or does not have to be any more. */
  settled({ address }: Pick<SessionId, 'address'>): void {
    this.#shadows.forget(address.hash)
  }

  /** The shadow of a login, and the second cookie for it. Raises `..._UNAVAILABLE` where there can be none. */
  login(
    name: string,
    id: SessionId,
    user: SessionUser,
    { permanent, fields }: { readonly permanent: boolean; readonly fields: ReadonlyMap<string, string> },
  ): { readonly shadow: Shadow; readonly sealed: string | undefined } {
    const { options, store, redis } = this.#settings
    const { profiles, clock, outageFields } = options
    if (redis === undefined || store.available || options.onRedisDown === 'deny' || options.outageMs === 0) {
      throw new UnavailableError('nobody can sign in now')
    }
    const { idleMs } = profiles[permanent ? 'permanent' : 'default']
    const begun = shadowOfLogin(id, user, { permanent, idleMs, nowMs: clock.wallMs() }, options)
    const kept = new Map([...fields].filter(([field]) => outageFields.includes(field)))
    const shadow = kept.size === 0 ? begun : withChanges(begun, kept, new Set())
    return { shadow, sealed: this.#mustKeep(name, shadow, [...kept.keys()][0] ?? 'principal') }
  }

  /** The shadow after a change, and the second cookie for it. Raises `..._UNAVAILABLE` and `..._TOO_LARGE`. */
  change(
    name: string,
    shadow: Shadow,
    set: ReadonlyMap<string, string>,
    removed: ReadonlySet<string>,
  ): { readonly shadow: Shadow; readonly sealed: string | undefined } {
    const { outageFields } = this.#settings.options
    const names = [...set.keys(), ...removed]
    const lost = names.find((field) => !outageFields.includes(field))
    if (lost !== undefined) throw new UnavailableError(`field "${lost}" cannot be changed now`)
    const changed = withChanges(shadow, set, removed)
    return { shadow: changed, sealed: this.#mustKeep(name, changed, names[0] ?? '') }
  }

  /** Notes an end for later; answers false when there is no room. Rejects when the log cannot keep it. */
  async note(revocation: Revocation): Promise<boolean> {
    if (revocation.kind === 'session') this.#shadows.forget(revocation.address.hash)
    const { clock } = this.#settings.options
    try {
      return await within(LOG_BUDGET_MS, clock, 'the log of ends', this.#journal.note(revocation))
    } catch (error) {
      this.#settings.odd('log-failed')
      throw error
    } finally {
      if (this.#settings.store.available) this.#lookIn(TELL_AGAIN_MS)
    }
  }

  /** Whether a session has ended, of which Redis may not know yet. */
  covers({ address }: SessionId, createdMs: number, user: SessionUser): boolean {
    return this.#journal.covers(this.#suspect([address.hash], createdMs, user))
  }

  #suspect(hashes: readonly string[], createdMs: number, { userId }: SessionUser): Suspect {
    return { hashes, createdMs, listsOf: () => this.#settings.ring.usersOf(userId) }
  }

  #open(id: SessionId, { name, value }: SecondCookie): Shadow | undefined {
    const { options, ring, hasEnded } = this.#settings
    if (options.onRedisDown === 'deny') return undefined
    const shadow =
      options.onRedisDown === 'memory'
        ? this.#shadows.recall(id.address.hash)
        : value && unsealShadow(ring, name, value)
    if (!shadow || !isBelieved(shadow, id, options.clock.wallMs())) return undefined
    const keys = ring.find(id.kid)
    // A login may have become a session at another process, and ended as that.
    const hashes = shadow.login && keys ? [shadow.hash, successorOf(keys, id).address.hash] : [shadow.hash]
    const hasEndedHere = this.#journal.remembers(this.#suspect(hashes, shadow.createdMs, shadow.user))
    return hasEndedHere || hashes.some(hasEnded) ? undefined : shadow
  }

  #keep(name: string, shadow: Shadow): string | undefined {
    const { options, ring } = this.#settings
    if (options.onRedisDown === 'sealed-cookie')
      return sealShadow(ring.current, name, shadow, options.randomBytes)
    this.#shadows.remember(shadow)
    return undefined
  }

  #mustKeep(name: string, shadow: Shadow, what: string): string | undefined {
    const sealed = this.#keep(name, shadow)
    if (sealed !== undefined || this.#settings.options.onRedisDown === 'memory') return sealed
    throw new TooLargeError(what, `a cookie of ${MAX_SEALED_LENGTH} characters while Redis is away`)
  }

  #begin(): void {
    if (this.#beganMs !== undefined) return
    this.#beganMs = this.#settings.options.clock.nowMs()
    this.#publish({ state: 'began', forMs: 0, untold: this.untold })
    this.#lookIn(this.#nextLookMs(true))
  }

  #end(): void {
    if (this.#beganMs === undefined) return
    const forMs = this.#settings.options.clock.nowMs() - this.#beganMs
    this.#beganMs = undefined
    this.#publish({ state: 'ended', forMs, untold: this.untold })
    if (this.untold > 0) this.#lookIn(TELL_AGAIN_MS)
  }

  #publish(event: OutageEvent): void {
    if (channels.outage.hasSubscribers) channels.outage.publish(event)
  }

  /**
   * Learns what was noted anywhere, so that it ends here, too; tells Redis all of it, when there is one to be told; and
   * looks again later.
   */
  async #look(calls: RedisCalls | undefined): Promise<void> {
    this.#cancelLook()
    this.#looks += 1
    const own = this.#looks
    const learnt = await this.#learn()
    if (calls !== undefined && this.untold > 0) {
      const store = storeOf(calls)
      this.#settings.onReplayed(await this.#journal.replay((revocation) => tellLater(store, revocation)))
    }
    // One that began later looks again by itself.
    if (own === this.#looks) this.#lookIn(this.#nextLookMs(learnt))
  }

  /** Answers whether the log was read, and all of it. */
  async #learn(): Promise<boolean> {
    try {
      return await within(
        LOG_BUDGET_MS,
        this.#settings.options.clock,
        'the log of ends',
        this.#journal.learn(),
      )
    } catch {
      this.#settings.odd('log-failed')
      return false
    }
  }

  /** Undefined when there is nothing to look for. */
  #nextLookMs(learnt: boolean): number | undefined {
    const { options, store } = this.#settings
    if (this.untold > 0 && store.available) return TELL_AGAIN_MS
    if (options.revocationLog === undefined) return undefined
    return learnt && !this.isOn ? LOOK_MS : LOOK_OFTEN_MS
  }

  #lookIn(delayMs: number | undefined): void {
    const { options, redis } = this.#settings
    this.#cancelLook()
    if (this.#closed || delayMs === undefined) return
    this.#cancelLook = options.clock.schedule(delayMs, () => this.#look(redis?.available ? redis : undefined))
  }
}

/** As the one that Redis is always asked by, over a connection that nobody else may use yet. */
function storeOf(calls: RedisCalls): SessionStore {
  return new RedisStore({
    available: true,
    run: (...call) => calls.run(...call),
    call: (...call) => calls.call(...call),
    key: (...parts) => calls.key(...parts),
  })
}

/** Tells a store of an end that was noted earlier. */
function tellLater(store: SessionStore, revocation: Revocation): Promise<unknown> {
  switch (revocation.kind) {
    case 'session':
      return store.destroy(revocation.address)
    case 'listed':
      return store.revoke(revocation.list, revocation.hash)
    case 'user': {
      const { list, except, untilMs } = revocation
      return store.revokeAll(list, { except, createdUntilMs: untilMs })
    }
  }
}
