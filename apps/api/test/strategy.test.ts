import { seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { type Decision, evaluate, type Moment } from '../src/strategy/evaluate.ts'
import { MAX_LENGTH, MAX_STEPS } from '../src/strategy/language.ts'
import { parseStrategy } from '../src/strategy/parse.ts'
import { strategyOf } from '../src/strategy/strategy.ts'
import { StrategyError, StrategyRunError } from '../src/strategy/strategy-error.ts'
import { HOSTILE } from './hostile-strategies.ts'

t.test('what wants more than a decision is refused, with a word and a place', async (t) => {
  t.ok(HOSTILE.length >= 200, `${HOSTILE.length} texts`)
  t.equal(new Set(HOSTILE.map(([text]) => text)).size, HOSTILE.length, 'each another one')
  // Not one assertion each: TAP would read something into some of these texts.
  const wrong = HOSTILE.flatMap(([text, told]) => {
    const refusal = refusalOf(text)
    const isPointed =
      refusal !== undefined &&
      told.test(refusal.message) &&
      refusal.message.length < 300 &&
      refusal.line >= 1 &&
      refusal.column >= 1 &&
      refusal.column <= MAX_LENGTH + 1
    return isPointed ? [] : [[JSON.stringify(text.slice(0, 80)), refusal?.message ?? 'was taken']]
  })
  t.strictSame(wrong, [])
  t.equal(Object.hasOwn(Object.prototype, 'polluted'), false)
})

t.test('the message points at what is wrong', async (t) => {
  for (const [text, line, column, message] of [
    ['price < smaa(20) ? buy(1) : hold()', 1, 9, 'there is no smaa; did you mean sma?'],
    ['price < sma(20) ? buy(1)', 1, 25, 'the expression is not complete'],
    [
      'price < sma(20)\n  ? buy(price.x)\n  : hold()',
      2,
      9,
      'a strategy has no members: neither a dot nor brackets',
    ],
    ['hоld()', 1, 2, 'U+043E is no character of a strategy'],
    ['ｈold()', 1, 1, 'U+FF48 only looks like h; write h'],
    [
      'price == 1 ? hold() : 5',
      1,
      23,
      'both sides of : are of one kind: this is a number, not an action (buy, sell or hold)',
    ],
    ['sma(0) > 1 ? hold() : hold()', 1, 5, 'sma takes a whole number from 1 to 500 that stands in the text'],
    ['hold', 1, 1, 'hold is called: hold()'],
    ['hold();', 1, 7, 'a strategy is one expression, and here another begins: ;'],
  ] as const) {
    t.throws(() => parseStrategy(text), { name: 'StrategyError', line, column, message }, text)
  }
})

/** What each of them means, said in JavaScript. */
const USEFUL: readonly (readonly [text: string, reference: (m: Reference) => Decision])[] = useful()

interface Reference extends Moment {
  readonly price: number
  last(n: number): number[]
  sma(n: number): number
}

t.test('useful strategies decide as they would in JavaScript', async (t) => {
  t.ok(USEFUL.length >= 50, `${USEFUL.length} strategies`)
  const random = seededRandom()
  random.announce(t)
  const taken = new Set<string>()
  for (const [text, reference] of USEFUL) {
    const strategy = strategyOf(text)
    for (let round = 0; round < 60; round += 1) {
      const prices = Array.from({ length: random.int(1, 80) }, () => random.int(5_000, 15_000))
      const moment = { prices, position: random.int(0, 20), cash: random.int(0, 500_000) }
      const last = (n: number) => prices.slice(-n)
      const sma = (n: number) => last(n).reduce((sum, price) => sum + price, 0) / last(n).length
      const wanted = reference({ ...moment, price: prices.at(-1) ?? 0, last, sma })
      const decided = strategy.decide(moment)
      taken.add(decided.action)
      if (JSON.stringify(decided) !== JSON.stringify(wanted)) {
        t.strictSame(decided, wanted, `${text} at ${JSON.stringify(moment)}, seed ${random.seed}`)
        return
      }
    }
    t.pass(text)
  }
  t.strictSame([...taken].sort(), ['buy', 'hold', 'sell'])
})

t.test('a decision is bounded, and an order is one that can be made', async (t) => {
  const moment: Moment = { prices: [100, 200, 300], position: 5, cash: 1000 }
  const decide = (text: string) => strategyOf(text).decide(moment)
  t.strictSame(decide('buy(2.9)'), { action: 'buy', quantity: 2 })
  t.strictSame(decide('buy(0.9)'), { action: 'hold', quantity: 0 })
  t.strictSame(decide('sell(0 - 3)'), { action: 'hold', quantity: 0 })
  t.throws(() => decide('buy(0 / 0)'), StrategyRunError)
  t.throws(() => decide('buy(1 / 0)'), StrategyRunError)
  t.throws(() => decide('buy(1000001)'), /at most 1000000/)
  t.strictSame(decide('buy(1000000)'), { action: 'buy', quantity: 1_000_000 })

  const { expression, steps, window } = parseStrategy(
    'sma(500) > lowest(400) && ago(20) > 1 ? buy(1) : hold()',
  )
  t.equal(window, 500)
  t.ok(steps > 920 && steps <= MAX_STEPS)
  const long = { ...moment, prices: Array.from({ length: 1000 }, (_, index) => index + 1) }
  t.same(evaluate(expression, long, steps), { action: 'buy', quantity: 1 }, 'its steps are enough')
  t.throws(() => evaluate(expression, long, steps - 30), { message: /too many steps/ })
})

t.test('with fewer prices than it asks for it decides by those that there are', async (t) => {
  const first: Moment = { prices: [500], position: 0, cash: 0 }
  t.match(strategyOf('price == sma(20) && ago(5) == 500 && stddev(9) == 0 ? buy(1) : hold()').decide(first), {
    action: 'buy',
  })
})

function useful(): (readonly [string, (m: Reference) => Decision])[] {
  const hold: Decision = { action: 'hold', quantity: 0 }
  const of = (action: 'buy' | 'sell', given: number): Decision =>
    Math.floor(given) < 1 ? hold : { action, quantity: Math.floor(given) }
  const buy = (given: number) => of('buy', given)
  const sell = (given: number) => of('sell', given)
  const high = (prices: number[]) => Math.max(...prices)
  const low = (prices: number[]) => Math.min(...prices)
  const ema = (prices: number[]) => {
    let average = prices[0] ?? 0
    for (const price of prices) average += (2 / (prices.length + 1)) * (price - average)
    return average
  }
  const deviation = (prices: number[]) => {
    const middle = prices.reduce((a, b) => a + b, 0) / prices.length
    return Math.sqrt(prices.reduce((sum, price) => sum + (price - middle) ** 2, 0) / prices.length)
  }
  const list: (readonly [string, (m: Reference) => Decision])[] = [
    ['hold()', () => hold],
    ['(hold())', () => hold],
    ['((price) > ((8000))) ? (buy((1))) : (sell(.5 + 0.5))', (m) => (m.price > 8000 ? buy(1) : sell(1))],
    ['buy(1)', () => buy(1)],
    ['sell(position)', (m) => sell(m.position)],
    ['price < sma(20) * 0.99 ? buy(1) : hold()', (m) => (m.price < m.sma(20) * 0.99 ? buy(1) : hold)],
    ['position == 0 ? buy(1) : sell(position)', (m) => (m.position === 0 ? buy(1) : sell(m.position))],
    [
      'cash / price >= 1 ? buy(cash / price) : hold()',
      (m) => (m.cash / m.price >= 1 ? buy(m.cash / m.price) : hold),
    ],
    [
      'price > highest(10) * 0.95 && position < 5 ? buy(2) : hold()',
      (m) => (m.price > high(m.last(10)) * 0.95 && m.position < 5 ? buy(2) : hold),
    ],
    ['!(price > 8000) ? buy(1) : sell(1)', (m) => (m.price > 8000 ? sell(1) : buy(1))],
    ['price % 2 == 0 ? buy(1) : sell(1)', (m) => (m.price % 2 === 0 ? buy(1) : sell(1))],
    ['ema(5) > ema(20) ? buy(1) : sell(1)', (m) => (ema(m.last(5)) > ema(m.last(20)) ? buy(1) : sell(1))],
    [
      'abs(price - sma(10)) > 500 ? sell(1) : buy(1)',
      (m) => (Math.abs(m.price - m.sma(10)) > 500 ? sell(1) : buy(1)),
    ],
    [
      'floor(cash / 1000) > 3 ? buy(floor(cash / 1000)) : hold()',
      (m) => (Math.floor(m.cash / 1000) > 3 ? buy(Math.floor(m.cash / 1000)) : hold),
    ],
    ['buy(min(3, max(1, position)))', (m) => buy(Math.min(3, Math.max(1, m.position)))],
    ['price != ago(1) ? sell(2) : buy(2)', (m) => (m.price !== m.last(2)[0] ? sell(2) : buy(2))],
    [
      '-price < -9000 || position >= 10 ? sell(1) : buy(1)',
      (m) => (m.price > 9000 || m.position >= 10 ? sell(1) : buy(1)),
    ],
  ]
  for (const n of [1, 2, 3, 5, 8, 13, 21, 34, 55]) {
    list.push(
      [`price < sma(${n}) ? buy(${n}) : sell(1)`, (m) => (m.price < m.sma(n) ? buy(n) : sell(1))],
      [
        `price <= lowest(${n}) ? buy(1) : price >= highest(${n}) ? sell(1) : hold()`,
        (m) => (m.price <= low(m.last(n)) ? buy(1) : m.price >= high(m.last(n)) ? sell(1) : hold),
      ],
      [
        `price > sma(${n}) + 2 * stddev(${n}) ? sell(position / 2) : hold()`,
        (m) => (m.price > m.sma(n) + 2 * deviation(m.last(n)) ? sell(m.position / 2) : hold),
      ],
      [
        `price > ago(${n}) * 1.01 ? buy(1) : price * 1.01 < ago(${n}) ? sell(1) : hold()`,
        (m) =>
          m.price > (m.last(n + 1)[0] ?? 0) * 1.01
            ? buy(1)
            : m.price * 1.01 < (m.last(n + 1)[0] ?? 0)
              ? sell(1)
              : hold,
      ],
    )
  }
  return list
}

function refusalOf(text: string): StrategyError | undefined {
  try {
    parseStrategy(text)
    return undefined
  } catch (error) {
    if (error instanceof StrategyError) return error
    throw error
  }
}
