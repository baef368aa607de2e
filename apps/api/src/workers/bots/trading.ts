// What bots do at one tick of the market: they are asked for decisions, and what they trade is written.
//
// Guarantees: while strategies are asked, no connection is held; a batch is one save, and the next one waits for it. What
// became of a save that nobody knows of is looked at before its bots decide again.

import { afterTurn } from '@holdfast/footing'
import { MAX_PRICES, type MarketFeed } from '../../market/market-feed.ts'
import type { MarketSymbol } from '../../market/symbols.ts'
import type { Algorithm, AlgorithmRound } from './algorithm.ts'
import { afterOrder, orderOf } from './order.ts'
import type { RunnerCounters } from './outcomes.ts'
import type { TradeStore } from './trade-store.ts'
import type { TradingBot, WantedTrade } from './trading-bot.ts'

/** What trading needs. */
export interface TradingOptions {
  readonly store: TradeStore
  readonly algorithm: Algorithm
  readonly feed: MarketFeed
  /** A tick of the market, in ms. */
  readonly tickMs: number
  readonly counters: RunnerCounters
  /** Is told of bots that somebody else has by now. */
  readonly forget: (bot: TradingBot) => void
}

/** A tick, as its decisions need it. */
interface Round {
  readonly tick: number
  readonly advise: AlgorithmRound['advise']
  readonly pricesOf: (symbol: MarketSymbol) => readonly number[]
}

/** Bots in one save. */
const BATCH = 100

/** Has bots trade. */
export class Trading {
  readonly #options: TradingOptions
  #trades = 0

  constructor(options: TradingOptions) {
    this.#options = options
  }

  /** Trades that were written. */
  get trades(): number {
    return this.#trades
  }

  /** One tick of these bots, while `goesOn`. Rejects when a batch could not be written; the others are. */
  async trade(tick: number, bots: readonly TradingBot[], goesOn: () => boolean): Promise<void> {
    const round = this.#options.algorithm.begin()
    const asked: Round = { tick, advise: round.advise, pricesOf: this.#pricesAt(tick) }
    let failure: { readonly error: unknown } | undefined
    try {
      for (let from = 0; from < bots.length && goesOn(); from += BATCH) {
        const batch = bots.slice(from, from + BATCH)
        try {
          await this.#makeSure(batch)
          const wanted = batch.flatMap((bot) => this.#decide(bot, asked))
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

  /** Those of a symbol are drawn once, and only where a bot has it. */
  #pricesAt(tick: number): Round['pricesOf'] {
    const prices = new Map<MarketSymbol, readonly number[]>()
    return (symbol) => {
      const found = prices.get(symbol) ?? this.#options.feed.pricesUntil(symbol, tick, MAX_PRICES)
      prices.set(symbol, found)
      return found
    }
  }

  /** Looks where bots stand of which it is not known. */
  async #makeSure(bots: readonly TradingBot[]): Promise<void> {
    const unsure = bots.filter(({ at }) => at === undefined)
    if (unsure.length === 0) return
    const positions = await this.#options.store.positions(unsure)
    for (const bot of unsure) bot.at = positions.get(bot.id)
  }

  #decide(bot: TradingBot, { tick, advise, pricesOf }: Round): WantedTrade[] {
    const { counters, tickMs } = this.#options
    const { at, symbol } = bot
    if (at === undefined || !isAfter(tick, at.lastTick, tickMs)) return []
    const prices = pricesOf(symbol)
    const advice = advise(bot, at, prices)
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
    const { store, counters, forget } = this.#options
    try {
      const { saved, passed, lost } = await store.save(tick, wanted)
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
        forget(bot)
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
}

/** No clock is ahead of another one by so much: beyond it, the ticks were counted by another length. */
const CLOCK_SLACK_MS = 60_000

/** Whether a bot that has traded at `lastTick` may trade at `tick`. */
export function isAfter(tick: number, lastTick: number, tickMs: number): boolean {
  return tick > lastTick || (lastTick - tick) * tickMs > CLOCK_SLACK_MS
}
