import type { RedisGuard } from '@holdfast/redis-guard'
import { changesScript, countScript, forgetScript, writeScript } from './block-scripts.ts'
import type { EscalationPolicy } from './escalation.ts'
import type { BlockStore, Changes, Cursor, StoredBlock } from './store.ts'

/** What this needs of `@holdfast/redis-guard`. */
export type BlockRedis = Pick<
  RedisGuard,
  'available' | 'run' | 'key' | 'subscribe' | 'listening' | 'onStateChange'
>

const ROWS = 200
const NAMESPACE = 'abuse-guard'
const SLOT = 'blocks'

/** The blocks of all processes, in Redis. Every call of a script is in one slot: blocks have one, counts another. */
export class RedisStore implements BlockStore {
  readonly channel: string
  readonly #redis: BlockRedis
  readonly #policy: EscalationPolicy
  readonly #maxRecords: number
  readonly #keys: readonly string[]

  constructor(redis: BlockRedis, policy: EscalationPolicy, maxRecords: number) {
    this.#redis = redis
    this.#policy = policy
    this.#maxRecords = maxRecords
    this.#keys = ['head', 'records', 'changes', 'ends'].map((part) => redis.key(NAMESPACE, SLOT, part))
    this.channel = redis.key(NAMESPACE, SLOT, 'changed')
  }

  async punish(address: string, reason: string): Promise<StoredBlock> {
    const punished = this.#write('punish', { address, reason, origin: 'automatic' })
    return (await Promise.all([punished, this.#forget(address)]))[0]
  }

  hold(address: string, ms: number, reason: string): Promise<StoredBlock> {
    return this.#write('hold', { address, reason, origin: 'manual', remainingMs: ms })
  }

  restore(block: StoredBlock): Promise<StoredBlock> {
    return this.#write('restore', block)
  }

  async lift(address: string): Promise<boolean> {
    const lifted = this.#write('lift', { address, reason: '', origin: 'manual' })
    const [{ remainingMs, offences }] = await Promise.all([lifted, this.#forget(address)])
    return remainingMs > 0 || offences > 0
  }

  changes(cursor: Cursor | undefined): Promise<Changes> {
    const { epoch, version } = cursor ?? { epoch: '', version: 0 }
    return this.#redis.run(changesScript, this.#keys, [epoch, version, ROWS])
  }

  count(address: string, requests: number): Promise<number> {
    return this.#redis.run(countScript, [this.#countsOf(address)], [requests])
  }

  onChange(callback: () => void): () => void {
    return this.#redis.subscribe(this.channel, { onMessage: callback, onGap: callback })
  }

  #countsOf(address: string): string {
    return this.#redis.key(NAMESPACE, 'counts', address)
  }

  #forget(address: string): Promise<number> {
    return this.#redis.run(forgetScript, [this.#countsOf(address)], [])
  }

  #write(
    mode: string,
    { address, origin, reason, remainingMs = 0, ageMs = 0, offences = 0 }: WrittenBlock,
  ): Promise<StoredBlock> {
    const { blockMs, maxBlockMs, decayMs } = this.#policy
    return this.#redis.run(writeScript, this.#keys, [
      mode,
      address,
      origin,
      reason,
      Math.ceil(remainingMs),
      Math.ceil(ageMs),
      offences,
      blockMs,
      maxBlockMs,
      decayMs,
      this.#maxRecords,
      this.channel,
    ])
  }
}

type WrittenBlock = Pick<StoredBlock, 'address' | 'origin' | 'reason'> & Partial<StoredBlock>
