// The bots that this process runs: which it has, which it takes, and which it gives back.
//
// Guarantees: at most `maxBots`; nothing that the database knows as free is believed to be ours. A process is counted by a
// lease of its own, so that all of them find the same share.

import type { Clock } from '@holdfast/footing'
import type { PoolGuard } from '@holdfast/pool-guard'
import type { Lease, Leases } from '../../db/leases.ts'
import { BotAdoption } from './adoption.ts'
import { BotLeases, type FreeBot, RUNNER_KIND } from './bot-leases.ts'
import { type BotCensus, fairShare } from './fair-share.ts'
import type { Tell } from './notice.ts'
import type { RunnerLog } from './runner-log.ts'
import type { TradingBot } from './trading-bot.ts'

/** What is needed to own bots. */
export interface OwnedBotsOptions {
  readonly pool: Pick<PoolGuard, 'query' | 'transaction'>
  readonly leases: Leases
  /** That of the leases. */
  readonly owner: string
  /** That of the leases: for how long a bot may be without an owner, in ms. Default 15,000. */
  readonly leaseMs?: number
  /** Bots that it runs at most; one less than MAX_LEASES at most. */
  readonly maxBots: number
  readonly tell: Tell
  readonly log: RunnerLog
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
}

const DEFAULT_LEASE_MS = 15_000
/** Bots taken at one tick, and given back at one count. */
const MOVE_AT_ONCE = 200
/** Free bots that are looked at, to choose some that others do not choose as well. */
const LOOK_AT = 1000
const COUNTS_PER_LEASE = 3

/** Keeps them. */
export class OwnedBots {
  readonly #options: OwnedBotsOptions
  readonly #leaseMs: number
  readonly #botLeases: BotLeases
  readonly #adoption: BotAdoption
  readonly #bots = new Map<string, TradingBot>()
  #presence: Lease | undefined
  #countAtMs = Number.NEGATIVE_INFINITY
  #countedMs: number
  #census: BotCensus = { running: 0, alone: 0, processes: 0 }
  #takenOver = 0

  constructor(options: OwnedBotsOptions) {
    const { pool, leases, tell, clock, leaseMs = DEFAULT_LEASE_MS } = options
    this.#options = options
    this.#leaseMs = leaseMs
    this.#botLeases = new BotLeases(pool)
    this.#adoption = new BotAdoption(pool, leases, tell)
    this.#countedMs = clock.nowMs()
  }

  /** How many they are. */
  get size(): number {
    return this.#bots.size
  }

  /** All bots that run, of whichever process, as they were last counted. */
  get census(): BotCensus {
    return this.#census
  }

  /** How old that is, in ms. */
  get censusAgeMs(): number {
    return this.#options.clock.nowMs() - this.#countedMs
  }

  /** Bots that were taken over from another process. */
  get takenOver(): number {
    return this.#takenOver
  }

  /** Those whose lease has not ended, as far as this process knows; the others are forgotten. */
  current(): TradingBot[] {
    for (const [name, { lease }] of this.#bots) if (lease.signal.aborted) this.#bots.delete(name)
    return [...this.#bots.values()]
  }

  /** One is somebody else's by now. */
  forget({ lease }: TradingBot): void {
    this.#bots.delete(lease.name)
  }

  /** Counting begins now; processes that were not heard of for long are forgotten. */
  async begin(): Promise<void> {
    this.#countedMs = this.#options.clock.nowMs()
    await this.#botLeases.forgetRunners()
  }

  /** Takes and gives back what the share of this process says. */
  async settle(): Promise<void> {
    const { leases, owner, clock, maxBots } = this.#options
    if (this.#presence === undefined || this.#presence.signal.aborted) {
      this.#presence = (await leases.take([`${RUNNER_KIND}/${owner}`]))[0]
    }
    const free = await this.#botLeases.free(LOOK_AT)
    const nowMs = clock.nowMs()
    if (free.length === 0 && nowMs < this.#countAtMs) return
    this.#countAtMs = nowMs + this.#leaseMs / COUNTS_PER_LEASE
    await this.#count()
    // What is free in the database is not ours, whatever is believed here.
    const overdue = free.flatMap(({ name }) => this.#bots.get(name)?.lease ?? [])
    await this.#giveBack(overdue)
    const plan = fairShare(this.#census, this.#bots.size, maxBots)
    if (plan.giveBack > 0) {
      const all = this.#shuffled([...this.#bots.values()].map(({ lease }) => lease))
      await this.#giveBack(all.slice(0, Math.min(plan.giveBack, MOVE_AT_ONCE)))
    }
    if (plan.take > 0 && free.length > 0) {
      // Those that have waited for too long come first, whoever else wants them.
      const choice = this.#census.alone > 0 ? free : this.#shuffled(free)
      await this.#take(choice.slice(0, Math.min(plan.take, MOVE_AT_ONCE)))
      // They are alone no more: health need not say so until the next count.
      if (this.#census.alone > 0) await this.#count()
    }
  }

  /** Gives all to whoever wants them. Never rejects. */
  async end(): Promise<void> {
    const leases = [...this.#bots.values()].map(({ lease }) => lease)
    this.#bots.clear()
    await this.#options.leases.release(this.#presence === undefined ? leases : [...leases, this.#presence])
  }

  async #count(): Promise<void> {
    const nowMs = this.#options.clock.nowMs()
    this.#census = await this.#botLeases.census(this.#leaseMs)
    this.#countedMs = nowMs
  }

  async #giveBack(leases: readonly Lease[]): Promise<void> {
    for (const { name } of leases) this.#bots.delete(name)
    await this.#options.leases.release(leases)
  }

  async #take(free: readonly FreeBot[]): Promise<void> {
    const { leases, owner, log } = this.#options
    const taken = await leases.takeKnown(free.map(({ name }) => name))
    if (taken.length === 0) return
    const ownersBefore = new Map(free.map((bot) => [bot.name, bot.owner]))
    try {
      const { bots, takenOver, unfit, passed } = await this.#adoption.adopt(taken, ownersBefore, owner)
      for (const bot of bots) this.#bots.set(bot.lease.name, bot)
      this.#takenOver += takenOver
      await leases.release(passed)
      if (takenOver > 0) log.info({ bots: takenOver }, 'took over bots of another process')
      for (const { id, why } of unfit) log.warn({ bot_id: id, reason: why }, 'a bot cannot run')
    } catch (error) {
      await leases.release(taken)
      throw error
    }
  }

  #shuffled<T>(list: readonly T[]): T[] {
    const { random } = this.#options
    return list
      .map((each) => ({ each, at: random() }))
      .sort((left, right) => left.at - right.at)
      .map(({ each }) => each)
  }
}
