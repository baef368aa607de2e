// Runs bots: once a tick of the market it has those that are its own trade, and looks which ones these are.
//
// Guarantees: at any instant one process at most writes trades of a bot, and no tick is traded twice (see trade-store.ts).
// A tick at which a bot holds writes nothing. A tick that nobody was there for is not made up for: its price is past.
// What the database refuses costs that tick, and the next one begins anew.
// Bounds: `maxBots` bots, one save at a time, so many rows in a statement, so many notices that wait.

import { holdProcess } from '@holdfast/footing'
import { runInScope } from '@holdfast/pool-guard'
import { type MarketFeed, tickAt } from '../../market/market-feed.ts'
import { Algorithm, type AlgorithmOptions } from './algorithm.ts'
import type { BotCensus } from './fair-share.ts'
import { withEvents } from './holding-events.ts'
import { NoticeQueue } from './notice-queue.ts'
import type { RunnerCounters } from './outcomes.ts'
import { OwnedBots, type OwnedBotsOptions } from './owned-bots.ts'
import { TradeStore } from './trade-store.ts'
import { Trading } from './trading.ts'

/** What a runner of bots needs. */
export interface BotRunnerOptions
  extends OwnedBotsOptions,
    Pick<AlgorithmOptions, 'breakers' | 'health' | 'decisionBudgetMs'> {
  readonly feed: MarketFeed
  /** A tick of the market, in ms: the same in every process. */
  readonly tickMs: number
  readonly counters: RunnerCounters
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

/** Runs them, from `start()` to `stop()`. */
export class BotRunner {
  readonly #options: BotRunnerOptions
  readonly #owned: OwnedBots
  readonly #notices: NoticeQueue
  readonly #algorithm: Algorithm
  readonly #trading: Trading
  #state: BotRunnerSnapshot['state'] = 'idle'
  #cancelWake: (() => void) | undefined
  #round: Promise<void> | undefined
  #letGo: (() => void) | undefined
  #firstTick = -1
  #doneTick = -1
  #missed = 0
  #failures = 0
  /** Of the last failure that was logged. */
  #told: string | undefined

  constructor(options: BotRunnerOptions) {
    const { pool, leases, owner, tell, log } = options
    this.#options = options
    this.#owned = new OwnedBots(options)
    this.#notices = new NoticeQueue(pool, withEvents(tell, owner), log)
    this.#algorithm = new Algorithm({ ...options, tell: (notice) => this.#notices.add(notice) })
    this.#trading = new Trading({
      ...options,
      store: new TradeStore(pool, leases),
      algorithm: this.#algorithm,
      forget: (bot) => this.#owned.forget(bot),
    })
  }

  /** Begins with the next tick. Once. */
  start(): void {
    if (this.#state !== 'idle') return
    this.#state = 'running'
    this.#letGo = holdProcess()
    this.#firstTick = this.#now() + 1
    void this.#attempt('forget', () => this.#owned.begin())
    this.#wakeLater()
  }

  /** Ends the tick that is under way after its save, and gives all bots to whoever wants them. Never rejects. */
  async stop(): Promise<void> {
    this.#state = 'stopped'
    this.#cancelWake?.()
    await this.#round
    await this.#attempt('notices', () => this.#notices.flush())
    await this.#owned.end()
    this.#letGo?.()
    this.#letGo = undefined
  }

  snapshot(): BotRunnerSnapshot {
    return {
      state: this.#state,
      isBusy: this.#round !== undefined,
      bots: this.#owned.size,
      census: this.#owned.census,
      censusAgeMs: this.#state === 'running' ? this.#owned.censusAgeMs : 0,
      tick: this.#doneTick,
      lateMs: this.#lateMs(),
      missed: this.#missed,
      trades: this.#trading.trades,
      takenOver: this.#owned.takenOver,
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
    const goesOn = () => this.#state === 'running'
    const trade = () => this.#trading.trade(tick, this.#owned.current(), goesOn)
    if (await this.#attempt('trade', trade)) this.#doneTick = tick
    if (this.#state === 'running') await this.#attempt('own', () => this.#owned.settle())
    await this.#attempt('notices', () => this.#notices.flush())
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
}
