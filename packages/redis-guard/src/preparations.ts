/*
 * What others have to do with Redis before it is used again. Guarantees: a preparation runs after Redis has answered
 * and before any other call of this process; it sees a connection of which nobody else knows; and nothing that it
 * does, or fails to do, keeps Redis out of use for longer than `prepareMs`.
 */
import { CircuitBreaker } from '@holdfast/circuit-breaker'
import { Calls } from './calls.ts'
import type { RawClient } from './client.ts'
import { Dispatcher } from './dispatcher.ts'
import type { ResolvedOptions } from './options.ts'
import { within } from './probe.ts'
import type { RedisCalls } from './redis-guard.ts'
import type { Scripts } from './script.ts'

export type Preparation = (redis: RedisCalls) => Promise<unknown>

export interface PreparationsSettings extends ResolvedOptions {
  readonly scripts: Scripts
  readonly key: RedisCalls['key']
}

export class Preparations {
  readonly counts = { done: 0, failed: 0 }
  readonly #settings: PreparationsSettings
  readonly #preparations = new Set<Preparation>()

  constructor(settings: PreparationsSettings) {
    this.#settings = settings
  }

  /** Takes part from now on, until the answer is called. */
  add(preparation: Preparation): () => void {
    // A function of its own, so that the same one can be given twice.
    const entry: Preparation = (redis) => preparation(redis)
    this.#preparations.add(entry)
    return () => {
      this.#preparations.delete(entry)
    }
  }

  /** Resolves when all are done, and after `prepareMs` in any case. */
  async run(client: RawClient): Promise<void> {
    if (this.#preparations.size === 0) return
    const { prepareMs, clock } = this.#settings
    const redis = this.#callsOf(client)
    try {
      const all = [...this.#preparations].map(async (preparation) => preparation(redis))
      await within(prepareMs, clock, Promise.all(all))
      this.counts.done += 1
    } catch {
      this.counts.failed += 1
    }
  }

  #callsOf(client: RawClient): RedisCalls {
    const { scripts, key, name, clock } = this.#settings
    const never = Number.POSITIVE_INFINITY
    const dispatcher = new Dispatcher({
      ...this.#settings,
      // Whether Redis is of use, the probes decide; here a call fails for itself.
      breaker: new CircuitBreaker(name, { failureThreshold: never, failureRate: never, clock }),
      onMissed: () => {},
      onUnusable: () => {},
    })
    dispatcher.use(client)
    const calls = new Calls({ dispatcher, scripts, requireOpen: () => {} })
    return {
      run: (script, keys, args, options) => calls.run(script, keys, args, options),
      call: (command, ...args) => calls.call(command, args),
      key,
    }
  }
}
