/*
 * Buckets in this process, in bounded memory, without a timer.
 *
 * Guarantees: at most `maxKeys` buckets are kept one by one. When there are more, the least used of a few goes; so a
 * flood of other keys does not displace a limited client. Should even the least used be more than half used, it is
 * remembered in a coarse table of fixed size, where the most used of those that share a cell counts, and where every
 * bucket that comes (back) begins. So a client that has used more than half is never given more than it had, not even
 * by a flood of limited keys.
 *
 * Does not guarantee that a new client finds a full bucket during a flood of keys that are more than half used; nor
 * that one which is dropped with less is remembered: it begins anew, which is worth half its capacity at most.
 */
import type { Clock } from '@holdfast/footing'
import type { Claim } from './claim.ts'
import { checks } from './options.ts'
import { type Decision, decisionOf, type LimitStore } from './store.ts'
import { type BucketTerms, debitTicks, fullAtPs, fullAtUs, microseconds, usedTicks } from './token-bucket.ts'

/** What a `MemoryStore` takes. */
export interface MemoryStoreOptions {
  readonly clock: Clock
  /** Buckets that are kept one by one. Default 50,000. */
  readonly maxKeys?: number
}

/** Buckets that are looked at for one that can go. */
const LOOKED_AT = 8
/** What is no more used than this is forgotten when it is dropped. Else each of many would add to its cell. */
const FORGOTTEN_SHARE = 0.5
/** Cells for dropped buckets, for each magnitude of the time from empty to full. */
const CELLS = 16_384

export class MemoryStore implements LimitStore {
  readonly available = true
  readonly #clock: Clock
  readonly #maxKeys: number
  readonly #places = new Map<string, number>()
  /** By place: the key, when the bucket is full, and the terms by which that was reckoned. */
  readonly #keys: string[] = []
  #fullAtUs = new Float64Array(64)
  #fullAtPs = new Float64Array(64)
  #toleranceUs = new Float64Array(64)
  #hand = 0
  #dropped = 0
  readonly #coarse = new Map<number, Float64Array>()
  readonly #used: number[] = []

  constructor({ clock, maxKeys = 50_000 }: MemoryStoreOptions) {
    this.#clock = clock
    this.#maxKeys = checks.count('maxKeys', maxKeys)
  }

