/**
 * Who sends much, in fixed memory. A table of exact counts, filled by a sketch.
 *
 * Guarantees: a count is that of one subject alone and of requests that happened, so nobody is counted for somebody
 * else; memory does not grow, however many subjects come; who has half of what leads to a block is never displaced by an
 * estimate. While the table has room, everybody is counted exactly from the first request on; when it is full (more than
 * its entries within one window), newcomers are only estimated, until the estimate is higher than the lowest count of
 * their bucket. The window is given by `windowMs`.
 *
 * Not guaranteed: to fill a bucket for good, and so hide others in the estimate, an attacker needs eight subjects in it
 * with half of the threshold each, and cannot choose them, because the hash has a secret seed.
 */
import { Sketch } from './sketch.ts'
import { type Subject, type SubjectBits, subjectHash } from './subject.ts'
import { WindowCounts } from './window-counts.ts'

const WAYS = 8

/** How large, and for whom. */
export interface HeavyHittersSettings {
  /** Entries of the table; rounded up to a power of two of at least 16. */
  readonly entries: number
  readonly windowMs: number
  /** From this count on nobody is displaced. */
  readonly protectedCount: number
  /** Two secret seeds for the hashes. */
  readonly seeds: readonly [number, number]
}

/** What is known about an entry of the table. */
export interface HeavyHitter {
  readonly subject: Subject
  /** In the window. */
  readonly count: number
}

/** Exact counts of those that send most. */
export class HeavyHitters {
  readonly entries: number
  readonly #windowMs: number
  readonly #protectedCount: number
  readonly #seeds: readonly [number, number]
  readonly #counts: WindowCounts
  readonly #sketch: Sketch
  /** 0 for an entry that was never used. */
  readonly #bits: Uint8Array
  readonly #a: Int32Array
  readonly #b: Int32Array
  /** The estimate by which an entry came in, and until when it protects it from the next newcomer. */
  readonly #head: Uint32Array
  readonly #headUntilMs: Float64Array
  /** Requests since it came in that were looked at, and those of them that name somebody else. */
  readonly #looked: Uint32Array
  readonly #forwarded: Uint32Array
  #displaced = 0

  constructor({ entries, windowMs, protectedCount, seeds }: HeavyHittersSettings) {
    this.entries = Math.max(2 * WAYS, 2 ** Math.ceil(Math.log2(entries)))
    this.#windowMs = windowMs
    this.#protectedCount = protectedCount
    this.#seeds = seeds
    this.#counts = new WindowCounts(this.entries, windowMs)
    this.#sketch = new Sketch(Math.max(1024, this.entries), windowMs)
    this.#bits = new Uint8Array(this.entries)
    this.#a = new Int32Array(this.entries)
    this.#b = new Int32Array(this.entries)
    this.#head = new Uint32Array(this.entries)
    this.#headUntilMs = new Float64Array(this.entries)
    this.#looked = new Uint32Array(this.entries)
    this.#forwarded = new Uint32Array(this.entries)
  }

  /** Entries that gave way to somebody with a higher estimate. */
  get displaced(): number {
    return this.#displaced
  }

