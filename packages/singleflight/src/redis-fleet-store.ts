/** The store of a fleet in Redis: each operation is one script over keys of one slot, messages come by one channel. */

import { renewLeaseScript } from '@holdfast/redis-guard'
import {
  acquireScript,
  FENCE_MEMORY_MS,
  forgetScript,
  publishScript,
  readMessage,
  releaseScript,
} from './fleet-scripts.ts'
import {
  type Acquired,
  type AcquireRequest,
  type FleetListener,
  type FleetStore,
  type Landing,
  MAX_INLINE_BYTES,
} from './fleet-store.ts'
import type { FleetRedis } from './options.ts'

const PACKAGE = 'singleflight'
const kinds = { value: 'v', failure: 'f', alone: 'a' } as const

export class RedisFleetStore implements FleetStore {
  readonly #redis: FleetRedis
  readonly #namespace: string
  readonly #channel: string

  constructor(redis: FleetRedis, namespace: string) {
    this.#redis = redis
    this.#namespace = namespace
    this.#channel = redis.key(PACKAGE, namespace, 'landed')
  }

  get available(): boolean {
    return this.#redis.available
  }

  get listening(): boolean {
    return this.#redis.listening(this.#channel)
  }

  acquire({ id, token, leaseMs, minFence, minIntervalMs }: AcquireRequest): Promise<Acquired> {
    return this.#redis.run(acquireScript, this.#keys(id, 'lease', 'fence', 'result', 'failure'), [
      token,
      leaseMs,
      minFence,
      minIntervalMs,
      FENCE_MEMORY_MS,
    ])
  }

  renew(id: string, token: string, leaseMs: number): Promise<boolean> {
    return this.#redis.run(renewLeaseScript, this.#keys(id, 'lease'), [token, leaseMs])
  }

  publish(id: string, token: string, { kind, payload, ttlMs }: Landing): Promise<boolean> {
    return this.#redis.run(publishScript, this.#keys(id, 'lease', 'result', 'failure'), [
      token,
      kinds[kind],
      ttlMs,
      payload,
      this.#channel,
      id,
      MAX_INLINE_BYTES,
    ])
  }

  release(id: string, token: string): Promise<boolean> {
    return this.#redis.run(releaseScript, this.#keys(id, 'lease'), [token, this.#channel, id])
  }

  forget(id: string): Promise<void> {
    return this.#redis.run(forgetScript, this.#keys(id, 'lease', 'fence', 'result', 'failure'), [
      this.#channel,
      id,
    ])
  }

  listen(listener: FleetListener): () => void {
    const unsubscribe = this.#redis.subscribe(this.#channel, {
      onMessage(payload) {
        const message = readMessage(payload)
        if (message !== undefined) listener.onMessage(message)
      },
      onGap: () => listener.onGap(),
    })
    const unwatch = this.#redis.onStateChange(() => {
      if (this.#redis.available) listener.onAvailable()
      else listener.onUnavailable()
    })
    return () => {
      unsubscribe()
      unwatch()
    }
  }

  /** All of one id in one slot, apart from those of other namespaces. */
  #keys(id: string, ...names: readonly string[]): string[] {
    return names.map((name) => this.#redis.key(PACKAGE, id, this.#namespace, name))
  }
}
