/*
 * One holder at a time, among all processes that share a Redis, and a number that tells holders apart.
 *
 * Guarantees: while Redis keeps its data, a name is held by one token at a time, from the grant until `leaseMs` after
 * the last renewal, by Redis's clock; every grant has a larger fence than all grants before, also after Redis lost
 * its data. Each step is one script on one slot.
 *
 * Does not guarantee that the holder still holds it at the moment it writes: a process can stop between its check
 * and its write for longer than the lease. The lease saves work and keeps order most of the time; where it must
 * always be kept, the write compares the fence: `update ... set fence = $fence where id = $id and fence < $fence`.
 * There is one primary and no quorum: after a failover two may hold for one lease, with different fences.
 */
import { type Clock, LONGEST_TIMER_MS } from '@holdfast/footing'
import { LeaseLostError } from './errors.ts'
import { Heartbeat, type LeaseLoss } from './lease-heartbeat.ts'
import { acquireScript, FENCE_MEMORY_MS, releaseScript, renewScript } from './lease-scripts.ts'
import { checks } from './options.ts'
import type { RedisGuard } from './redis-guard.ts'

/** What is leased: `'theme-refresher'`, or `['bot', userId]`. Parts are escaped; the last one chooses the slot. */
export type LeaseName = string | readonly [string, ...string[]]

/** How a lease is asked for. */
export interface LeaseTerms {
  /** Whole milliseconds from the grant, or from the last renewal, until others may have it. At least 1. */
  readonly leaseMs: number
}

/** Somebody else has it. */
export interface HeldByOther {
  readonly held: false
  /** The fence of the holder. */
  readonly fence: number
  /** Until the lease ends if it is not renewed. */
  readonly retryAfterMs: number
}

/** What the leases need of a `RedisGuard`. */
export type LeaseRedis = Pick<RedisGuard, 'available' | 'run' | 'key' | 'onStateChange'>

/** What the leases are made of. */
export interface LeaseParts {
  readonly clock: Clock
  /** Differs in every process: the tokens begin with it. */
  readonly ownerName: string
}

/** What `run` hands to the work. */
export interface LeaseContext {
  readonly fence: number
  /** Aborts with `HOLDFAST_ERR_REDIS_GUARD_LEASE_LOST` when the lease is lost, or as the caller's own signal. */
  readonly signal: AbortSignal
}

/** Whether the work ran, and what it came to. */
export type LeasedResult<T> = { readonly held: true; readonly fence: number; readonly value: T } | HeldByOther

/** A lease that was granted. It ends by itself `leaseMs` after the grant, unless it is renewed. */
export class Lease {
  readonly held = true
  /** Larger than that of every earlier holder. */
  readonly fence: number
  /** Unique to this grant; proves to Redis who renews and releases. */
  readonly token: string
  readonly #redis: LeaseRedis
  readonly #key: string
  readonly #leaseMs: number
  readonly #clock: Clock
  readonly #grantedAtMs: number
  #heartbeat: Heartbeat | undefined
  #controller: AbortController | undefined

  constructor(
    grant: { readonly fence: number; readonly token: string; readonly grantedAtMs: number },
    parts: {
      readonly redis: LeaseRedis
      readonly key: string
      readonly leaseMs: number
      readonly clock: Clock
    },
  ) {
    this.fence = grant.fence
    this.token = grant.token
    this.#grantedAtMs = grant.grantedAtMs
    this.#redis = parts.redis
    this.#key = parts.key
    this.#leaseMs = parts.leaseMs
    this.#clock = parts.clock
  }

  /** Starts the time anew; answers false when the lease is lost. Rejects when Redis cannot say. */
  renew(): Promise<boolean> {
    return this.#redis.run(renewScript, [this.#key], [this.token, this.#leaseMs])
  }

