// Runs bots: takes those that nobody runs, asks their strategies once a tick of the market, and writes what they trade.
//
// Guarantees: at any instant one process at most writes trades of a bot, and no tick is traded twice (see bot-store.ts).
// A tick at which a bot holds writes nothing. A tick that nobody was there for is not made up for: its price is past.
// While it decides, no connection is held; what the database refuses costs that tick, and the next one begins anew.
// Bounds: `maxBots` bots, one save at a time, so many rows in a statement, so many notices that wait.

import { afterTurn, type Clock, holdProcess } from '@holdfast/footing'
import { type PoolGuard, runInScope } from '@holdfast/pool-guard'
import type { Lease, Leases } from '../../db/leases.ts'
import { MAX_PRICES, type MarketFeed, tickAt } from '../../market/market-feed.ts'
import type { MarketSymbol } from '../../market/symbols.ts'
import { Algorithm, type AlgorithmOptions, type AlgorithmRound } from './algorithm.ts'
import { BotStore, RUNNER_KIND } from './bot-store.ts'
import { type BotCensus, fairShare } from './fair-share.ts'
import type { Notice, Tell } from './notice.ts'
import { afterOrder, orderOf } from './order.ts'
import type { TradingBot, WantedTrade } from './trading-bot.ts'

/**
 * What a bot did at a tick. `cut`: it traded less than its strategy wanted; `skipped`: it could pay for nothing, or had
 * nothing to sell; `failed`: its strategy did; `fallback`: it was not asked; `lost`: it is somebody else's by now;
 * `passed`: somebody else changed it at that moment; `unsaved`: the database could not say that it was written.
 */
export const OUTCOMES = [
  'bought',
  'sold',
  'cut',
  'held',
  'skipped',
  'failed',
  'fallback',
  'lost',
  'passed',
  'unsaved',
] as const

export type BotOutcome = (typeof OUTCOMES)[number]

/** Counts what it does. */
export interface RunnerCounters {
  decided(outcome: BotOutcome): void
  traded(side: 'buy' | 'sell'): void
}

/** What a runner of bots needs. */
export interface BotRunnerOptions extends Pick<AlgorithmOptions, 'breakers' | 'health' | 'decisionBudgetMs'> {
  readonly pool: Pick<PoolGuard, 'query' | 'transaction'>
  readonly leases: Leases
  /** That of the leases. */
  readonly owner: string
  /** That of the leases: for how long a bot may be without an owner, in ms. Default 15,000. */
  readonly leaseMs?: number
  readonly feed: MarketFeed
  /** A tick of the market, in ms: the same in every process. */
  readonly tickMs: number
  /** Bots that it runs at most; one less than MAX_LEASES at most. */
  readonly maxBots: number
  readonly tell: Tell
  readonly counters: RunnerCounters
  readonly log: RunnerLog
  readonly clock: Clock
  /** In [0, 1). */
  readonly random: () => number
}

/** Where it writes what operators should know. */
export interface RunnerLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

/** A runner as plain data. */
export interface BotRunnerSnapshot {
  readonly state: 'idle' | 'running' | 'stopped'
  /** Whether a tick is under way. */
  readonly isBusy: boolean
  /** Bots that it runs. */
  readonly bots: number
  /** All bots that run, of whichever process, as it has last counted them. */
  readonly census: BotCensus
  /** How old that is, in ms. */
  readonly censusAgeMs: number
  /** The last tick that it is done with; -1: none. */
  readonly tick: number
  /** How long ago the first tick began that it is not done with, in ms; 0 when there is none. */
  readonly lateMs: number
  /** Ticks that it let pass, because the one before took so long. */
  readonly missed: number
  readonly trades: number
  /** Bots that it took over from another process. */
  readonly takenOver: number
  /** Steps that failed, because the database could not. */
  readonly failures: number
}

const DEFAULT_LEASE_MS = 15_000
/** Bots in one save. */
const BATCH = 100
/** Bots taken at one tick, and given back at one count. */
const MOVE_AT_ONCE = 200
/** Free bots that are looked at, to choose some that others do not choose as well. */
const LOOK_AT = 1000
const COUNTS_PER_LEASE = 3
const MAX_NOTICES = 200

export class BotRunner {
  readonly #options: BotRunnerOptions
  readonly #leaseMs: number
  readonly #store: BotStore
  readonly #algorithm: Algorithm
  readonly #bots = new Map<string, TradingBot>()
  readonly #notices: Notice[] = []
  #presence: Lease | undefined
  #state: BotRunnerSnapshot['state'] = 'idle'
  #cancelWake: (() => void) | undefined
  #round: Promise<void> | undefined
  #letGo: (() => void) | undefined
  #firstTick = -1
  #doneTick = -1
  #countAtMs = Number.NEGATIVE_INFINITY
  #countedMs = 0
  #census: BotCensus = { running: 0, alone: 0, processes: 0 }
  #missed = 0
  #trades = 0
  #takenOver = 0
  #failures = 0
  /** Of the last failure that was logged. */
  #told: string | undefined

