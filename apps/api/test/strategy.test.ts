import { type SeededRandom, seededRandom } from '@holdfast/test-kit'
import t from 'tap'
import { decideBy, type Moment } from '../src/strategy/evaluate.ts'
import { MAX_LENGTH, MAX_STEPS } from '../src/strategy/language.ts'
import { parseStrategy } from '../src/strategy/parse.ts'
import { strategyOf } from '../src/strategy/strategy.ts'
import { StrategyError, StrategyRunError } from '../src/strategy/strategy-error.ts'
import { HOSTILE } from './hostile-strategies.ts'
import { referenceOf, type Verdict } from './reference-evaluator.ts'
import { USEFUL } from './useful-strategies.ts'

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

/** Messages that name what is wrong, and how they name it. */
const NAMING = [
  /^there is no (?<named>[^;]+);/,
  /^'(?<named>.+)' is not expected here$/,
  /here another begins: (?<named>.+)$/,
  /^a strategy has no (?<named>===|!==|>>>|<<|delete|typeof|void|in|instanceof|this|[+~&|^])(;|$)/,
  /^(?<named>\w+) (takes (nothing|\d numbers?), not|is called)/,
  /^U\+(?<code>[0-9A-F]+) /,
]

t.test('what a message names stands where it points', async (t) => {
  let checked = 0
  const wrong = HOSTILE.flatMap(([text]) => {
    const { message = '', line = 0, column = 0 } = refusalOf(text) ?? {}
    const there = [...(text.split(/\r\n|[\n\r\u2028\u2029]/)[line - 1] ?? '')].slice(column - 1).join('')
    const groups = NAMING.map((pattern) => pattern.exec(message)?.groups).find(Boolean)
    const { named, code } = { named: groups?.['named'], code: groups?.['code'] }
    const sign = code === undefined ? named : String.fromCodePoint(Number.parseInt(code, 16))
    const isMember = message.includes('has no members')
    if (sign === undefined && !isMember) return []
    checked += 1
    const isThere = isMember ? /^[.[]/.test(there) : (there || '\u2028').startsWith(sign ?? '')
    return isThere ? [] : [[JSON.stringify(text.slice(0, 80)), line, column, message]]
  })
  t.strictSame(wrong, [])
  t.ok(checked > 200, `${checked} of them`)
})

t.test('the message points at what is wrong', async (t) => {
  for (const [text, line, column, message] of [
    ['price < smaa(20) ? buy(1) : hold()', 1, 9, 'there is no smaa; did you mean sma?'],
    ['price < sma(20) ? buy(1)', 1, 25, 'the expression is not complete'],
    [
      'price < sma(20)\n  ? buy(price.x)\n  : hold()',
      2,
      14,
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
    ['price > 1 ? buy(1) : this.x()', 1, 22, 'a strategy has no this'],
    ['price >>> 2 > 1 ? buy(1) : hold()', 1, 7, 'a strategy has no >>>'],
    ['while (true) {}', 1, 1, "'while' is not expected here"],
    ['price > 1 ? (price = 5) : hold()', 1, 20, 'nothing is set in a strategy; to compare write =='],
    ['hold();', 1, 7, 'a strategy is one expression, and here another begins: ;'],
  ] as const) {
    t.throws(() => parseStrategy(text), { name: 'StrategyError', line, column, message }, text)
  }
})

/** Prices as they come, and what a bot may have. */
function someMoment(random: SeededRandom): Moment {
  const prices = Array.from({ length: random.int(1, 80) }, () => random.int(5_000, 15_000))
  return { prices, position: random.int(0, 20), cash: random.int(0, 500_000) }
}

/** What it decides; undefined where that is no order that can be made. */
function verdictOf(text: string, moment: Moment): Verdict {
  try {
    return strategyOf(text).decide(moment)
  } catch (error) {
    if (error instanceof StrategyRunError) return undefined
    throw error
  }
}

t.test('useful strategies decide as JavaScript does', async (t) => {
  t.ok(USEFUL.length >= 50, `${USEFUL.length} strategies`)
  t.equal(new Set(USEFUL).size, USEFUL.length, 'each another one')
  const random = seededRandom()
  random.announce(t)
  const taken = new Set<string | undefined>()
  for (const text of USEFUL) {
    const reference = referenceOf(text)
    for (let round = 0; round < 200; round += 1) {
      const moment = someMoment(random)
      const decided = verdictOf(text, moment)
      taken.add(decided?.action)
      const told = `${text} at ${JSON.stringify(moment)}, seed ${random.seed}`
      if (JSON.stringify(decided) !== JSON.stringify(reference(moment))) {
        t.strictSame(decided, reference(moment), told)
        return
      }
    }
    t.pass(text)
  }
  t.strictSame([...taken].sort(), ['buy', 'hold', 'sell'])
})

/** A strategy of any kind, as the grammar allows it. */
class AnyStrategy {
  readonly #random: SeededRandom

  constructor(random: SeededRandom) {
    this.#random = random
  }

  action(depth: number): string {
    const made = [
      () => 'hold()',
      () => `buy(${this.#number(depth - 1)})`,
      () => `sell(${this.#number(depth - 1)})`,
      () => `(${this.#truth(depth - 1)}) ? ${this.action(depth - 1)} : ${this.action(depth - 1)}`,
    ]
    return this.#one(depth > 0 ? made : made.slice(0, 1))
  }

  #number(depth: number): string {
    const window = () => this.#random.int(1, 60)
    const leaves = [
      () => this.#one([() => 'price', () => 'position', () => 'cash']),
      () => this.#one([() => '0', () => '1', () => '2', () => '0.5', () => '100', () => '9000', () => '.25']),
      () => `sma(${window()})`,
      () => `ema(${window()})`,
      () => `highest(${window()})`,
      () => `lowest(${window()})`,
      () => `stddev(${window()})`,
      () => `ago(${window()})`,
    ]
    const [a, b] = [() => this.#number(depth - 1), () => this.#number(depth - 1)]
    const more = [
      ...['+', '-', '*', '/', '%'].map((operator) => () => `${a()} ${operator} ${b()}`),
      () => `(${a()})`,
      () => `-(${a()})`,
      () => `abs(${a()})`,
      () => `floor(${a()})`,
      () => `min(${a()}, ${b()})`,
      () => `max(${a()}, ${b()})`,
      () => `(${this.#truth(depth - 1)} ? ${a()} : ${b()})`,
    ]
    return this.#one(depth > 0 ? [...leaves, ...more] : leaves)
  }

  #truth(depth: number): string {
    const compared = ['<', '<=', '>', '>=', '==', '!='].map(
      (operator) => () => `${this.#number(depth - 1)} ${operator} ${this.#number(depth - 1)}`,
    )
    const more = [
      () => `!(${this.#truth(depth - 1)})`,
      () => `(${this.#truth(depth - 1)}) && (${this.#truth(depth - 1)})`,
      () => `${this.#truth(depth - 1)} || ${this.#truth(depth - 1)}`,
    ]
    return this.#one(depth > 0 ? [...compared, ...more] : compared)
  }

  #one(choices: readonly (() => string)[]): string {
    return choices[this.#random.int(0, choices.length - 1)]?.() ?? ''
  }
}

t.test('whatever is a strategy decides as JavaScript does', async (t) => {
  const random = seededRandom()
  random.announce(t)
  const any = new AnyStrategy(random)
  const seen = { compared: 0, refused: 0, noOrder: 0 }
  for (let made = 0; made < 2000; made += 1) {
    const text = any.action(random.int(1, 6))
    const refusal = refusalOf(text)
    if (refusal !== undefined) {
      seen.refused += 1
      if (!/ deep | steps|at most/.test(refusal.message)) t.fail(`${text}: ${refusal.message}`)
      continue
    }
    const reference = referenceOf(text)
    for (let round = 0; round < 5; round += 1) {
      const moment = someMoment(random)
      const decided = verdictOf(text, moment)
      seen.compared += 1
      if (decided === undefined) seen.noOrder += 1
      const told = `${text} at ${JSON.stringify(moment)}, seed ${random.seed}`
      if (JSON.stringify(decided) !== JSON.stringify(reference(moment))) {
        t.strictSame(decided, reference(moment), told)
        return
      }
    }
  }
  t.comment(JSON.stringify(seen))
  t.ok(seen.compared > 5000, `${seen.compared} decisions`)
  t.ok(seen.noOrder > 10, 'also of those that come to no order')
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
  t.same(decideBy(expression)(long, steps), { action: 'buy', quantity: 1 }, 'its steps are enough')
  t.throws(() => decideBy(expression)(long, steps - 30), { message: /too many steps/ })
})

t.test('with fewer prices than it asks for it decides by those that there are', async (t) => {
  const first: Moment = { prices: [500], position: 0, cash: 0 }
  t.match(strategyOf('price == sma(20) && ago(5) == 500 && stddev(9) == 0 ? buy(1) : hold()').decide(first), {
    action: 'buy',
  })
})

function refusalOf(text: string): StrategyError | undefined {
  try {
    parseStrategy(text)
    return undefined
  } catch (error) {
    if (error instanceof StrategyError) return error
    throw error
  }
}
