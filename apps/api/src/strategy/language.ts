// The words of the strategy language: all there is, and nothing else. A strategy is one expression that ends in an
// action: `price < sma(20) * 0.99 ? buy(1) : hold()`. There are no variables to set, no strings, no loops and no members,
// so that there is nothing in it by which the service could be reached.

/** What an expression comes to. */
export type ValueType = 'number' | 'boolean' | 'action'

/** What a name stands for at the moment of the decision. */
export const NAMES = {
  price: 'the price of this tick, in minor units',
  position: 'units that the bot holds',
  cash: 'paper money of the bot, in minor units',
} as const

/** A name of the language. */
export type Name = keyof typeof NAMES

interface Word {
  readonly takes: 'nothing' | 'window' | 'number' | 'numbers'
  readonly gives: ValueType
  readonly help: string
}

/** What can be called. A window is a whole number that stands in the text: how much is looked at is known before it runs. */
export const FUNCTIONS = {
  sma: { takes: 'window', gives: 'number', help: 'simple average of the last n prices' },
  ema: { takes: 'window', gives: 'number', help: 'exponential average of the last n prices' },
  highest: { takes: 'window', gives: 'number', help: 'highest of the last n prices' },
  lowest: { takes: 'window', gives: 'number', help: 'lowest of the last n prices' },
  stddev: { takes: 'window', gives: 'number', help: 'standard deviation of the last n prices' },
  ago: { takes: 'window', gives: 'number', help: 'the price n ticks ago' },
  abs: { takes: 'number', gives: 'number', help: 'without its sign' },
  floor: { takes: 'number', gives: 'number', help: 'rounded down' },
  min: { takes: 'numbers', gives: 'number', help: 'the smaller of two' },
  max: { takes: 'numbers', gives: 'number', help: 'the larger of two' },
  buy: { takes: 'number', gives: 'action', help: 'buys so many units' },
  sell: { takes: 'number', gives: 'action', help: 'sells so many units' },
  hold: { takes: 'nothing', gives: 'action', help: 'does nothing' },
} as const satisfies Readonly<Record<string, Word>>

/** A function of the language. */
export type FunctionName = keyof typeof FUNCTIONS

interface Operator {
  readonly takes: ValueType
  readonly gives: ValueType
}

const OF_NUMBERS = { takes: 'number', gives: 'number' } as const
const COMPARING = { takes: 'number', gives: 'boolean' } as const
const OF_TRUTHS = { takes: 'boolean', gives: 'boolean' } as const

/** What stands between two values. */
export const BINARY = {
  '+': OF_NUMBERS,
  '-': OF_NUMBERS,
  '*': OF_NUMBERS,
  '/': OF_NUMBERS,
  '%': OF_NUMBERS,
  '<': COMPARING,
  '<=': COMPARING,
  '>': COMPARING,
  '>=': COMPARING,
  '==': COMPARING,
  '!=': COMPARING,
  '&&': OF_TRUTHS,
  '||': OF_TRUTHS,
} as const satisfies Readonly<Record<string, Operator>>

/** An operator between two values. */
export type BinaryOperator = keyof typeof BINARY

/** What stands before a value. */
export const UNARY = { '-': OF_NUMBERS, '!': OF_TRUTHS } as const satisfies Readonly<Record<string, Operator>>

/** An operator before a value. */
export type UnaryOperator = keyof typeof UNARY

/** The longest text. */
export const MAX_LENGTH = 1000
/** How deep expressions may stand in each other. */
export const MAX_DEPTH = 24
/** Names, numbers, calls and operators together. */
export const MAX_NODES = 150
/** The most prices that one call looks at. */
export const MAX_WINDOW = 500
/** Nodes, and the prices that they look at: what one decision may cost. */
export const MAX_STEPS = 5000
/** The most units of one order. */
export const MAX_QUANTITY = 1_000_000
