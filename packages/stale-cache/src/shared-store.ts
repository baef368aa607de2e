/*
 * The values of one cache in Redis: keys, calls of the scripts, and what their answers mean. Believes nothing that
 * it reads before it was checked.
 */
import { isFence } from './fleet-message.ts'
import type { Entry, Holdings } from './holdings.ts'
import type { ResolvedOptions, Row } from './options.ts'
import type { Notice } from './outbox.ts'
import { decodeShared, encodeShared, versionText } from './shared-entry.ts'
import type { SharedRedis } from './shared-redis.ts'
import { applyScript, readScript, renewScript, type SharedScript } from './shared-scripts.ts'

/** Keys in one call of a script. */
export const MAX_CALL_KEYS = 128

/** Text of values in one message. */
const MAX_INLINE_BYTES = 16_384

/** Which value of a key will do: any that is fresh (0), one with this fence at least, or only a new one. */
export type Since = number | 'now'

/** A key that is to be loaded. */
export interface Want {
  readonly key: string
  readonly since: Since
}

/** When something was read, in the order of the fleet and by the clock of this process. */
export interface FleetReading {
  readonly fence: number
  readonly asOfMs: number
}

/** What Redis knows of a key; see `shared-scripts.ts` for the states. */
export interface SharedReply extends FleetReading {
  readonly key: string
  readonly since: Since
  readonly state: string
  readonly outdatedFence: number
  /** How long the lease of another process lasts. */
  readonly restMs: number
  readonly text: string
}

/** An answer of Redis about many keys. */
export interface SharedAnswer {
  readonly replies: readonly SharedReply[]
  /** The load that this process was granted; its fence is 0 when none was. */
  readonly granted: FleetReading
}

/** What became of a notice. */
export interface Applied {
  readonly done: boolean
  readonly fence: number
}

/** A notice as it is sent. */
export interface Parcel {
  readonly notice: Notice
  readonly kind: 's' | 'm' | 'i' | 't' | 'e' | 'l'
  readonly text: string
  readonly version: string
}

export interface StoreOptions<V> extends ResolvedOptions<V> {
  readonly redis: SharedRedis
}

export class SharedStore<V> {
  readonly channel: string
  readonly #cache: string
  readonly #sender: string
  readonly #options: StoreOptions<V>
  readonly #counterKey: string
  /** The largest fence that was seen here: what happens here now comes after it. */
  #seen = 0
  #callsFailed = 0
  #damaged = 0
  #unshared = 0

  constructor(cache: string, sender: string, options: StoreOptions<V>) {
    this.#cache = cache
    this.#sender = sender
    this.#options = options
    this.channel = options.redis.key('stale-cache', cache, 'changes')
    this.#counterKey = options.redis.key('stale-cache', cache, 'fence')
  }