  /**
   * Renews every third of the lease from now until `release`. Answers a signal that aborts with
   * `HOLDFAST_ERR_REDIS_GUARD_LEASE_LOST` when Redis says that it is lost, or has not answered for a whole lease.
   */
  keep(): AbortSignal {
    if (this.#controller !== undefined) return this.#controller.signal
    const controller = new AbortController()
    this.#controller = controller
    const heartbeat = new Heartbeat({
      leaseMs: this.#leaseMs,
      grantedAtMs: this.#grantedAtMs,
      clock: this.#clock,
      renew: () => this.renew(),
      onLost: (loss: LeaseLoss) => {
        heartbeat.stop()
        controller.abort(new LeaseLostError(reasons[loss]))
      },
    })
    this.#heartbeat = heartbeat
    return controller.signal
  }

  /** Gives it back; answers false when it was lost before. Rejects when Redis cannot be told: then it ends by itself. */
  release(): Promise<boolean> {
    this.#heartbeat?.stop()
    return this.#redis.run(releaseScript, [this.#key], [this.token])
  }
}

const reasons: Readonly<Record<LeaseLoss, string>> = {
  taken: 'it ran out, and Redis does not know it any more',
  silent: 'Redis did not confirm it for as long as it runs',
}

/** The leases of one `RedisGuard`. */
export class FencedLeases {
  readonly #redis: LeaseRedis
  readonly #clock: Clock
  readonly #ownerName: string
  #asked = 0

  constructor(redis: LeaseRedis, { clock, ownerName }: LeaseParts) {
    this.#redis = redis
    this.#clock = clock
    this.#ownerName = ownerName
  }

  /**
   * Takes the lease, or says who has it. Rejects as `RedisGuard.run` does when Redis cannot say (and with
   * `HOLDFAST_ERR_REDIS_GUARD_OPTION` for a wrong `leaseMs`); what to do then is
   * the caller's decision (work without a lease, or not at all).
   */
  async acquire(name: LeaseName, { leaseMs }: LeaseTerms): Promise<Lease | HeldByOther> {
    checks.count('leaseMs', leaseMs, 1, LONGEST_TIMER_MS)
    const parts = typeof name === 'string' ? [name] : [...name]
    const slotTag = parts.pop() ?? ''
    const key = this.#redis.key('lease', slotTag, ...parts, 'held')
    const fenceKey = this.#redis.key('lease', slotTag, ...parts, 'fence')
    this.#asked += 1
    const token = `${this.#ownerName}-${this.#asked}`
    const grantedAtMs = this.#clock.nowMs()
    try {
      const reply = await this.#redis.run(acquireScript, [key, fenceKey], [token, leaseMs, FENCE_MEMORY_MS])
      if (!reply.held) return reply
      const grant = { fence: reply.fence, token, grantedAtMs }
      return new Lease(grant, { redis: this.#redis, key, leaseMs, clock: this.#clock })
    } catch (error) {
      if ((error as { mayHaveRun?: boolean }).mayHaveRun !== false) this.#giveBack(key, token, leaseMs)
      throw error
    }
  }

  /** For a lease that may have been granted, unheard: nobody would use it, and others would wait for its end. */
  #giveBack(key: string, token: string, leaseMs: number): void {
    const redis = this.#redis
    const endsAtMs = this.#clock.nowMs() + leaseMs
    const release = () => {
      redis.run(releaseScript, [key], [token]).catch(() => {
        // A Redis that comes back may be lost again before it has heard of it.
        if (!redis.available && this.#clock.nowMs() < endsAtMs) releaseWhenBack()
      })
    }
    const releaseWhenBack = () => {
      const forget = redis.onStateChange((state) => {
        if (state !== 'up' && state !== 'closed') return
        forget()
        if (state === 'up') release()
      })
    }
    if (redis.available) release()
    else releaseWhenBack()
  }

  /**
   * Runs `work` while this process holds the lease, renewing it all the while, and gives it back however the work
   * ends. Answers `held: false` without running it when somebody else has the lease. Rejects with what the work
   * rejects with, or as `acquire` does.
   */
  async run<T>(
    name: LeaseName,
    terms: LeaseTerms & { readonly signal?: AbortSignal | undefined },
    work: (context: LeaseContext) => T | PromiseLike<T>,
  ): Promise<LeasedResult<T>> {
    terms.signal?.throwIfAborted()
    const lease = await this.acquire(name, terms)
    if (!lease.held) return lease
    try {
      const kept = lease.keep()
      const signal = terms.signal === undefined ? kept : AbortSignal.any([kept, terms.signal])
      signal.throwIfAborted()
      return { held: true, fence: lease.fence, value: await work({ fence: lease.fence, signal }) }
    } finally {
      // What the work came to does not depend on Redis; a lease that could not be given back ends by itself.
      await lease.release().catch(() => undefined)
    }
  }
}
