import type { RedisGuard } from '@holdfast/redis-guard'
import { leaveScript, membersScript, restoreScript, syncScript, writeScript } from './state-scripts.ts'
import type { Kept, MaintenanceStore, Members, Reading, Report, Written } from './store.ts'

/** What this needs of `@holdfast/redis-guard`. */
export type MaintenanceRedis = Pick<
  RedisGuard,
  'available' | 'run' | 'key' | 'subscribe' | 'onStateChange' | 'ready'
>

/** Redis is asked in the background and for operators: no request waits for it. */
const BUDGET = { budgetMs: 1000 }

/** The state of all processes, in Redis. */
export class RedisStore implements MaintenanceStore {
  readonly #redis: MaintenanceRedis
  readonly #state: string
  readonly #seen: string
  readonly #reports: string
  readonly #channel: string

  /** Services that share a Redis, and no maintenance, have different names. */
  constructor(redis: MaintenanceRedis, name: string) {
    this.#redis = redis
    const key = (part: string) => redis.key('maintenance', name, part)
    this.#state = key('state')
    this.#seen = key('seen')
    this.#reports = key('reports')
    this.#channel = key('changed')
  }

  get available(): boolean {
    return this.#redis.available
  }

  ready(timeoutMs: number): Promise<boolean> {
    return this.#redis.ready(timeoutMs)
  }

  sync(known: number, { id, text }: Report): Promise<Reading> {
    return this.#redis.run(syncScript, [this.#state, this.#seen, this.#reports], [known, id, text], BUDGET)
  }

  write(text: string, expected: number): Promise<Written> {
    return this.#redis.run(writeScript, [this.#state], [expected, text, this.#channel], BUDGET)
  }

  async restore({ version, text }: Kept): Promise<void> {
    await this.#redis.run(restoreScript, [this.#state], [version, text, this.#channel], BUDGET)
  }

  members(): Promise<Members> {
    return this.#redis.run(membersScript, [this.#seen, this.#reports], [], BUDGET)
  }

  async leave(id: string): Promise<void> {
    await this.#redis.run(leaveScript, [this.#seen, this.#reports], [id])
  }

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
}