  /** Adds, and answers the exact count; 0 while the subject is only estimated. */
  add(subject: Subject, weight: number, nowMs: number): number {
    const { bits, a, b } = subject
    const hash = subjectHash(this.#seeds[0], bits, a, b)
    let entry = this.#find(hash, bits, a, b)
    if (entry === -1) entry = this.#admit(hash, subject, weight, nowMs)
    else if (this.#counts.total(entry, nowMs) === 0) this.#settle(entry, subject, 0, nowMs)
    if (entry === -1) return 0
    return this.#counts.add(entry, weight, nowMs)
  }

  /** The exact count; 0 for a subject that is not in the table. */
  count({ bits, a, b }: Subject, nowMs: number): number {
    const entry = this.#find(subjectHash(this.#seeds[0], bits, a, b), bits, a, b)
    return entry === -1 ? 0 : this.#counts.total(entry, nowMs)
  }

  /**
   * How often a subject may have come while it was not counted exactly. With the exact count never less than it sent in
   * the window, unless it was forgotten; it may be much more. 0 while the table has had room for everybody.
   */
  estimate({ bits, a, b }: Subject, nowMs: number): number {
    return this.#sketch.most(subjectHash(this.#seeds[0], bits, a, b), this.#second(bits, a, b), nowMs)
  }

  /** Notes whether a request names somebody else; nothing for a subject that is only estimated. */
  look({ bits, a, b }: Subject, forwarded: boolean): void {
    const entry = this.#find(subjectHash(this.#seeds[0], bits, a, b), bits, a, b)
    if (entry === -1) return
    this.#looked[entry] = (this.#looked[entry] as number) + 1
    if (forwarded) this.#forwarded[entry] = (this.#forwarded[entry] as number) + 1
  }

  /** The share of the requests looked at that name somebody else; 0 for a subject that is not here. */
  forwardedShare({ bits, a, b }: Subject): number {
    const entry = this.#find(subjectHash(this.#seeds[0], bits, a, b), bits, a, b)
    return entry === -1 ? 0 : (this.#forwarded[entry] as number) / Math.max(1, this.#looked[entry] as number)
  }

  /** Counts from 0 again. */
  forget({ bits, a, b }: Subject): void {
    const entry = this.#find(subjectHash(this.#seeds[0], bits, a, b), bits, a, b)
    if (entry === -1) return
    this.#bits[entry] = 0
    this.#counts.clear(entry)
  }

  /** The entries with the highest counts, the highest first. Reads the whole table: for people, not for requests. */
  top(most: number, nowMs: number): HeavyHitter[] {
    const found: HeavyHitter[] = []
    for (let entry = 0; entry < this.entries; entry += 1) {
      const count = this.#bits[entry] === 0 ? 0 : this.#counts.total(entry, nowMs)
      if (count > 0) found.push({ subject: this.#subject(entry), count })
    }
    return found.sort((one, other) => other.count - one.count).slice(0, most)
  }

  #subject(entry: number): Subject {
    return {
      bits: this.#bits[entry] as number as SubjectBits,
      a: this.#a[entry] as number,
      b: this.#b[entry] as number,
    }
  }

  #bucket(hash: number): number {
    return (hash & (this.entries / WAYS - 1)) * WAYS
  }

  #find(hash: number, bits: number, a: number, b: number): number {
    const first = this.#bucket(hash)
    for (let entry = first; entry < first + WAYS; entry += 1) {
      if (this.#a[entry] === a && this.#b[entry] === b && this.#bits[entry] === bits) return entry
    }
    return -1
  }

  /** Finds an entry for a newcomer, or -1. */
  #admit(hash: number, subject: Subject, weight: number, nowMs: number): number {
    const first = this.#bucket(hash)
    let lowest = first
    let lowestRank = Number.POSITIVE_INFINITY
    for (let entry = first; entry < first + WAYS; entry += 1) {
      const count = this.#bits[entry] === 0 ? 0 : this.#counts.total(entry, nowMs)
      if (count === 0) return this.#settle(entry, subject, 0, nowMs)
      const rank =
        count >= this.#protectedCount
          ? Number.POSITIVE_INFINITY
          : count + (nowMs < (this.#headUntilMs[entry] as number) ? (this.#head[entry] as number) : 0)
      if (rank < lowestRank) {
        lowest = entry
        lowestRank = rank
      }
    }
    const { bits, a, b } = subject
    const estimate = this.#sketch.add(hash, this.#second(bits, a, b), weight, nowMs)
    if (estimate <= lowestRank) return -1
    // What was counted of the one that leaves is kept as an estimate, so that it may come back.
    const left = this.#subject(lowest)
    this.#sketch.remember(
      subjectHash(this.#seeds[0], left.bits, left.a, left.b),
      this.#second(left.bits, left.a, left.b),
      this.#counts.total(lowest, nowMs),
      nowMs,
    )
    this.#displaced += 1
    return this.#settle(lowest, subject, estimate - weight, nowMs)
  }

  #settle(entry: number, { bits, a, b }: Subject, head: number, nowMs: number): number {
    this.#counts.clear(entry)
    this.#bits[entry] = bits
    this.#a[entry] = a
    this.#b[entry] = b
    this.#head[entry] = head
    this.#headUntilMs[entry] = nowMs + this.#windowMs
    this.#looked[entry] = 0
    this.#forwarded[entry] = 0
    return entry
  }

  #second(bits: SubjectBits, a: number, b: number): number {
    // Odd, so that the four rows never fall together.
    return subjectHash(this.#seeds[1], bits, a, b) | 1
  }
}
