/*
 * How many sessions there are, without looking at any of them: each is noted, with the time at which it ends, in one
 * of sixteen sorted sets (and sixteen more for those of nobody), which are counted. What is noted leaves at most once
 * a second, many at a time, and no request waits for it; what a killed process had not noted yet is missing until the
 * session is used again, and what ended without a word is counted until its time is over.
 */
import type { Clock } from '@holdfast/footing'
import type { StoreRedis } from './redis-store.ts'
import type { Address } from './secret-ring.ts'

/** How many sessions there are. */
export interface SessionStatistics {
  /** Of users. */
  readonly signedIn: number
  /** Of nobody. */
  readonly anonymous: number
  readonly countedAt: Date
}

/** What is counted apart. */
export type ActivityKind = 'users' | 'nobody'
const kinds: readonly ActivityKind[] = ['users', 'nobody']

const SHARDS = [...'0123456789abcdef']
const FLUSH_AFTER_MS = 1000
/** Beyond so many they leave at once; while Redis is away, the oldest are forgotten. */
const MAX_NOTES = 2000
/** Longer than any session that is not used. */
const KEPT_MS = 400 * 86_400_000

interface Note {
  readonly address: Address
  /** Of one that has ended nobody knows the kind. */
  readonly state: { readonly kind: ActivityKind; readonly endsMs: number } | 'ended'
}

/** What is on its way to one set. */
interface Batch {
  readonly live: (string | number)[]
  readonly ended: string[]
}

export class Activity {
  readonly #redis: StoreRedis
  readonly #clock: Clock
  readonly #notes = new Map<string, Note>()
  #cancelFlush: (() => void) | undefined

  constructor(redis: StoreRedis, clock: Clock) {
    this.#redis = redis
    this.#clock = clock
  }

  /** A session is in use, and ends at this time unless it is used again. */
  note(kind: ActivityKind, address: Address, endsMs: number): void {
    this.#add({ address, state: { kind, endsMs } })
  }

  forget(address: Address): void {
    this.#add({ address, state: 'ended' })
  }

  async count(): Promise<SessionStatistics> {
    const nowMs = this.#clock.wallMs()
    const counted = (kind: ActivityKind) =>
      SHARDS.map((shard) => this.#redis.call('ZCOUNT', this.#keyOf(kind, shard), `(${nowMs}`, '+inf'))
    const [users, nobody] = [counted('users'), counted('nobody')]
    const sum = (counts: readonly unknown[]) => counts.reduce<number>((all, one) => all + Number(one), 0)
    const [signedIn, anonymous] = await Promise.all([
      Promise.all(users).then(sum),
      Promise.all(nobody).then(sum),
    ])
    return { signedIn, anonymous, countedAt: new Date(nowMs) }
  }

  /** Sends what was noted, on the way out. */
  close(): void {
    this.#flush()
    this.#cancelFlush?.()
    this.#cancelFlush = undefined
  }

  #flush(): void {
    this.#cancelFlush?.()
    this.#cancelFlush = undefined
    if (!this.#redis.available) {
      for (const oldest of this.#notes.keys()) {
        if (this.#notes.size <= MAX_NOTES / 2) break
        this.#notes.delete(oldest)
      }
      if (this.#notes.size > 0) this.#cancelFlush = this.#clock.schedule(FLUSH_AFTER_MS, () => this.#flush())
      return
    }
    const batches = new Map<string, Batch>()
    for (const { address, state } of this.#notes.values()) {
      for (const kind of state === 'ended' ? kinds : [state.kind]) {
        const key = this.#keyOf(kind, address.tag.slice(-1))
        const batch = batches.get(key) ?? { live: [], ended: [] }
        batches.set(key, batch)
        if (state === 'ended') batch.ended.push(address.hash)
        else batch.live.push(state.endsMs, address.hash)
      }
    }
    this.#notes.clear()
    for (const [key, batch] of batches) this.#send(key, batch)
  }

  #add(note: Note): void {
    const name = note.address.tag + note.address.hash
    this.#notes.delete(name)
    this.#notes.set(name, note)
    if (this.#notes.size >= MAX_NOTES) this.#flush()
    else this.#cancelFlush ??= this.#clock.schedule(FLUSH_AFTER_MS, () => this.#flush())
  }

  #send(key: string, { live, ended }: Batch): void {
    const calls = [
      this.#redis.call('ZREMRANGEBYSCORE', key, '-inf', this.#clock.wallMs()),
      ...(live.length > 0 ? [this.#redis.call('ZADD', key, ...live)] : []),
      ...(ended.length > 0 ? [this.#redis.call('ZREM', key, ...ended)] : []),
      this.#redis.call('PEXPIRE', key, KEPT_MS),
    ]
    // A number that is a little wrong for a while does no harm.
    for (const call of calls) call.catch(() => undefined)
  }

  #keyOf(kind: ActivityKind, shard: string): string {
    return this.#redis.key('redis-session', `a${shard}`, kind)
  }
}