  decide(claims: readonly Claim[], mode: 'consume' | 'peek'): Decision {
    const nowUs = microseconds(this.#clock.nowMs())
    const used = this.#used
    let allowed = true
    for (let at = 0; at < claims.length; at += 1) {
      const claim = claims[at] as Claim
      const before = usedBefore(claims, used, at) ?? this.#usedOf(claim, nowUs)
      used[at] = before
      if (!claim.policy.shadow && !fits(claim, before)) allowed = false
    }
    if (allowed && mode === 'consume') {
      for (let at = 0; at < claims.length; at += 1) {
        const claim = claims[at] as Claim
        const before = used[at] as number
        if (claim.cost > 0 && fits(claim, before)) {
          this.#store(claim, nowUs, before + debitTicks(claim.policy, claim.cost))
        }
      }
    }
    return decisionOf(claims, used, mode, 'memory')
  }

  refund(claims: readonly Claim[]): void {
    const nowUs = microseconds(this.#clock.nowMs())
    for (const claim of claims) {
      if (claim.cost === 0) continue
      const used = this.#usedOf(claim, nowUs) - debitTicks(claim.policy, claim.cost)
      this.#store(claim, nowUs, Math.max(0, used))
    }
  }

  forget(claims: readonly Claim[]): void {
    const nowUs = microseconds(this.#clock.nowMs())
    // Kept as a full bucket: without it the coarse table would speak for it.
    for (const claim of claims) this.#store(claim, nowUs, 0)
  }

  /** From now on so much is used of this bucket, in ticks of its policy. */
  learn(claim: Claim, usedTicks: number): void {
    this.#store(claim, microseconds(this.#clock.nowMs()), Math.min(usedTicks, claim.policy.toleranceTicks))
  }

  async close(): Promise<void> {
    this.#places.clear()
    this.#keys.length = 0
    this.#coarse.clear()
  }

  /** Buckets that are kept one by one, those dropped since the start, and the bytes of the coarse table. */
  snapshot(): { readonly keys: number; readonly dropped: number; readonly coarseBytes: number } {
    return { keys: this.#keys.length, dropped: this.#dropped, coarseBytes: this.#coarse.size * CELLS * 8 }
  }

  #usedOf({ key, policy }: Claim, nowUs: number): number {
    const place = this.#places.get(key)
    if (place === undefined) return this.#coarse.size === 0 ? 0 : this.#remembered(key, policy, nowUs)
    return usedTicks(
      policy,
      nowUs,
      this.#fullAtUs[place] as number,
      this.#fullAtPs[place] as number,
      this.#toleranceUs[place] as number,
    )
  }

  #store({ key, policy }: Claim, nowUs: number, used: number): void {
    const place = this.#places.get(key) ?? this.#placeFor(key, nowUs)
    this.#fullAtUs[place] = fullAtUs(policy, nowUs, used)
    this.#fullAtPs[place] = fullAtPs(policy, used)
    this.#toleranceUs[place] = policy.toleranceUs
  }

  #placeFor(key: string, nowUs: number): number {
    const place = this.#keys.length < this.#maxKeys ? this.#keys.length : this.#free(nowUs)
    if (place === this.#fullAtUs.length) this.#grow()
    this.#keys[place] = key
    this.#places.set(key, place)
    return place
  }

  #grow(): void {
    const length = Math.min(this.#maxKeys, this.#fullAtUs.length * 2)
    const grown = (from: Float64Array) => {
      const to = new Float64Array(Math.max(length, from.length + 1))
      to.set(from)
      return to
    }
    this.#fullAtUs = grown(this.#fullAtUs)
    this.#fullAtPs = grown(this.#fullAtPs)
    this.#toleranceUs = grown(this.#toleranceUs)
  }

  /** Drops the least used of the next few buckets, as a share of what each holds, and answers its place. */
  #free(nowUs: number): number {
    let place = 0
    let least = Number.POSITIVE_INFINITY
    for (let looked = 0; looked < LOOKED_AT && least > 0; looked += 1) {
      this.#hand = this.#hand + 1 < this.#keys.length ? this.#hand + 1 : 0
      const share = this.#shareOf(this.#hand, nowUs)
      if (share < least) {
        least = share
        place = this.#hand
      }
    }
    const key = this.#keys[place] as string
    this.#places.delete(key)
    this.#dropped += 1
    if (least > FORGOTTEN_SHARE) this.#remember(key, this.#toleranceUs[place] as number, nowUs, least)
    return place
  }

  /** The used share of a bucket, rounded up to the next microsecond. */
  #shareOf(place: number, nowUs: number): number {
    const leftUs = (this.#fullAtUs[place] as number) + ((this.#fullAtPs[place] as number) > 0 ? 1 : 0) - nowUs
    return leftUs > 0 ? leftUs / (this.#toleranceUs[place] as number) : 0
  }

  #remember(key: string, toleranceUs: number, nowUs: number, share: number): void {
    const magnitude = magnitudeOf(toleranceUs)
    let cells = this.#coarse.get(magnitude)
    if (cells === undefined) {
      cells = new Float64Array(CELLS)
      this.#coarse.set(magnitude, cells)
    }
    const cell = cellOf(key)
    // It empties as slowly as the slowest bucket of its magnitude.
    cells[cell] = Math.max(cells[cell] as number, nowUs + Math.ceil(share * 2 ** magnitude))
  }

  #remembered(key: string, policy: BucketTerms, nowUs: number): number {
    const magnitude = magnitudeOf(policy.toleranceUs)
    const leftUs = (this.#coarse.get(magnitude)?.[cellOf(key)] ?? 0) - nowUs
    if (leftUs <= 0) return 0
    return Math.min(policy.toleranceTicks, Math.ceil((leftUs / 2 ** magnitude) * policy.toleranceTicks))
  }
}

function fits(claim: Claim, used: number): boolean {
  return used + debitTicks(claim.policy, claim.cost) <= claim.policy.toleranceTicks
}

/** What an earlier claim of the same request on the same bucket leaves; undefined when there is none. */
function usedBefore(claims: readonly Claim[], used: readonly number[], at: number): number | undefined {
  const { key } = claims[at] as Claim
  for (let earlier = at - 1; earlier >= 0; earlier -= 1) {
    const claim = claims[earlier] as Claim
    if (claim.key !== key) continue
    const before = used[earlier] as number
    return fits(claim, before) ? before + debitTicks(claim.policy, claim.cost) : before
  }
  return undefined
}

/** The power of two that is not below. */
function magnitudeOf(toleranceUs: number): number {
  return Math.ceil(Math.log2(toleranceUs))
}

/** FNV-1a of the UTF-16 units. */
function cellOf(key: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < key.length; at += 1) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193)
  return (hash ^ (hash >>> 15)) & (CELLS - 1)
}
