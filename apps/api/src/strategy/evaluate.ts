// What a strategy decides at one tick. Pure: the same prices and holdings, the same decision, in every process.

import type { CallNode, Expression } from './expression.ts'
import { type BinaryOperator, MAX_QUANTITY, MAX_STEPS } from './language.ts'
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

const HOLD: Decision = Object.freeze({ action: 'hold', quantity: 0 })

/**
 * Evaluates a strategy. While there are fewer prices than a window asks for, it is of those that there are. Orders are
 * rounded down to whole units; less than one is `hold`.
 * @throws {StrategyRunError} for an order of no number of units, or of too many; and where it would take more than `maxSteps`.
 */
export function evaluate(expression: Expression, moment: Moment, maxSteps = MAX_STEPS): Decision {
  const value = new Evaluation(moment, maxSteps).of(expression)
  if (typeof value === 'object') return value
  throw new StrategyRunError(`the strategy came to ${value}, which is no action`)
}

type Value = number | boolean | Decision

class Evaluation {
  readonly #moment: Moment
  #left: number

  constructor(moment: Moment, maxSteps: number) {
    this.#moment = moment
    this.#left = maxSteps
  }

  of(expression: Expression): Value {
    this.#spend(1)
    switch (expression.kind) {
      case 'number':
        return expression.value
      case 'name':
        return this.#named(expression.name)
      case 'call':
        return this.#called(expression)
      case 'unary':
        return expression.operator === '-'
          ? -this.#number(expression.operand)
          : !this.#truth(expression.operand)
      case 'binary':
        return this.#binary(expression.operator, expression.left, expression.right)
      case 'conditional':
        return this.of(this.#truth(expression.test) ? expression.yes : expression.no)
    }
  }

  #spend(steps: number): void {
    this.#left -= steps
    if (this.#left < 0) throw new StrategyRunError('the strategy takes too many steps')
  }

  #number(expression: Expression): number {
    return Number(this.of(expression))
  }

  #truth(expression: Expression): boolean {
    return this.of(expression) === true
  }

  #named(name: 'price' | 'position' | 'cash'): number {
    const { prices, position, cash } = this.#moment
    return { price: prices.at(-1) ?? Number.NaN, position, cash }[name]
  }

  #binary(operator: BinaryOperator, left: Expression, right: Expression): Value {
    // The other side is not looked at where it cannot matter.
    if (operator === '&&') return this.#truth(left) && this.#truth(right)
    if (operator === '||') return this.#truth(left) || this.#truth(right)
    return ARITHMETIC[operator](this.#number(left), this.#number(right))
  }

  #called({ name, given }: CallNode): Value {
    const values = given.map((each) => this.#number(each))
    const [first = Number.NaN, second = Number.NaN] = values
    switch (name) {
      case 'hold':
        return HOLD
      case 'buy':
      case 'sell':
        return order(name, first)
      case 'abs':
        return Math.abs(first)
      case 'floor':
        return Math.floor(first)
      case 'min':
        return Math.min(first, second)
      case 'max':
        return Math.max(first, second)
      case 'ago':
        return this.#last(first + 1)[0] ?? Number.NaN
      default:
        return WINDOWS[name](this.#last(first))
    }
  }

  #last(count: number): readonly number[] {
    const prices = this.#moment.prices.slice(-count)
    this.#spend(prices.length)
    return prices
  }
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

const ARITHMETIC: Readonly<
  Record<Exclude<BinaryOperator, '&&' | '||'>, (a: number, b: number) => number | boolean>
> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
}

const mean = (prices: readonly number[]) => prices.reduce((sum, price) => sum + price, 0) / prices.length

const WINDOWS = {
  sma: mean,
  ema(prices: readonly number[]) {
    const weight = 2 / (prices.length + 1)
    return prices.reduce((average, price) => average + weight * (price - average))
  },
  highest: (prices: readonly number[]) => Math.max(...prices),
  lowest: (prices: readonly number[]) => Math.min(...prices),
  stddev(prices: readonly number[]) {
    const middle = mean(prices)
    return Math.sqrt(mean(prices.map((price) => (price - middle) ** 2)))
  },
}
