// What a strategy means, said by JavaScript itself, of which the language is a part: its engine reads the text, and the
// functions are as their definitions have them. Knows no bounds, so it is for texts of tests alone.

import type { Decision, Moment } from '../src/strategy/evaluate.ts'

const WORDS = [
  'price',
  'position',
  'cash',
  'sma',
  'ema',
  'highest',
  'lowest',
  'stddev',
  'ago',
  'abs',
  'floor',
  'min',
  'max',
  'buy',
  'sell',
  'hold',
] as const

/** Undefined: what it comes to is no order that can be made. */
export type Verdict = Decision | undefined

/** What a strategy decides at a moment. */
export function referenceOf(text: string): (moment: Moment) => Verdict {
  const decide = new Function(...WORDS, `return (${text})`)
  return ({ prices, position, cash }) => {
    const last = (count: number) => prices.filter((_, at) => at >= prices.length - count)
    const average = (values: readonly number[]) => {
      let sum = 0
      for (const value of values) sum += value
      return sum / values.length
    }
    const order = (action: 'buy' | 'sell') => (units: number) => {
      const quantity = Math.floor(units)
      if (!(quantity <= 1_000_000)) return undefined
      return quantity >= 1 ? { action, quantity } : hold()
    }
    const hold = (): Decision => ({ action: 'hold', quantity: 0 })
    const functions: Readonly<Record<(typeof WORDS)[number], unknown>> = {
      price: prices[prices.length - 1],
      position,
      cash,
      sma: (count: number) => average(last(count)),
      ema: (count: number) => {
        const values = last(count)
        let mean = values[0] ?? Number.NaN
        for (const value of values.slice(1)) mean += (2 / (values.length + 1)) * (value - mean)
        return mean
      },
      highest: (count: number) => last(count).toSorted((a, b) => b - a)[0],
      lowest: (count: number) => last(count).toSorted((a, b) => a - b)[0],
      stddev: (count: number) => {
        const values = last(count)
        return Math.sqrt(average(values.map((value) => (value - average(values)) ** 2)))
      },
      ago: (count: number) => prices[Math.max(0, prices.length - 1 - count)],
      abs: Math.abs,
      floor: Math.floor,
      min: Math.min,
      max: Math.max,
      buy: order('buy'),
      sell: order('sell'),
      hold,
    }
    return decide(...WORDS.map((word) => functions[word]))
  }
}
