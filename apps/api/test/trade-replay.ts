// Bots reckoned a second time, from the rule alone: what a bot trades at a tick follows from its strategy, the prices and
// what its trades before have left it, in whole numbers; not from who runs it, nor from what he remembers.

import type { MarketFeed } from '../src/market/market-feed.ts'
import { MAX_WINDOW } from '../src/strategy/language.ts'
import { strategyOf } from '../src/strategy/strategy.ts'
import type { TradeRow } from './trading-floor.ts'

/** A bot as it was created. */
export interface ReplayedBot {
  readonly id: string
  readonly symbol: 'HFX'
  readonly strategy: string
}

/** What a trade is, whoever has made it. */
export type ReplayedTrade = Omit<TradeRow, 'fence'>

/** A bot on its way through the ticks. */
export class BotReplay {
  readonly #bot: ReplayedBot
  readonly #feed: MarketFeed
  readonly #strategy: ReturnType<typeof strategyOf>
  #cash = 1_000_000n
  #position = 0n

  constructor(bot: ReplayedBot, feed: MarketFeed) {
    this.#bot = bot
    this.#feed = feed
    this.#strategy = strategyOf(bot.strategy)
  }

  /** What it has now. */
  get holdings(): { readonly cash: bigint; readonly position: bigint } {
    return { cash: this.#cash, position: this.#position }
  }

  /** What it should trade at a tick; undefined: nothing. A strategy that fails trades nothing. */
  due(tick: number): ReplayedTrade | undefined {
    const { id, symbol } = this.#bot
    const price = this.#feed.priceAt(symbol, tick)
    const { action, quantity } = this.#decided(tick)
    if (action === 'hold') return undefined
    const most = action === 'buy' ? this.#cash / BigInt(price) : this.#position
    const units = Number(BigInt(quantity) < most ? BigInt(quantity) : most)
    return units === 0 ? undefined : { bot: id, tick, side: action, quantity: units, price }
  }

  /** Has it trade. */
  take({ side, quantity, price }: ReplayedTrade): void {
    const units = side === 'buy' ? BigInt(quantity) : -BigInt(quantity)
    this.#cash -= units * BigInt(price)
    this.#position += units
  }

  #decided(tick: number) {
    const prices = this.#feed.pricesUntil(this.#bot.symbol, tick, MAX_WINDOW + 1)
    try {
      return this.#strategy.decide({ prices, cash: Number(this.#cash), position: Number(this.#position) })
    } catch {
      return { action: 'hold', quantity: 0 } as const
    }
  }
}

/** Trades replayed: what is wrong with them, and at how many ticks between the first and the last nobody was there. */
export interface ReplayFindings {
  readonly faults: readonly string[]
  readonly missed: number
}

/** Goes through the trades of a bot, from its creation on. */
export function replay(bot: ReplayedBot, trades: readonly TradeRow[], feed: MarketFeed): ReplayFindings {
  const again = new BotReplay(bot, feed)
  const faults: string[] = []
  let missed = 0
  let before: number | undefined
  for (const { fence: _, ...trade } of trades.filter((each) => each.bot === bot.id)) {
    for (let tick = (before ?? trade.tick - 1) + 1; tick < trade.tick; tick += 1) {
      if (again.due(tick) !== undefined) missed += 1
    }
    const due = again.due(trade.tick)
    if (JSON.stringify(due) !== JSON.stringify(trade)) {
      faults.push(`${JSON.stringify(trade)} was written, ${JSON.stringify(due)} was due`)
    }
    again.take(trade)
    before = trade.tick
  }
  return { faults, missed }
}
