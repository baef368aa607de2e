// What becomes of a decision: an order that the bot can pay for, or none. Pure.

import type { Decision } from '../../strategy/evaluate.ts'

/** What a bot has. */
export interface Holdings {
  /** Paper money, in minor units. */
  readonly cash: number
  /** Units of its symbol. */
  readonly position: number
}

/** What is bought or sold at a tick. */
export interface Order {
  readonly side: 'buy' | 'sell'
  /** At least 1. */
  readonly quantity: number
  /** Of one unit. */
  readonly priceMinor: number
  /** Whether the strategy wanted more. */
  readonly isCut: boolean
}

/**
 * The rule: an order is for as many units as the strategy wants and the bot can pay for, or has to sell. Where that is
 * none, there is no order. What a bot has stays below 2^53, where whole numbers end to be exact.
 */
export function orderOf(
  { action, quantity: wanted }: Decision,
  { cash, position }: Holdings,
  priceMinor: number,
): Order | undefined {
  if (action === 'hold') return undefined
  const most =
    action === 'buy'
      ? Math.min(Math.floor(cash / priceMinor), Number.MAX_SAFE_INTEGER - position)
      : Math.min(position, Math.floor((Number.MAX_SAFE_INTEGER - cash) / priceMinor))
  const quantity = Math.min(wanted, most)
  return quantity < 1 ? undefined : { side: action, quantity, priceMinor, isCut: quantity < wanted }
}

/** What a bot has after its order. */
export function afterOrder({ cash, position }: Holdings, { side, quantity, priceMinor }: Order): Holdings {
  const sign = side === 'buy' ? 1 : -1
  return { cash: cash - sign * quantity * priceMinor, position: position + sign * quantity }
}
