import type { BotPosition } from './trading-bot.ts'

/** Where a bot stands, as the driver reads it: beyond 2^53 a number would be another one. */
export interface PositionRow {
  readonly id: string
  readonly cash_minor: string
  readonly position: string
  readonly last_tick: string
}

export function positionOf({ cash_minor, position, last_tick }: PositionRow): BotPosition {
  return { cash: Number(cash_minor), position: Number(position), lastTick: Number(last_tick) }
}
