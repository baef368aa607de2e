/**
 * How often each address came within the last minute, and the networks around it. Who sends much from one /64 is found
 * there; the networks are for those who go from one /64 to the next, so only a part of what each sends counts for them:
 * a quarter of the limit, however much it sends. While the table has no room for a /64, what it has sent is estimated,
 * and never too low, lest a few that flood get their neighbours blocked. But others raise the estimate. In a flood of
 * half as many addresses as the limit for each cell of a row of the sketch (65,536 by default), it reaches that quarter
 * for everybody, and newcomers count for no network. `uncountedForNetworks` tells how much was not counted therefore.
 */
import { type HeavyHitter, HeavyHitters } from './heavy-hitters.ts'
import type { GuardOptions } from './options.ts'
import type { Subject } from './subject.ts'

/** What came earlier counts no more. */
export const COUNTED_MS = 60_000

/** The counts of one process. */
export class RequestCounts {
  readonly #maxPerMinute: number
  readonly #ipv6: GuardOptions['ipv6']
  readonly #table: HeavyHitters
  /** So many requests of one /64 within a minute count for the networks around it. */
  readonly #spreadBelow: number
  #uncountedForNetworks = 0

  constructor({
    maxPerMinute,
    ipv6,
    maxTracked,
    seed,
  }: Pick<GuardOptions, 'maxPerMinute' | 'ipv6' | 'maxTracked' | 'seed'>) {
    this.#maxPerMinute = maxPerMinute
    this.#ipv6 = ipv6
    this.#table = new HeavyHitters({
      entries: maxTracked,
      windowMs: COUNTED_MS,
      protectedCount: Math.max(1, Math.ceil(maxPerMinute / 2)),
      seeds: [Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995, Math.imul(seed, 0x85ebca6b) ^ 0x27d4eb2f],
    })
    this.#spreadBelow = Math.max(1, Math.floor(maxPerMinute / 4))
  }

  /** Counts given up for lack of room. */
  get displaced(): number {
    return this.#table.displaced
  }

  /** What did not count for the networks around a /64 because of an estimate alone. */
  get uncountedForNetworks(): number {
    return this.#uncountedForNetworks
  }

  /** More than that leads to a block; `Infinity` where nothing does. */
  most({ bits }: Subject): number {
    if (bits === 56) return this.#maxPerMinute * this.#ipv6.per56
    return bits === 48 ? this.#maxPerMinute * this.#ipv6.per48 : this.#maxPerMinute
  }

  /** Adds, and answers the exact count; 0 while the subject is only estimated. */
  add(subject: Subject, cost: number, nowMs: number): number {
    return this.#table.add(subject, cost, nowMs)
  }

  /** What of the latest request of a /64, which made its count `count`, counts for the networks around it. */
  shareForNetworks(subject: Subject, cost: number, count: number, nowMs: number): number {
    const before = count - cost
    if (before >= this.#spreadBelow) return 0
    // What it sent while the table had no room for it is in the estimate alone.
    const sent = Math.max(0, before + this.#table.estimate(subject, nowMs))
    const share = Math.max(0, Math.min(cost, this.#spreadBelow - sent))
    this.#uncountedForNetworks += Math.min(cost, this.#spreadBelow - Math.max(0, before)) - share
    return share
  }

  /** Notes whether a request names somebody else. */
  look(subject: Subject, forwarded: boolean): void {
    this.#table.look(subject, forwarded)
  }

  /** The share of the requests looked at that name somebody else. */
  forwardedShare(subject: Subject): number {
    return this.#table.forwardedShare(subject)
  }

  /** The exact count; 0 for a subject that is only estimated. */
  count(subject: Subject, nowMs: number): number {
    return this.#table.count(subject, nowMs)
  }

  /** Counts from 0 again. */
  forget(subject: Subject): void {
    this.#table.forget(subject)
  }

  /** Those that sent most. Reads the whole table. */
  top(most: number, nowMs: number): HeavyHitter[] {
    return this.#table.top(most, nowMs)
  }
}
