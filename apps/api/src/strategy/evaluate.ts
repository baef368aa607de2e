// What a strategy decides at one tick. Pure: the same prices and holdings, the same decision, in every process.
//
// An expression is made into functions once, each for a node and holding those of the nodes in it: thousands of bots are
// asked at every tick, and none of them looks at the kinds of its nodes again. No text is run: all code stands here.

import type { CallNode, Expression } from './expression.ts'
import { type BinaryOperator, type FunctionName, MAX_QUANTITY, MAX_STEPS, type Name } from './language.ts'
import { StrategyRunError } from './strategy-error.ts'

/** What a strategy looks at. */
export interface Moment {
  /** Prices in minor units, the newest last; the last one is the present price. At least one. */
  readonly prices: readonly number[]
  /** Units that the bot holds. */
  readonly position: number
  /** Its paper money, in minor units. */
  readonly cash: number
}

/** What a bot should do. `quantity` is a whole number, at least 1; 0 for `hold`. */
export interface Decision {
  readonly action: 'buy' | 'sell' | 'hold'
  readonly quantity: number
}

/**
 * Decides. While there are fewer prices than a window asks for, it is of those that there are. Orders are rounded down
 * to whole units; less than one is `hold`.
 * @throws {StrategyRunError} for an order of no number of units, or of too many; and where it would take more than `maxSteps`.
 */
export type Decide = (moment: Moment, maxSteps?: number) => Decision

const HOLD: Decision = Object.freeze({ action: 'hold', quantity: 0 })

/** Makes of a strategy what decides. */
export function decideBy(expression: Expression): Decide {
  const run = runOf(expression)
  const nodes = nodesOf(expression)
  return (moment, maxSteps = MAX_STEPS) => {
    const value = run(new Look(moment, maxSteps - nodes))
    if (typeof value === 'object') return value
    throw new StrategyRunError(`the strategy came to ${value}, which is no action`)
  }
}

type Value = number | boolean | Decision
type Run = (look: Look) => Value

/** One look at a moment, and the steps that are left for it. */
class Look {
  readonly moment: Moment
  #left: number

  constructor(moment: Moment, steps: number) {
    this.moment = moment
    this.#left = steps
  }