  constructor(options: BotRunnerOptions) {
    const { pool, leases, tell, leaseMs = DEFAULT_LEASE_MS } = options
    this.#options = options
    this.#leaseMs = leaseMs
    this.#store = new BotStore(pool, leases, tell)
    this.#algorithm = new Algorithm({ ...options, tell: (notice) => this.#note(notice) })
  }

  /** Begins with the next tick. Once. */
  start(): void {
    if (this.#state !== 'idle') return
    this.#state = 'running'
    this.#letGo = holdProcess()
    this.#firstTick = this.#now() + 1
    this.#countedMs = this.#options.clock.nowMs()
    void this.#attempt('forget', () => this.#store.forgetRunners())
    this.#wakeLater()
  }

  /** Ends the tick that is under way after its save, and gives all bots to whoever wants them. Never rejects. */
  async stop(): Promise<void> {
    this.#state = 'stopped'
    this.#cancelWake?.()
    await this.#round
    await this.#attempt('notices', () => this.#tellPeople())
    const leases = [...this.#bots.values()].map(({ lease }) => lease)
    this.#bots.clear()
    await this.#options.leases.release(this.#presence === undefined ? leases : [...leases, this.#presence])
    this.#letGo?.()
    this.#letGo = undefined
  }

  snapshot(): BotRunnerSnapshot {
    return {
      state: this.#state,
      isBusy: this.#round !== undefined,
      bots: this.#bots.size,
      census: this.#census,
      censusAgeMs: this.#state === 'running' ? this.#options.clock.nowMs() - this.#countedMs : 0,
      tick: this.#doneTick,
      lateMs: this.#lateMs(),
      missed: this.#missed,
      trades: this.#trades,
      takenOver: this.#takenOver,
      failures: this.#failures,
    }
  }

  /** Whether strategies are asked, or bots hold: the state of the breaker. */
  get algorithm(): Algorithm['state'] {
    return this.#algorithm.state
  }

  #now(): number {
    return tickAt(this.#options.clock.wallMs(), this.#options.tickMs)
  }

  #lateMs(): number {
    if (this.#state !== 'running') return 0
    const { clock, tickMs } = this.#options
    const next = Math.max(this.#firstTick, this.#doneTick + 1)
    return Math.max(0, clock.wallMs() - next * tickMs)
  }

  #wakeLater(): void {
    const { clock, tickMs } = this.#options
    this.#cancelWake = clock.schedule(tickMs - (clock.wallMs() % tickMs), () => {
      this.#wakeLater()
      this.#wake()
    })
  }

