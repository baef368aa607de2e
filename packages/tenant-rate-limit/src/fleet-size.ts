/*
 * How many processes share the buckets. Each says once a second that it is there; one that has not for five seconds is
 * gone. The clock is that of Redis. The highest number of the last minute counts: who shares out a limit may believe in
 * too many processes, but not in too few.
 */
import type { Clock } from '@holdfast/footing'
import { newOwnerName, type RedisGuard, type RedisScript } from '@holdfast/redis-guard'

/**
 * KEYS the processes, a sorted set by the time at which they were last there. ARGV a process, milliseconds after which
 * one is gone, 1 when it ends. Answers how many there are.
 */
const beatScript: RedisScript<number> = {
  name: 'rate-limit-fleet',
  keys: 1,
  lua: `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[3] == '1' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], now, ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
-- Of a clock that was ahead before a failover.
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + ARGV[2], '+inf')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
`,
  decode: Number,
}

const BEAT_MS = 1000
const GONE_AFTER_MS = 5000
const REMEMBERED_BEATS = 60

/** What it needs of a `RedisGuard`. */
export type FleetRedis = Pick<RedisGuard, 'available' | 'run' | 'key' | 'onStateChange'>

/** A place in a fleet. */
export interface FleetMember {
  /** How many processes there are, as far as this one knows; at least 1. */
  readonly size: number
  /** Says that this one is no more, once nobody of this process needs its place. Waits for no store that is away. */
  leave(): Promise<void>
}

const fleets = new WeakMap<FleetRedis, { readonly fleet: FleetSize; members: number }>()

/**
 * A process counts once, however many limiters it has on one connection. The fleet is taken to have `least` processes
 * at least, also before Redis was ever there.
 */
export function joinFleet(redis: FleetRedis, clock: Clock, least = 1): FleetMember {
  const known = fleets.get(redis) ?? { fleet: new FleetSize(redis, clock), members: 0 }
  fleets.set(redis, known)
  known.members += 1
  let left = false
  return {
    get size() {
      return Math.max(least, known.fleet.size)
    },
    async leave() {
      if (left) return
      left = true
      known.members -= 1
      if (known.members > 0) return
      fleets.delete(redis)
      await known.fleet.close()
    },
  }
}

export class FleetSize {
  readonly #redis: FleetRedis
  readonly #clock: Clock
  readonly #name = newOwnerName()
  readonly #seen: number[] = []
  readonly #forget: () => void
  #cancel: () => void = () => {}
  #closed = false
  #size = 1

  constructor(redis: FleetRedis, clock: Clock) {
    this.#redis = redis
    this.#clock = clock
    this.#forget = redis.onStateChange((state) => {
      if (state === 'up') this.#beat()
    })
    this.#beat()
  }

  /** At least 1. */
  get size(): number {
    return this.#size
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cancel()
    this.#forget()
    if (this.#redis.available) await this.#say(true).catch(() => {})
  }

  #beat(): void {
    this.#cancel()
    if (this.#closed) return
    this.#cancel = this.#clock.schedule(BEAT_MS, () => this.#beat())
    if (!this.#redis.available) return
    this.#say(false).then(
      (there) => this.#learn(there),
      // Then what was seen last counts.
      () => {},
    )
  }

  #learn(there: number): void {
    this.#seen.push(there)
    if (this.#seen.length > REMEMBERED_BEATS) this.#seen.shift()
    this.#size = Math.max(1, ...this.#seen)
  }

  #say(ends: boolean): Promise<number> {
    const key = this.#redis.key('tenant-rate-limit', 'fleet', 'processes')
    return this.#redis.run(beatScript, [key], [this.#name, GONE_AFTER_MS, ends ? 1 : 0])
  }
}
