/**
 * What bots ask their strategies at a tick: four strategies as people write them, in turn, at moments of a walk of
 * prices as long as bots get it. Every decision is compared with that of a closure that says the same in JavaScript.
 *
 * The others are spared the steps that ours counts, the types (mathjs) and the bound of windows; their functions read the
 * prices where they are.
 */
import { seededRandom } from '@holdfast/test-kit'
import type { Loop } from '../harness/row.ts'

export interface Moment {
  readonly prices: readonly number[]
  readonly position: number
  readonly cash: number
}

export interface Decision {
  readonly action: string
  readonly quantity: number
}

export type Decide = (moment: Moment) => Decision

/** Around an average, along a trend, in a band, and with an eye on what is held. */
export const STRATEGIES: readonly string[] = [
  'price < sma(20) * 0.99 ? buy(1) : hold()',
  'ema(12) > ema(26) ? buy(1) : sell(position)',
  'price < sma(20) - 2 * stddev(20) ? buy(cash / price / 4) : hold()',
  'position > 0 && price > sma(30) * 1.05 ? sell(position) : position == 0 && price < sma(30) ? buy(5) : hold()',
]

/** What everybody has to refuse. */
const WRONG = ['prise < sma(20) ? buy(1) : hold()', 'price.constructor > 1 ? buy(1) : hold()']

const MOMENTS = 64
const PRICES = 501
const SEED = 20261122
const MAX_UNITS = 1_000_000
const HOLD: Decision = Object.freeze({ action: 'hold', quantity: 0 })

/** The functions of the language, of the prices of the moment that is looked at. */
export class Words {
  #prices: readonly number[] = []

  /** From now on they are about that moment; answers its price. */
  readonly look = ({ prices }: Moment): number => {
    this.#prices = prices
    return prices.at(-1) ?? Number.NaN
  }

  readonly sma = (count: number): number => {
    const first = this.#first(count)
    let sum = 0
    for (let at = first; at < this.#prices.length; at += 1) sum += this.#prices[at] ?? 0
    return sum / (this.#prices.length - first)
  }

  readonly ema = (count: number): number => {
    const first = this.#first(count)
    const weight = 2 / (this.#prices.length - first + 1)
    let average = this.#prices[first] ?? Number.NaN
    for (let at = first + 1; at < this.#prices.length; at += 1)
      average += weight * ((this.#prices[at] ?? 0) - average)
    return average
  }

  readonly stddev = (count: number): number => {
    const first = this.#first(count)
    const middle = this.sma(count)
    let sum = 0
    for (let at = first; at < this.#prices.length; at += 1) sum += ((this.#prices[at] ?? 0) - middle) ** 2
    return Math.sqrt(sum / (this.#prices.length - first))
  }

  readonly hold = (): Decision => HOLD
  readonly buy = (units: number): Decision => order('buy', units)
  readonly sell = (units: number): Decision => order('sell', units)

  #first(count: number): number {
    return Math.max(0, this.#prices.length - count)
  }
}

function order(action: string, units: number): Decision {
  const quantity = Math.floor(units)
  if (!(quantity <= MAX_UNITS)) throw new RangeError(`${units} is no number of units`)
  return quantity < 1 ? HOLD : { action, quantity }
}

/** The strategies as they would be in the program, were there no others. */
export function closures(): readonly Decide[] {
  const { look, sma, ema, stddev, buy, sell, hold } = new Words()
  return [
    (moment) => (look(moment) < sma(20) * 0.99 ? buy(1) : hold()),
    (moment) => {
      look(moment)
      return ema(12) > ema(26) ? buy(1) : sell(moment.position)
    },
    (moment) => {
      const price = look(moment)
      return price < sma(20) - 2 * stddev(20) ? buy(moment.cash / price / 4) : hold()
    },
    (moment) => {
      const price = look(moment)
      const { position } = moment
      if (position > 0 && price > sma(30) * 1.05) return sell(position)
      return position === 0 && price < sma(30) ? buy(5) : hold()
    },
  ]
}

/** One decision after the other. */
export function decidingLoop(strategies: readonly Decide[]): Loop {
  const moments = someMoments()
  const expected = closures().map((decide) => moments.map(decide))
  for (const decisions of expected) {
    if (new Set(decisions.map(({ action }) => action)).size < 2)
      throw new Error('a strategy always decides the same')
  }
  return {
    resultsPerOperation: 1,
    async run(operations) {
      let results = 0
      for (let operation = 0; operation < operations; operation += 1) {
        const which = operation % strategies.length
        const when = (operation >> 2) % MOMENTS
        const moment = moments[when]
        const wanted = expected[which]?.[when]
        if (moment === undefined || wanted === undefined) continue
        const decided = strategies[which]?.(moment)
        if (decided?.action === wanted.action && decided.quantity === wanted.quantity) results += 1
      }
      return { results }
    },
  }
}

/** One text after the other; `read` answers what can be asked for decisions, and throws for what is no strategy. */
export function readingLoop(read: (text: string) => unknown, texts: readonly string[] = STRATEGIES): Loop {
  for (const text of WRONG) {
    if (accepts(read, text)) throw new Error(`this was taken for a strategy: ${text}`)
  }
  return {
    resultsPerOperation: 1,
    async run(operations) {
      let results = 0
      for (let operation = 0; operation < operations; operation += 1) {
        if (read(texts[operation % texts.length] ?? '') !== undefined) results += 1
      }
      return { results }
    },
  }
}

function accepts(read: (text: string) => unknown, text: string): boolean {
  try {
    return read(text) !== undefined
  } catch {
    return false
  }
}

/** The same ones in every process. */
function someMoments(): readonly Moment[] {
  const random = seededRandom(SEED)
  const walk: number[] = []
  let price = 10_000
  while (walk.length < PRICES + MOMENTS) {
    price += random.int(-100, 100)
    walk.push(price)
  }
  return Array.from({ length: MOMENTS }, (_, at) => ({
    prices: walk.slice(at, at + PRICES),
    position: random.int(0, 3),
    cash: random.int(0, 500_000),
  }))
}