  #wake(): void {
    const tick = this.#now()
    // A timer may be early.
    if (tick === this.#doneTick || this.#state !== 'running') return
    if (this.#round !== undefined) {
      this.#missed += 1
      return
    }
    const scope = { criticality: 'normal', route: 'bots' } as const
    this.#round = runInScope(scope, () => this.#tick(tick)).finally(() => {
      this.#round = undefined
    })
  }

  /** What is taken at one tick trades from the next one on. */
  async #tick(tick: number): Promise<void> {
    if (await this.#attempt('trade', () => this.#trade(tick))) this.#doneTick = tick
    if (this.#state === 'running') await this.#attempt('own', () => this.#own())
    await this.#attempt('notices', () => this.#tellPeople())
  }

  /** Says once what is wrong, and once that it is over. */
  async #attempt(what: string, work: () => Promise<void>): Promise<boolean> {
    const { log } = this.#options
    try {
      await work()
      if (this.#told === what) {
        log.info({ what }, 'bots go on')
        this.#told = undefined
      }
      return true
    } catch (error) {
      this.#failures += 1
      const { code, message } = Object(error) as { code?: unknown; message?: unknown }
      if (this.#told === undefined) log.warn({ what, code, reason: message }, 'bots pause: something failed')
      this.#told = what
      return false
    }
  }

  async #trade(tick: number): Promise<void> {
    const bots = this.#owned()
    const prices = new Map<MarketSymbol, readonly number[]>()
    const pricesOf = (symbol: MarketSymbol) => {
      const found = prices.get(symbol) ?? this.#options.feed.pricesUntil(symbol, tick, MAX_PRICES)
      prices.set(symbol, found)
      return found
    }
    const round = this.#algorithm.begin()
    let failure: { readonly error: unknown } | undefined
    try {
      for (let from = 0; from < bots.length && this.#state === 'running'; from += BATCH) {
        const batch = bots.slice(from, from + BATCH)
        try {
          await this.#makeSure(batch)
          const wanted = batch.flatMap((bot) => this.#decide(bot, { tick, round, pricesOf }))
          if (wanted.length > 0) await this.#save(tick, wanted)
        } catch (error) {
          failure = { error }
        }
        // Everything else of this process gets its turn.
        await new Promise<void>((resolve) => afterTurn(resolve))
      }
    } finally {
      round.end()
    }
    if (failure !== undefined) throw failure.error
  }

  /** Those whose lease has not ended, as far as this process knows. */
  #owned(): TradingBot[] {
    const bots = [...this.#bots.values()]
    const owned = bots.filter(({ lease }) => !lease.signal.aborted)
    for (const bot of bots) if (bot.lease.signal.aborted) this.#bots.delete(bot.lease.name)
    return owned
  }

  /** Looks where bots stand of which it is not known. */
  async #makeSure(bots: readonly TradingBot[]): Promise<void> {
    const unsure = bots.filter(({ at }) => at === undefined)
    if (unsure.length === 0) return
    const positions = await this.#store.positions(unsure)
    for (const bot of unsure) bot.at = positions.get(bot.id)
  }

  #decide(
    bot: TradingBot,
    {
      tick,
      round,
      pricesOf,
    }: {
      readonly tick: number
      readonly round: AlgorithmRound
      readonly pricesOf: (symbol: MarketSymbol) => readonly number[]
    },
  ): WantedTrade[] {
    const { counters, tickMs } = this.#options
    const { at, symbol } = bot
    if (at === undefined || !isAfter(tick, at.lastTick, tickMs)) return []
    const prices = pricesOf(symbol)
    const advice = round.advise(bot, at, prices)
    if (typeof advice === 'string') {
      counters.decided(advice)
      return []
    }
    const order = orderOf(advice, at, prices.at(-1) ?? Number.NaN)
    if (order !== undefined) return [{ bot, before: at, order, after: afterOrder(at, order) }]
    counters.decided(advice.action === 'hold' ? 'held' : 'skipped')
    return []
  }

  async #save(tick: number, wanted: readonly WantedTrade[]): Promise<void> {
    const { counters } = this.#options
    try {
      const { saved, passed, lost } = await this.#store.save(tick, wanted)
      for (const { bot, order, after } of saved) {
        bot.at = { ...after, lastTick: tick }
        counters.traded(order.side)
        counters.decided(order.isCut ? 'cut' : order.side === 'buy' ? 'bought' : 'sold')
      }
      this.#trades += saved.length
      for (const { bot } of passed) {
        bot.at = undefined
        counters.decided('passed')
      }
      for (const { bot } of lost) {
        this.#bots.delete(bot.lease.name)
        counters.decided('lost')
      }
    } catch (error) {
      // It may be written, or not.
      for (const { bot } of wanted) {
        bot.at = undefined
        counters.decided('unsaved')
      }
      throw error
    }
  }

  async #own(): Promise<void> {
    const { leases, owner, clock, maxBots } = this.#options
    if (this.#presence === undefined || this.#presence.signal.aborted) {
      this.#presence = (await leases.take([`${RUNNER_KIND}/${owner}`]))[0]
    }
    const free = await this.#store.free(LOOK_AT)
    const nowMs = clock.nowMs()
    if (free.length === 0 && nowMs < this.#countAtMs) return
    this.#countAtMs = nowMs + this.#leaseMs / COUNTS_PER_LEASE
    this.#census = await this.#store.census(this.#leaseMs)
    this.#countedMs = nowMs
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
    }
  }

  async #giveBack(leases: readonly Lease[]): Promise<void> {
    for (const { name } of leases) this.#bots.delete(name)
    await this.#options.leases.release(leases)
  }

  async #take(free: readonly { readonly name: string; readonly owner: string }[]): Promise<void> {
    const { leases, owner, log } = this.#options
    const taken = await leases.takeKnown(free.map(({ name }) => name))
    if (taken.length === 0) return
    const ownersBefore = new Map(free.map((bot) => [bot.name, bot.owner]))
    try {
      const { bots, takenOver, unfit, passed } = await this.#store.adopt(taken, ownersBefore, owner)
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

  #note(notice: Notice): void {
    if (this.#notices.length < MAX_NOTICES) this.#notices.push(notice)
    else this.#options.log.warn({ notice: notice.kind }, 'too many notices wait; this one is not sent')
  }

  async #tellPeople(): Promise<void> {
    const waiting = [...this.#notices]
    if (waiting.length === 0) return
    const { pool, tell } = this.#options
    await pool.transaction({}, async (tx) => {
      for (const notice of waiting) await tell(tx, notice)
    })
    this.#notices.splice(0, waiting.length)
  }
}

/** No clock is ahead of another one by so much: beyond it, the ticks were counted by another length. */
const CLOCK_SLACK_MS = 60_000

/** Whether a bot that has traded at `lastTick` may trade at `tick`. */
export function isAfter(tick: number, lastTick: number, tickMs: number): boolean {
  return tick > lastTick || (lastTick - tick) * tickMs > CLOCK_SLACK_MS
}
