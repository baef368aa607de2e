/** What bots trade, and about what a unit of it costs, in minor units. A symbol is never taken away: bots have it. */
export const SYMBOLS = {
  HFX: 10_000,
  ASH: 12_500,
  ELM: 18_000,
  FIR: 25_000,
  IVY: 40_000,
  OAK: 75_000,
  YEW: 150_000,
  BAY: 400_000,
} as const

/** A symbol of the market. */
export type MarketSymbol = keyof typeof SYMBOLS

export const SYMBOL_NAMES = Object.keys(SYMBOLS) as readonly MarketSymbol[]

/** The symbol of that name; undefined when there is none. */
export function symbolOf(name: string): MarketSymbol | undefined {
  return SYMBOL_NAMES.find((symbol) => symbol === name)
}
