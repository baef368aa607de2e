/*
 * A store for `express-session` and `@fastify/session`, for services that move here step by step. Those libraries keep
 * one text per session and write all of it. Two things are better than usual: times to live are exact to the
 * millisecond, and a session that was destroyed is not brought back by a request that was still under way, because
 * its place is kept empty for a while.
 */
import { EventEmitter } from 'node:events'
import type { Clock } from '@holdfast/footing'
import type { RedisScript } from '@holdfast/redis-guard'
import { TooLargeError } from './errors.ts'
import { type CallbackStoreOptions, resolveStoreOptions } from './options.ts'
import { type Address, type RingKeys, SecretRing, userAddress } from './secret-ring.ts'
import type { SessionRedis } from './store.ts'

/** As those libraries call back. */
export type StoreCallback<Value = void> = (error?: unknown, value?: Value) => void

/** What they hand over: an object of JSON with a cookie. */
export interface StoredSession {
  readonly cookie?: { readonly expires?: Date | string | null | undefined } | undefined
}

/** For so long nobody can bring a destroyed session back: longer than any request. */
const GRAVE_MS = 600_000
const LENT = ['createSession', 'load', 'regenerate'] as const

/** KEYS session. ARGV text, milliseconds. Answers 0 when it was destroyed. */
const setScript: RedisScript<boolean> = {
  name: 'session-text-set',
  keys: 1,
  lua: `
if redis.call('GET', KEYS[1]) == '' then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`,
  decode: (reply) => Number(reply) === 1,
}

/** KEYS session. ARGV milliseconds. Answers 0 when it is not there, or was destroyed. */
const touchScript: RedisScript<boolean> = {
  name: 'session-text-touch',
  keys: 1,
  lua: `
if redis.call('STRLEN', KEYS[1]) == 0 then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[1])
`,
  decode: (reply) => Number(reply) === 1,
}

export class CallbackStore extends EventEmitter {
  readonly #redis: SessionRedis
  readonly #ring: SecretRing
  readonly #clock: Clock
  readonly #ttlMs: number
  readonly #maxBytes: number

  /** Raises `HOLDFAST_ERR_REDIS_SESSION_OPTION`. */
  constructor(options: CallbackStoreOptions) {
    super()
    const { redis, secrets, base, ttlMs, maxBytes, clock } = resolveStoreOptions(options)
    this.#redis = redis
    this.#ring = new SecretRing(secrets)
    this.#clock = clock
    this.#ttlMs = ttlMs
    this.#maxBytes = maxBytes
    if (base === undefined) return
    for (const name of LENT) Object.defineProperty(this, name, { value: base.prototype[name] })
  }

  /** Answers the session, or null. */
  get(id: string, callback: StoreCallback<StoredSession | null>): void {
    this.#find(id).then((session) => callback(null, session), callback)
  }

  /** Keeps a session until its cookie ends, unless it was destroyed before. */
  set(id: string, session: StoredSession, callback: StoreCallback = ignore): void {
    this.#keep(id, session).then(() => callback(null), callback)
  }

  /** Lengthens the life of a session, without bringing it back. */
  touch(id: string, session: StoredSession, callback: StoreCallback = ignore): void {
    this.#lengthen(id, session).then(() => callback(null), callback)
  }

  /** Ends a session for good. */
  destroy(id: string, callback: StoreCallback = ignore): void {
    this.#end(id).then(() => callback(null), callback)
  }

  async #find(id: string): Promise<StoredSession | null> {
    for (const keys of this.#ring.all) {
      const text = await this.#redis.call('GET', this.#keyOf(keys, id))
      if (text === null) continue
      return String(text) === '' ? null : (JSON.parse(String(text)) as StoredSession)
    }
    return null
  }

  async #keep(id: string, session: StoredSession): Promise<void> {
    const ttlMs = this.#lifeOf(session)
    if (ttlMs <= 0) return this.#end(id)
    const text = JSON.stringify(session)
    if (Buffer.byteLength(text) > this.#maxBytes) {
      throw new TooLargeError(largestMember(session), `${this.#maxBytes} bytes`)
    }
    await this.#redis.run(setScript, [this.#keyOf(this.#ring.current, id)], [text, ttlMs])
  }

  async #lengthen(id: string, session: StoredSession): Promise<void> {
    const ttlMs = this.#lifeOf(session)
    if (ttlMs <= 0) return this.#end(id)
    for (const keys of this.#ring.all) {
      if (await this.#redis.run(touchScript, [this.#keyOf(keys, id)], [ttlMs])) return
    }
  }

  async #end(id: string): Promise<void> {
    await Promise.all(
      this.#ring.all.map((keys) => this.#redis.call('SET', this.#keyOf(keys, id), '', 'PX', GRAVE_MS)),
    )
  }

  #lifeOf({ cookie }: StoredSession): number {
    const expires = cookie?.expires
    if (expires === undefined || expires === null) return this.#ttlMs
    return Math.ceil(new Date(expires).getTime() - this.#clock.wallMs())
  }

  #keyOf(keys: RingKeys, id: string): string {
    const { tag, hash }: Address = userAddress(keys, `callback-store\n${id}`)
    return this.#redis.key('redis-session', tag, 'x', hash)
  }
}

function ignore(): void {}

/** What an error should name. */
function largestMember(session: object): string {
  const sized = Object.entries(session).map(([name, value]) => ({
    name,
    size: JSON.stringify(value)?.length ?? 0,
  }))
  return sized.toSorted((a, b) => b.size - a.size)[0]?.name ?? ''
}
