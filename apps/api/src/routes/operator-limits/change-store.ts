// The change of limits that all processes keep to, in Redis. Its version is the time at which it was made, by the clock
// of Redis, and larger than that of every change before it.

import type { GuardedRedis, RedisScript } from '@holdfast/redis-guard'

/** A change as it is kept: a JSON document; `null` for the settings as they are. */
export interface KeptChange {
  /** Milliseconds since the Unix epoch. */
  readonly version: number
  readonly text: string
}

/** What it needs of Redis. */
export type ChangeRedis = Pick<GuardedRedis, 'available' | 'run' | 'key' | 'subscribe' | 'onStateChange'>

/** Redis is asked in the background and for operators: nobody else waits for it. */
const BUDGET_MS = 1000

/**
 * KEYS a hash of version and text. ARGV the version of the newest change that the caller knows, a text, `next` for a
 * new change or `kept` for that of the caller, and the channel. Answers the version that is there now.
 */
const writeScript: RedisScript<number> = {
  name: 'limits-write',
  keys: 1,
  lua: `
local stored = tonumber(redis.call('HGET', KEYS[1], 'version')) or 0
local version = tonumber(ARGV[1])
if ARGV[3] == 'next' then
  local time = redis.call('TIME')
  version = math.max(stored + 1, version + 1, time[1] * 1000 + math.floor(time[2] / 1000))
elseif stored >= version then
  return stored
end
redis.call('HSET', KEYS[1], 'version', string.format('%.0f', version), 'text', ARGV[2])
redis.call('PUBLISH', ARGV[4], '')
return version
`,
  decode: Number,
}

/** KEYS the hash. ARGV a version. Answers the version that is there, and the text when it is a later one. */
const readScript: RedisScript<{ readonly version: number; readonly text: string | undefined }> = {
  name: 'limits-read',
  keys: 1,
  lua: `
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if tonumber(version) > tonumber(ARGV[1]) then return { version, redis.call('HGET', KEYS[1], 'text') } end
return { version }
`,
  decode: (reply) => {
    const [version, text] = reply as [Buffer, Buffer?]
    return { version: Number(version), text: text?.toString() }
  },
}

export class ChangeStore {
  readonly #redis: ChangeRedis
  readonly #key: string
  readonly #channel: string

  constructor(redis: ChangeRedis) {
    this.#redis = redis
    this.#key = redis.key('api', 'limits', 'change')
    this.#channel = redis.key('api', 'limits', 'changed')
  }

  get available(): boolean {
    return this.#redis.available
  }

  /** Makes a change, after the one of version `known`; answers its version. */
  write(text: string, known: number): Promise<number> {
    return this.#write(text, known, 'next')
  }

  /** Puts back a change that Redis has lost, unless it knows a later one. */
  async restore({ version, text }: KeptChange): Promise<void> {
    await this.#write(text, version, 'kept')
  }

  /** The version that is there, and the text when it is later than `version`. */
  read(version: number): Promise<{ readonly version: number; readonly text: string | undefined }> {
    return this.#redis.run(readScript, [this.#key], [version], { budgetMs: BUDGET_MS })
  }

  /** Calls back when there may be another change. Returns a function that ends it. */
  onChange(callback: () => void): () => void {
    const unsubscribe = this.#redis.subscribe(this.#channel, { onMessage: callback, onGap: callback })
    const forget = this.#redis.onStateChange((state) => {
      if (state === 'up') callback()
    })
    return () => {
      unsubscribe()
      forget()
    }
  }

  #write(text: string, version: number, mode: 'next' | 'kept'): Promise<number> {
    const args = [version, text, mode, this.#channel]
    return this.#redis.run(writeScript, [this.#key], args, { budgetMs: BUDGET_MS })
  }
}