  counts() {
    return { callsFailed: this.#callsFailed, damaged: this.#damaged, unshared: this.#unshared }
  }

  get seen(): number {
    return this.#seen
  }

  saw(fence: number): void {
    this.#seen = Math.max(this.#seen, fence)
  }

  /** What another process has written cannot be used here. */
  distrust(): void {
    this.#damaged += 1
  }

  /** Whether a key can be shared at all: Redis keys are bounded. */
  canHold(key: string): boolean {
    return this.#keyOf('value', key) !== undefined
  }

  /** The same for a tag. */
  canMark(tag: string): boolean {
    return this.#keyOf('tag', tag) !== undefined
  }

  /** Reads keys, and is granted the lease of those that must be loaded (unless `readOnly`). */
  async read(wants: readonly Want[], holdings: Holdings<V>, readOnly = false): Promise<SharedAnswer> {
    const { clock, leaseMs, freshMs, negativeMs, ttlJitter } = this.#options
    const beganMs = clock.nowMs()
    // What is a hit must be fresh in memory, too, whatever the jitter makes of it.
    const youngUs = (ms: number) => Math.floor(ms * (1 - ttlJitter) * 1000)
    const args = wants.flatMap(({ key, since }) => [
      readOnly ? 'r' : since === 'now' ? 'f' : 'n',
      since === 'now' ? 0 : since,
      // Of what was found damaged the text is not wanted again.
      holdings.look(key)?.fence ?? (since === 'now' ? 0 : Math.max(0, since - 1)),
    ])
    const keys = [this.#counterKey, ...this.#keysOf(wants.map(({ key }) => key))]
    const limits = [leaseMs, youngUs(freshMs), youngUs(negativeMs)]
    const [now, fence, rows] = listOf(await this.#run(readScript, keys, [...limits, ...args]))
    const arrivedMs = clock.nowMs()
    const replies = wants.map((want, index): SharedReply => {
      const [state, f, i, restMs, text] = listOf(listOf(rows)[index]).map(String)
      const fence = Number(f)
      this.saw(Math.max(fence, Number(i)))
      const asOfMs = arrivedMs - Math.max(0, (Number(now) - fence) / 1000)
      return {
        ...want,
        state: state ?? '',
        fence,
        asOfMs,
        outdatedFence: Number(i),
        restMs: Number(restMs),
        text: text ?? '',
      }
    })
    this.saw(Number(fence))
    return { replies, granted: { fence: Number(fence), asOfMs: beganMs } }
  }

  /** Prolongs leases; answers how many are still held. */
  async renew(keys: readonly string[], fence: number): Promise<number> {
    return Number(await this.#run(renewScript, this.#keysOf(keys), [fence, this.#options.leaseMs]))
  }

  /** Applies notices, and tells the fleet by one message. */
  async apply(parcels: readonly Parcel[]): Promise<readonly Applied[]> {
    const { clock, sharedMs } = this.#options
    const nowMs = clock.nowMs()
    const keys = parcels.flatMap(
      ({ kind, notice }) => this.#keyOf(kind === 't' ? 'tag' : 'value', notice.name) ?? [],
    )
    const args = parcels.flatMap(({ notice, kind, text, version }) => [
      kind,
      JSON.stringify(notice.name),
      notice.fence ?? 0,
      Math.round(Math.max(0, nowMs - notice.asOfMs) * 1000),
      notice.seen ?? 0,
      text,
      version,
      notice.lease ?? '',
    ])
    const head = [this.channel, Math.ceil(sharedMs), MAX_INLINE_BYTES, this.#sender]
    const results = listOf(await this.#run(applyScript, [this.#counterKey, ...keys], [...head, ...args]))
    return results.map((result) => {
      const [done, fence = 0] = listOf(result).map(Number)
      this.saw(fence)
      return { done: done === 1, fence }
    })
  }

  /** The fences of the last invalidations of tags. */
  async marksOf(tags: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const keys = tags.flatMap((tag) => this.#keyOf('tag', tag) ?? [])
    if (keys.length < tags.length) return this.marksOf(tags.filter((tag) => this.canMark(tag)))
    if (tags.length === 0) return new Map()
    const marks = listOf(await this.#call('MGET', ...keys)).map(Number)
    return new Map(tags.map((tag, index) => [tag, isFence(marks[index]) ? marks[index] : 0]))
  }

  /** How a notice is sent, with what is held now; undefined: there is nothing left to tell. */
  parcelOf(notice: Notice, entry: Entry<V> | undefined): Parcel | undefined {
    const { kind, lease } = notice
    const plain = { notice, text: '', version: '' }
    const release: Parcel | undefined = lease === undefined ? undefined : { ...plain, kind: 'l' }
    switch (kind) {
      case 'store': {
        const untold: Parcel | undefined = notice.outdates === true ? { ...plain, kind: 'i' } : release
        if (entry === undefined) return untold
        const { fence, asOfMs, version } = entry
        const read = { ...notice, fence, asOfMs }
        const text = this.#textOf(entry)
        if (text !== undefined) return { notice: read, kind: 's', text, version: versionText(version) }
        this.#unshared += 1
        return untold && { ...untold, notice: read }
      }
      case 'missing':
        return { ...plain, kind: 'm', text: String(this.#missingMs) }
      case 'invalidate':
        return { ...plain, kind: 'i' }
      case 'tag':
        return { ...plain, kind: 't' }
      case 'failed':
        return { ...plain, kind: 'e', text: notice.reason ?? '', version: String(this.#options.backoffMs) }
      default:
        return release
    }
  }

  /** The row of a text, checked; undefined when it cannot be trusted, which is counted. */
  rowOf(key: string, text: string): Row<V> | undefined {
    const row = decodeShared(this.#cache, key, text)
    try {
      if (row !== undefined) return { ...row, value: this.#options.revive(row.value, key) }
    } catch {
      // An older or newer release has written what this one cannot use.
    }
    this.#damaged += 1
    return undefined
  }

  /** Undefined when it cannot be shared. */
  #textOf(entry: Entry<V>): string | undefined {
    const text = encodeShared(this.#cache, entry)
    const fits = text !== undefined && Buffer.byteLength(text) <= this.#options.maxSharedBytes
    return fits && entry.tags.every((tag) => this.canMark(tag)) ? text : undefined
  }

  /** Longer than it counts: what a load still out has read before must be recognised as older. */
  get #missingMs(): number {
    const { negativeMs, maxLoadMs, sharedMs } = this.#options
    return Math.max(maxLoadMs, Math.min(negativeMs, sharedMs))
  }

  #keyOf(kind: 'value' | 'tag', name: string): string | undefined {
    try {
      return this.#options.redis.key('stale-cache', this.#cache, kind, name)
    } catch {
      return undefined
    }
  }

  #keysOf(keys: readonly string[]): readonly string[] {
    return keys.flatMap((key) => this.#keyOf('value', key) ?? [])
  }

  async #run(script: SharedScript, keys: readonly string[], args: readonly (string | number)[]) {
    try {
      return await this.#options.redis.run(script.of(keys.length), keys, args)
    } catch (error) {
      this.#callsFailed += 1
      throw error
    }
  }

  async #call(command: string, ...args: readonly string[]) {
    try {
      return await this.#options.redis.call(command, ...args)
    } catch (error) {
      this.#callsFailed += 1
      throw error
    }
  }
}

function listOf(reply: unknown): readonly unknown[] {
  return Array.isArray(reply) ? reply : []
}
