import type { CircuitBreaker } from '@holdfast/circuit-breaker'
import type { Lease } from '../../db/leases.ts'
import type { MarketSymbol } from '../../market/symbols.ts'
import type { Strategy } from '../../strategy/strategy.ts'
import type { Holdings, Order } from './order.ts'

/** Where a bot stands, as the database has it. */
export interface BotPosition extends Holdings {
  /** The tick at which it has last traded. */
  readonly lastTick: number
}

/** A bot that this process runs. */
export interface TradingBot {
  readonly id: string
  readonly name: string
  readonly userId: string
  readonly tenantId: string
  readonly symbol: MarketSymbol
  readonly strategy: Strategy
  readonly lease: Lease
  /** Undefined: it is not known for certain, because nobody knows what became of a save. */
  at: BotPosition | undefined
  /** Of its strategy, from its first failure on. */
  breaker: CircuitBreaker | undefined
  /** Why its strategy came to nothing, the last time that it did. */
  lastFailure: string | undefined
}

/** A trade that is to be saved. */
export interface WantedTrade {
  readonly bot: TradingBot
  /** What the order was decided on. */
  readonly before: BotPosition
  readonly order: Order
  readonly after: Holdings
}