  /** Where the last `count` prices begin, or all of them. */
  first(count: number): number {
    const { length } = this.moment.prices
    const first = Math.max(0, length - count)
    this.#left -= length - first
    if (this.#left < 0) throw new StrategyRunError('the strategy takes too many steps')
    return first
  }
}

function runOf(expression: Expression): Run {
  switch (expression.kind) {
    case 'number': {
      const { value } = expression
      return () => value
    }
    case 'name':
      return NAMED[expression.name]
    case 'call':
      return calling(expression)
    case 'unary': {
      const operand = runOf(expression.operand)
      return expression.operator === '-' ? (look) => -Number(operand(look)) : (look) => operand(look) !== true
    }
    case 'binary':
      return BETWEEN[expression.operator](runOf(expression.left), runOf(expression.right))
    case 'conditional': {
      const [test, yes, no] = [runOf(expression.test), runOf(expression.yes), runOf(expression.no)]
      return (look) => (test(look) === true ? yes(look) : no(look))
    }
  }
}

/** What is counted beforehand, whether it will be looked at or not. */
function nodesOf(expression: Expression): number {
  switch (expression.kind) {
    case 'number':
    case 'name':
      return 1
    case 'call':
      return expression.given.reduce((sum, each) => sum + nodesOf(each), 1)
    case 'unary':
      return 1 + nodesOf(expression.operand)
    case 'binary':
      return 1 + nodesOf(expression.left) + nodesOf(expression.right)
    case 'conditional':
      return 1 + nodesOf(expression.test) + nodesOf(expression.yes) + nodesOf(expression.no)
  }
}

const NAMED: Readonly<Record<Name, Run>> = {
  price: ({ moment: { prices } }) => prices[prices.length - 1] ?? Number.NaN,
  position: ({ moment }) => moment.position,
  cash: ({ moment }) => moment.cash,
}

function calling({ name, given }: CallNode): Run {
  const [first = nothing, second = nothing] = given.map(runOf)
  return CALLED[name](first, second)
}

function nothing(): number {
  return Number.NaN
}

const CALLED: Readonly<Record<FunctionName, (first: Run, second: Run) => Run>> = {
  hold: () => () => HOLD,
  buy: (units) => (look) => order('buy', Number(units(look))),
  sell: (units) => (look) => order('sell', Number(units(look))),
  abs: (of) => (look) => Math.abs(Number(of(look))),
  floor: (of) => (look) => Math.floor(Number(of(look))),
  min: (one, other) => (look) => Math.min(Number(one(look)), Number(other(look))),
  max: (one, other) => (look) => Math.max(Number(one(look)), Number(other(look))),
  ago: (count) => (look) => look.moment.prices[look.first(Number(count(look)) + 1)] ?? Number.NaN,
  sma: overWindow(mean),
  ema: overWindow(exponentialMean),
  highest: overWindow(highest),
  lowest: overWindow(lowest),
  stddev: overWindow(deviation),
}

/** Of the prices from there on; there is one at least. */
type OfPrices = (prices: readonly number[], first: number) => number

function overWindow(of: OfPrices): (count: Run) => Run {
  return (count) => (look) => of(look.moment.prices, look.first(Number(count(look))))
}

// Loops over the prices where they are: copies of them were most of what a decision cost.

function mean(prices: readonly number[], first: number): number {
  let sum = 0
  for (let at = first; at < prices.length; at += 1) sum += prices[at] ?? Number.NaN
  return sum / (prices.length - first)
}

function exponentialMean(prices: readonly number[], first: number): number {
  const weight = 2 / (prices.length - first + 1)
  let average = prices[first] ?? Number.NaN
  for (let at = first + 1; at < prices.length; at += 1) {
    average += weight * ((prices[at] ?? Number.NaN) - average)
  }
  return average
}

function highest(prices: readonly number[], first: number): number {
  let found = prices[first] ?? Number.NaN
  for (let at = first + 1; at < prices.length; at += 1) found = Math.max(found, prices[at] ?? Number.NaN)
  return found
}

function lowest(prices: readonly number[], first: number): number {
  let found = prices[first] ?? Number.NaN
  for (let at = first + 1; at < prices.length; at += 1) found = Math.min(found, prices[at] ?? Number.NaN)
  return found
}

function deviation(prices: readonly number[], first: number): number {
  const middle = mean(prices, first)
  let sum = 0
  for (let at = first; at < prices.length; at += 1) sum += ((prices[at] ?? Number.NaN) - middle) ** 2
  return Math.sqrt(sum / (prices.length - first))
}

function order(action: 'buy' | 'sell', given: number): Decision {
  const quantity = Math.floor(given)
  if (Number.isNaN(quantity)) throw new StrategyRunError(`${action} was given no number of units`)
  if (quantity > MAX_QUANTITY) {
    throw new StrategyRunError(
      `${action} was given ${quantity} units, and an order has at most ${MAX_QUANTITY}`,
    )
  }
  return quantity < 1 ? HOLD : { action, quantity }
}

const BETWEEN: Readonly<Record<BinaryOperator, (left: Run, right: Run) => Run>> = {
  '+': (left, right) => (look) => Number(left(look)) + Number(right(look)),
  '-': (left, right) => (look) => Number(left(look)) - Number(right(look)),
  '*': (left, right) => (look) => Number(left(look)) * Number(right(look)),
  '/': (left, right) => (look) => Number(left(look)) / Number(right(look)),
  '%': (left, right) => (look) => Number(left(look)) % Number(right(look)),
  '<': (left, right) => (look) => Number(left(look)) < Number(right(look)),
  '<=': (left, right) => (look) => Number(left(look)) <= Number(right(look)),
  '>': (left, right) => (look) => Number(left(look)) > Number(right(look)),
  '>=': (left, right) => (look) => Number(left(look)) >= Number(right(look)),
  '==': (left, right) => (look) => Number(left(look)) === Number(right(look)),
  '!=': (left, right) => (look) => Number(left(look)) !== Number(right(look)),
  // The other side is not looked at where it cannot matter.
  '&&': (left, right) => (look) => left(look) === true && right(look) === true,
  '||': (left, right) => (look) => left(look) === true || right(look) === true,
}
